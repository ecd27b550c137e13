"""Transcriber: recordings of any length to what is said in them, in memory that does not grow with the length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, overload

import numpy as np

from asr.decoders import Decoder, Hypothesis
from asr.errors import AudioError, ConfigError, UserError
from asr.model.contract import AcousticModel
from asr.transcription.batch import Recognised, recognise_all
from asr.transcription.recogniser import Precision, Recogniser
from asr.transcription.sound import Sound, Source, open_source
from asr.transcription.transcript import Transcript

OnProgress = Callable[[float], object]
"""Is called with the share (0 to 1) that is done, every two or three minutes of audio, and with 1 at the end."""


class Transcriber:
    """A model and a decoder (greedy by default), ready to turn recordings into text; `asr.load_model` makes it.

    A recording is a sound file's path, a sound file opened in binary mode, or a waveform: an array or tensor (S,),
    (S, channels) or (channels, S) of floats of full scale 1, or of PCM of 8, 16 or 32 bits. `sample_rate` is a
    waveform's in Hz, by default the model's. Channels are averaged unless `channel` (0 is the first) is given.
    Every method raises AudioError for what is no recording, or cannot be read.
    """

    def __init__(
        self,
        model: AcousticModel,
        decoder: Decoder | None = None,
        *,
        n_best: int = 1,
        precision: Precision = "fp32",
        batch_seconds: float = 120.0,
    ):
        """
        n_best: hypotheses that `hypotheses` gives, of as many as the decoder lists
        precision: what the network computes in, features and log-probs excepted
        batch_seconds: audio that is computed at once, padding included

        Raises ConfigError for impossible values, and for a precision that the device does not have.
        """
        if n_best < 1:
            raise ConfigError(f"n_best: found {n_best}, wanted at least 1")
        self.recogniser = Recogniser(model, decoder, precision=precision, batch_seconds=batch_seconds)
        self.n_best = n_best

    @property
    def model(self) -> AcousticModel:
        return self.recogniser.model

    @property
    def decoder(self) -> Decoder:
        return self.recogniser.decoder

    def __repr__(self) -> str:
        model = self.model
        name = model.folder.name if model.folder else type(model).__name__
        units = f"{model.tokenizer.vocab_size} {model.tokenizer.kind} with blank"
        frames = f"{model.sample_rate} Hz, {model.seconds_per_frame * 1000:g} ms a frame"
        return f"<Transcriber {name}: {units}; {frames}; {self.decoder}; {model.device}, {self.recogniser.precision}>"

    def transcribe(
        self,
        source: Source,
        sample_rate: int | None = None,
        channel: int | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> Transcript:
        """What is said in one recording."""
        return self._one(source, sample_rate, channel, on_progress).transcript()

    @overload
    def transcribe_batch(
        self,
        sources: Iterable[Source],
        sample_rate: int | None = None,
        channel: int | None = None,
        *,
        on_progress: OnProgress | None = None,
        return_errors: Literal[False] = False,
    ) -> list[Transcript]: ...

    @overload
    def transcribe_batch(
        self,
        sources: Iterable[Source],
        sample_rate: int | None = None,
        channel: int | None = None,
        *,
        on_progress: OnProgress | None = None,
        return_errors: Literal[True],
    ) -> list[Transcript | UserError]: ...

    def transcribe_batch(
        self,
        sources: Iterable[Source],
        sample_rate: int | None = None,
        channel: int | None = None,
        *,
        on_progress: OnProgress | None = None,
        return_errors: bool = False,
    ) -> Sequence[Transcript | UserError]:
        """What is said in each of several recordings, of any lengths, in their order; faster than one by one.

        return_errors: give the error in the place of a recording that cannot be read, in place of raising the first.
        What is no recording at all is raised before any work is done.
        """
        if isinstance(sources, str | bytes) or hasattr(sources, "__fspath__") or hasattr(sources, "read"):
            raise AudioError("transcribe_batch: found one recording, wanted a list of them; transcribe takes one")
        if not isinstance(sources, Iterable) or hasattr(sources, "__array__"):
            raise AudioError(
                f"transcribe_batch: found {type(sources).__name__}, wanted a list of recordings; transcribe takes one "
                "waveform, and list(waveforms) is a list of several of the same length"
            )
        sounds = [
            open_source(source, self.model.sample_rate, sample_rate, channel, f"sources[{number}]")
            for number, source in enumerate(sources)
        ]
        results: list[Transcript | UserError] = []
        for found in self._recognised(sounds, on_progress):
            if found.problem and not return_errors:
                raise found.problem
            results.append(found.problem or found.transcript())
        return results

    def hypotheses(
        self,
        source: Source,
        sample_rate: int | None = None,
        channel: int | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> list[list[Hypothesis]]:
        """The likeliest texts of each segment of `transcribe`'s result: at most `n_best`, the best first.

        Words' times are seconds, and tokens' spans frames, from the recording's beginning.
        """
        found = self._one(source, sample_rate, channel, on_progress)
        return [[self._moved(hypothesis, start) for hypothesis in listed] for start, listed in found.sentences]

    def log_probs(self, source: Source, sample_rate: int | None = None, channel: int | None = None) -> np.ndarray:
        """(T, V) float32: on each frame, the log-probability of each token, the blank included.

        Frame t begins at t * model.seconds_per_frame seconds. A recording of more than half a minute is not cut at its
        pauses, as it is for `transcribe`, but goes through the network in overlapping windows.
        """
        sound = open_source(source, self.model.sample_rate, sample_rate, channel)
        return self.recogniser.log_probs([sound.waveform()])[0].numpy()

    def _one(
        self, source: Source, sample_rate: int | None, channel: int | None, on_progress: OnProgress | None
    ) -> Recognised:
        sound = open_source(source, self.model.sample_rate, sample_rate, channel)
        (found,) = self._recognised([sound], on_progress)
        if found.problem:
            raise found.problem
        return found

    def _recognised(self, sounds: list[Sound], on_progress: OnProgress | None) -> Iterator[Recognised]:
        finished, part = 0, 0.0  # recordings, and the share of the next one

        def progress(fraction: float, seconds: float) -> None:
            nonlocal part
            part += fraction
            if on_progress and fraction and part < 1:
                on_progress((finished + part) / len(sounds))

        for found in recognise_all(self.recogniser, sounds, progress, self.n_best):
            finished, part = finished + 1, 0.0
            if on_progress:
                on_progress(finished / len(sounds))
            yield found

    def _moved(self, hypothesis: Hypothesis, start: float) -> Hypothesis:
        """The same so many seconds later."""
        frames = round(start / self.model.seconds_per_frame)
        return replace(
            hypothesis,
            words=tuple(replace(word, start=word.start + start, end=word.end + start) for word in hypothesis.words),
            spans=tuple((first + frames, stop + frames) for first, stop in hypothesis.spans),
        )
