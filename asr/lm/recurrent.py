"""Recurrent language model (Mikolov et al., 2010): the probability of a sentence, token after token.

Tokens are characters or subwords. A sentence begins and ends with the boundary, for which the tokenizer's blank stands:
it has id 0 and no text contains it. Probabilities are natural logarithms throughout.

A language model's folder holds `config.json`, `model.safetensors`, `tokens.txt` and the tokenizer's own files, beside a
README.md. Loading never unpickles.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from safetensors.torch import save_model
from torch import Tensor, nn

from asr.data.batches import by_length
from asr.errors import ConfigError, ModelError
from asr.model.features import frame_mask
from asr.model.folder import Kind, let_all_read, read_config, write_config
from asr.model.weights import read_weights
from asr.settings import build, require
from asr.text import load_tokenizer
from asr.text.tokenizer import Tokenizer

BOUNDARY = Tokenizer.blank_id
KIND = Kind("recurrent language model", "asr lm train", "recurrent_lm")
LARGEST = 1 << 16  # units of a layer

State: TypeAlias = Tensor | tuple[Tensor, Tensor]
"""What a network remembers of the tokens before: h, with LSTM (h, c), each (num_layers, B, hidden_size)."""


@dataclass(frozen=True)
class RecurrentLMConfig:
    """Settings of the network. Raises ConfigError for values that make none."""

    cell: Literal["lstm", "gru", "rnn_tanh", "rnn_relu"] = "lstm"
    num_layers: int = 2
    embedding_size: int = 512
    hidden_size: int = 512
    dropout: float = 0.3  # of the embeddings, between layers, before the output
    tie_weights: bool = True  # the output layer's matrix is the embedding's (Press and Wolf, 2017)

    def __post_init__(self) -> None:
        tied = self.tie_weights
        require(
            "model",
            (1 <= self.num_layers <= 100, "num_layers", self.num_layers, "1 to 100"),
            (1 <= self.embedding_size <= LARGEST, "embedding_size", self.embedding_size, f"1 to {LARGEST}"),
            (1 <= self.hidden_size <= LARGEST, "hidden_size", self.hidden_size, f"1 to {LARGEST}"),
            (not tied or self.embedding_size == self.hidden_size, "embedding_size", self.embedding_size,
             f"hidden_size ({self.hidden_size}), or tie_weights: false"),
            (0 <= self.dropout < 1, "dropout", self.dropout, "0 to below 1"),
        )  # fmt: skip


class Perplexity(NamedTuple):
    """How a text surprises a model; the ends of sentences are counted among the words and the tokens."""

    per_word: float  # comparable between models of any units
    per_token: float
    log_prob: float  # of the whole text
    sentences: int
    words: int  # ends of sentences not counted
    tokens: int  # ends of sentences not counted

    def to_dict(self) -> dict[str, float]:
        """Figures for a JSON file."""
        return self._asdict()

    def summary(self) -> str:
        """One line."""
        return (
            f"perplexity {self.per_word:.2f} per word, {self.per_token:.2f} per token ({self.sentences} sentences, "
            f"{self.words} words, {self.tokens} tokens)"
        )


class RecurrentLM(nn.Module):
    """tokens (B, U) int64, state of the tokens before -> log_probs (B, U, V) of the next tokens, state."""

    def __init__(self, config: RecurrentLMConfig, tokenizer: Tokenizer):
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.embedding = nn.Embedding(tokenizer.vocab_size, config.embedding_size)
        self.dropout = nn.Dropout(config.dropout)
        cells = {"lstm": nn.LSTM, "gru": nn.GRU}
        options: dict[str, Any] = {} if config.cell in cells else {"nonlinearity": config.cell.removeprefix("rnn_")}
        self.rnn: nn.RNNBase = cells.get(config.cell, nn.RNN)(
            config.embedding_size,
            config.hidden_size,
            config.num_layers,
            batch_first=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
            **options,
        )
        self.head = nn.Linear(config.hidden_size, tokenizer.vocab_size)
        if config.tie_weights:
            # As an embedding is drawn by default, with deviation 1, the first outputs would be far too certain.
            nn.init.normal_(self.embedding.weight, std=config.hidden_size**-0.5)
            self.head.weight = self.embedding.weight

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        x, state = self.rnn(self.dropout(self.embedding(tokens)), state)
        return self.head(self.dropout(x)).float().log_softmax(dim=-1), state

    def log_probs_of(self, sentences: Tensor, num_targets: Tensor) -> Tensor:
        """The log-probability of each sentence as `frame_sentences` makes them: (B, U + 2), (B,) -> (B,) float64."""
        log_probs: Tensor = self(sentences[:, :-1])[0]
        targets = log_probs.gather(2, sentences[:, 1:, None])[:, :, 0]
        return targets.double().masked_fill(~frame_mask(num_targets, targets.shape[1]), 0.0).sum(dim=1)

    def score(self, texts: Sequence[str], max_batch_tokens: int = 4096) -> list[float]:
        """The log-probability of each text as a whole sentence, its end included.

        For subwords that is the probability of the best segmentation. Raises TextError for a text with symbols that the
        tokenizer does not know.
        """
        return self._score([self.tokenizer.encode(text) for text in texts], max_batch_tokens)

    @torch.inference_mode()
    def _score(self, encoded: list[list[int]], max_batch_tokens: int) -> list[float]:
        scores = [0.0] * len(encoded)
        for rows in by_length([len(ids) + 1 for ids in encoded], max_batch_tokens):
            sentences, num_targets = frame_sentences([encoded[i] for i in rows])
            found = self.log_probs_of(sentences.to(self.device), num_targets.to(self.device)).tolist()
            for i, value in zip(rows, found, strict=True):
                scores[i] = value
        return scores

    def perplexity(self, texts: Sequence[str], max_batch_tokens: int = 4096) -> Perplexity:
        """Of the texts together: exp(-log-probability / (words + sentences)). Raises TextError as `score` does."""
        encoded = [self.tokenizer.encode(text) for text in texts]
        tokens = sum(map(len, encoded))
        words = sum(len(text.split()) for text in texts)
        log_prob = math.fsum(self._score(encoded, max_batch_tokens))
        count = len(texts)
        return Perplexity(
            per_word=to_perplexity(log_prob, words + count),
            per_token=to_perplexity(log_prob, tokens + count),
            log_prob=log_prob,
            sentences=count,
            words=words,
            tokens=tokens,
        )

    def save(self, folder: Path | str, card: str = "") -> None:
        """Write the folder; `card` becomes its README.md."""
        folder = Path(folder)
        write_config(folder, KIND, asdict(self.config), self.tokenizer, card)
        save_model(self, str(folder / "model.safetensors"))
        let_all_read(folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path | str) -> "RecurrentLM":
        """Read a folder, ready to score on the CPU.

        Raises ModelError where it is missing, incomplete, damaged, of a format this version does not know, or not a
        language model's.
        """
        folder = Path(folder)
        config = read_config(folder, KIND)
        tokenizer = load_tokenizer(folder, config.pop("tokenizer"))
        try:
            settings = build(RecurrentLMConfig, config, str(folder / "config.json"))
        except ConfigError as error:
            raise ModelError(f"{folder}: the language model cannot be loaded: {error}") from error
        with torch.device("meta"):
            shapes = cls(settings, tokenizer)
        weights = read_weights(folder / "model.safetensors", shapes)
        model = cls(settings, tokenizer)
        model.load_state_dict(weights)
        return model.eval()


def frame_sentences(sentences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids -> (B, U + 2) int64 with a boundary before and after each, padded with boundaries; (B,) tokens to predict."""
    num_targets = torch.tensor([len(sentence) + 1 for sentence in sentences])
    framed = torch.full((len(sentences), int(num_targets.max()) + 1), BOUNDARY)
    for i, sentence in enumerate(sentences):
        framed[i, 1 : len(sentence) + 1] = torch.as_tensor(sentence, dtype=torch.int64)
    return framed, num_targets


def to_perplexity(log_prob: float, count: int) -> float:
    """exp(-log_prob / count), infinite beyond what a float holds."""
    surprise = -log_prob / max(1, count)
    return math.exp(surprise) if surprise < 700 else math.inf
