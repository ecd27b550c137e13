"""CTC-CRF: all paths that the network and a trigram of tokens allow, summed (H. Xiang and Z. Ou, ICASSP 2019).

CTC trains p(tokens | audio) as if one token had nothing to do with the next. A conditional random field over whole
paths normalises once, with a language model of tokens in it, as lattice-free MMI does:

    p(tokens | audio) = P(tokens) exp(-CTC) / Z,    Z = sum over all token strings of P(string) exp(-CTC(string))

Z is summed by the forward algorithm over states (the token before last, the last token, whether the last frame was
blank), dense and in the linear domain with a scale for each frame; its gradient are the occupancies of the
forward-backward algorithm.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from asr.errors import ConfigError
from asr.lm.ngram import FALLBACK, count, estimate, read_corpus
from asr.lm.ngram_model import BOS_ID, EOS_ID, UNK_ID

MAX_TOKENS = 128  # whose trigram is held as a cube: 8 MB


def token_trigram(sequences: Iterable[Sequence[int]], num_tokens: int) -> Tensor:
    """P(c | a, b) as float32 (V, V, V) at [a, b, c], of token ids 1 .. V - 1; V is `num_tokens`, 0 the blank.

    No text has a blank, so 0 stands for the beginning at a and b, and for the end at c. Interpolated Kneser-Ney, by the
    estimator of language models. Each context sums to one. Raises ConfigError for more tokens than a cube is held for.
    """
    if num_tokens > MAX_TOKENS:
        raise ConfigError(
            f"loss.crf: found {num_tokens} tokens, wanted at most {MAX_TOKENS}: phones or characters, not subwords"
        )
    corpus = read_corpus([str(token) for token in tokens] for tokens in sequences)
    model = estimate(count(corpus, 3), fallback=FALLBACK)
    ids = np.array([model.ids.get(str(token), UNK_ID) for token in range(num_tokens)])
    before, last = ids.copy(), ids.copy()
    before[0], last[0] = BOS_ID, EOS_ID
    strings = np.stack(np.broadcast_arrays(before[:, None, None], before[:, None], last), axis=-1)
    scores, _ = model.score_ids(strings.ravel())
    probs = 10 ** scores.reshape(strings.shape)[..., 2]
    # What the model keeps for words outside its vocabulary is shared out.
    return torch.tensor(probs / probs.sum(-1, keepdims=True), dtype=torch.float32)


def log_prior(trigram: Tensor, tokens: Tensor, num_tokens: Tensor) -> Tensor:
    """ln P(tokens) under the trigram, end included: tokens (B, U), num_tokens (B,) -> (B,)."""
    places = torch.arange(tokens.shape[1] + 1, device=tokens.device)
    lengths = num_tokens[:, None]
    # 0 is what stands twice before the first token, and what follows the last.
    padded = functional.pad(tokens * (places[:-1] < lengths), (2, 1))
    scores = trigram[padded[:, :-2], padded[:, 1:-1], padded[:, 2:]].log()
    return scores.masked_fill(places > lengths, 0).sum(dim=1)


def log_partition(log_probs: Tensor, num_frames: Tensor, trigram: Tensor) -> Tensor:
    """ln Z of each utterance: log_probs (B, T, V), num_frames (B,), trigram (V, V, V) -> (B,)."""
    log_z: Tensor = _LogPartition.apply(log_probs, num_frames, trigram)  # type: ignore[no-untyped-call]
    return log_z


class _LogPartition(torch.autograd.Function):
    """The forward algorithm; with gradients wanted, the backward one too, since both need the same frames."""

    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, num_frames: Tensor, trigram: Tensor) -> Tensor:
        probs = log_probs.detach().exp()
        inside = torch.arange(probs.shape[1], device=probs.device) < num_frames.to(probs.device)[:, None]
        # A frame of padding is a blank that costs nothing.
        blank = torch.zeros_like(probs[0, 0])
        blank[0] = 1
        # Sums over all paths want all the digits, whatever the network computes in.
        with torch.autocast(probs.device.type, enabled=False):
            lattice = _Lattice(torch.where(inside[..., None], probs, blank), trigram.to(probs.dtype))
            log_z = lattice.forward()
            if ctx.needs_input_grad[0]:
                ctx.save_for_backward(lattice.occupancies() * inside[..., None])
        return log_z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (occupancies,) = ctx.saved_tensors
        return grads[0][:, None, None] * occupancies, None, None


class _Lattice:
    """Scaled forward and backward scores, as (B, V, V) at [utterance, token before last, last token].

    `blank`: of paths whose last frame is blank; `label`: of those whose last frame is the last token.
    """

    def __init__(self, probs: Tensor, trigram: Tensor):
        self.probs = probs  # (B, T, V)
        self.end = trigram[:, :, 0]
        self.next = trigram.clone()
        self.next[:, :, 0] = 0  # the blank is no token
        self.by_last = self.next.transpose(0, 1).contiguous()  # [b, a, c]
        self.repeat = torch.diagonal(self.next, dim1=1, dim2=2)  # P(b | a, b) at [a, b]
        self.blank: list[Tensor] = []
        self.label: list[Tensor] = []
        self.scales: list[Tensor] = []

    def forward(self) -> Tensor:
        batch, frames, size = self.probs.shape
        label = self.probs.new_zeros(batch, size, size)
        blank = label.clone()
        blank[:, 0, 0] = 1
        for t in range(frames):
            frame = self.probs[:, t]
            both = blank + label
            entered = torch.bmm(both.permute(2, 0, 1), self.by_last).transpose(0, 1)  # by a new token
            # The same token again, without a blank between, is no new one.
            torch.diagonal(entered, dim1=1, dim2=2).sub_((label * self.repeat).sum(1))
            label = frame[:, None, :] * (label + entered)
            label[:, :, 0] = 0
            blank = both * frame[:, :1, None]
            scale = (blank + label).sum((1, 2))
            blank, label = blank / scale[:, None, None], label / scale[:, None, None]
            self.blank.append(blank)
            self.label.append(label)
            self.scales.append(scale)
        self.final = ((blank + label) * self.end).sum((1, 2))
        scales = torch.stack(self.scales) if frames else self.probs.new_ones(1, batch)
        return scales.log().sum(0) + self.final.log()

    def occupancies(self) -> Tensor:
        """How probable each token is in each frame, (B, T, V): the gradient of ln Z by the log-probs."""
        found = torch.zeros_like(self.probs)
        blank = self.end / self.final[:, None, None]
        label = blank
        for t in range(self.probs.shape[1] - 1, -1, -1):
            found[:, t] = (self.label[t] * label).sum(1)
            found[:, t, 0] = (self.blank[t] * blank).sum((1, 2))
            frame = self.probs[:, t] / self.scales[t][:, None]
            said = frame[:, None, :] * label
            said[:, :, 0] = 0
            entering = torch.bmm(said.transpose(0, 1), self.by_last.transpose(1, 2)).permute(1, 2, 0)
            blank = frame[:, :1, None] * blank + entering
            label = blank + said - self.repeat * torch.diagonal(said, dim1=1, dim2=2)[:, None, :]
        return found
