"""Sentences drawn from a recurrent language model: what it has learnt, to look at."""

import torch
from torch import Tensor

from asr.errors import ConfigError
from asr.lm.recurrent import BOUNDARY, RecurrentLM


@torch.inference_mode()
def generate(
    lm: RecurrentLM,
    prompt: str = "",
    *,
    count: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    max_tokens: int = 200,
    seed: int = 1,
) -> list[str]:
    """`count` sentences that begin with the prompt, each token drawn given those before it.

    temperature: below 1 prefers the likely; 0 always takes the likeliest token. top_k: draw only from so many likeliest
    tokens; 0: from all. A sentence ends where the model ends it, or after max_tokens beyond the prompt. Raises
    TextError for a prompt with symbols that the model does not know, ConfigError for impossible settings.
    """
    for name, value, least in (("count", count, 1), ("temperature", temperature, 0), ("top_k", top_k, 0)):
        if value < least:
            raise ConfigError(f"{name}: found {value}, wanted at least {least}")
    random = torch.Generator().manual_seed(seed)
    begun = lm.tokenizer.encode(prompt)
    sentences = [list(begun) for _ in range(count)]
    going = set(range(count))
    tokens, state = torch.tensor([[BOUNDARY, *begun]] * count, device=lm.device), None
    for _ in range(max_tokens):
        log_probs, state = lm(tokens, state)
        drawn = draw(log_probs[:, -1].cpu(), temperature, top_k, random)
        for i, token in enumerate(drawn.tolist()):
            if token == BOUNDARY:
                going.discard(i)
            elif i in going:
                sentences[i].append(token)
        if not going:
            break
        tokens = drawn[:, None].to(lm.device)
    return [lm.tokenizer.decode(sentence) for sentence in sentences]


def draw(log_probs: Tensor, temperature: float, top_k: int, random: torch.Generator) -> Tensor:
    """log_probs (B, V) -> a token of each row (B,)."""
    if temperature == 0:
        return log_probs.argmax(dim=1)
    if 0 < top_k < log_probs.shape[1]:
        least = log_probs.topk(top_k, dim=1).values[:, -1:]
        log_probs = log_probs.masked_fill(log_probs < least, -torch.inf)
    return torch.multinomial((log_probs / temperature).softmax(dim=1), 1, generator=random)[:, 0]
