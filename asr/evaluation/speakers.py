"""Word error rates of recordings in which several people speak, by the package meeteval.

cpWER: each speaker's turns are joined in order of time, and of all ways to give the found speakers to those that speak
that one counts which has the fewest errors (Watanabe et al., 2020, arXiv 2004.09249). A speaker who is not
found has all words deleted, one too many all inserted. tcpWER: the same where words may only match, or stand for each
other, whose times are at most a collar apart, those within a turn being spread over it by their letters (von Neumann et
al., 2023, arXiv 2307.11394). ORC-WER: the streams of words that a system gives are no speakers, and each turn may be in
any of them, so that only the words count (von Neumann et al., 2022, arXiv 2211.16112); tcORC-WER is it with a collar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asr.errors import ConfigError, DataError
from asr.evaluation.scoring import ErrorCounts
from asr.evaluation.speaker_measures import COLLAR, MEASURES, TIMED
from asr.evaluation.transcripts.rows import listed, unpaired
from asr.evaluation.transcripts.turns import Turn
from asr.text.normalise import normalise_what_can_be


@dataclass(frozen=True)
class RecordingErrors:
    """The errors of a recording, and who was taken for whom."""

    id: str
    words: ErrorCounts
    speakers: int = 0  # of the reference
    missed: int = 0  # speakers of the reference without one of the hypothesis
    false_alarms: int = 0  # speakers of the hypothesis without one of the reference
    assignment: tuple[tuple[str | None, str | None], ...] = ()  # (reference, hypothesis); none of ORC

    def to_dict(self) -> dict[str, Any]:
        assignment = {"assignment": [list(pair) for pair in self.assignment]} if self.assignment else {}
        return {"id": self.id, **self.words.to_dict(), **_speakers(self), **assignment}


@dataclass(frozen=True)
class SpeakerErrors:
    """The errors of all recordings by one measure."""

    measure: str  # of MEASURES
    collar: float | None  # seconds; None where times do not count
    recordings: tuple[RecordingErrors, ...]

    @property
    def total(self) -> RecordingErrors:
        """Their sum."""
        all_of = self.recordings
        return RecordingErrors(
            "all",
            sum((one.words for one in all_of), ErrorCounts()),
            sum(one.speakers for one in all_of),
            sum(one.missed for one in all_of),
            sum(one.false_alarms for one in all_of),
        )

    def describe(self) -> str:
        """A line for each recording, and one for all."""
        name = MEASURES[self.measure] + ("" if self.collar is None else f" (collar {self.collar:g} s)")
        lines = [f"{one.id}\t{one.words.describe('words')}{_assigned(one)}" for one in self.recordings]
        total = self.total
        told = f"; speakers: {total.speakers}, {total.missed} missed, {total.false_alarms} too many"
        found = told if self.measure in ("cp", "tcp") else ""
        return "\n".join([*lines, f"{name} {total.words.describe('words')}{found}"])

    def to_dict(self) -> dict[str, Any]:
        """Figures for a JSON file."""
        return {
            "measure": MEASURES[self.measure],
            "collar": self.collar,
            **self.total.words.to_dict(),
            **_speakers(self.total),
            "recordings": [one.to_dict() for one in self.recordings],
        }


def _speakers(errors: RecordingErrors) -> dict[str, int]:
    return {"speakers": errors.speakers, "missed_speakers": errors.missed, "false_alarm_speakers": errors.false_alarms}


def _assigned(errors: RecordingErrors) -> str:
    pairs = (f"{wanted or 'nobody'} = {found or 'nobody'}" for wanted, found in errors.assignment)
    return f"\t{', '.join(pairs)}" if errors.assignment else ""


def count_speaker_errors(
    references: Sequence[Turn],
    hypotheses: Sequence[Turn],
    measure: str = "cp",
    collar: float = COLLAR,
    text_scheme: str = "none",
) -> SpeakerErrors:
    """The errors of each recording, in the order of the references, all texts in a text scheme.

    measure: of MEASURES; collar: seconds, for those of TIMED. Raises ConfigError where meeteval is not installed,
    DataError for recordings that only one side has, times that are wanted and not told, and more speakers than
    meeteval takes.
    """
    score = _measure(measure)
    if not 0 <= collar < float("inf"):
        raise ConfigError(f"--collar: found {collar:g}, wanted seconds, 0 or more")
    _same_recordings(references, hypotheses)
    timed = measure in TIMED
    sides = [
        _segments(turns, timed, text_scheme, side)
        for turns, side in ((references, "references"), (hypotheses, "hypotheses"))
    ]
    # Without times the order is the file's, or what _segments made of it.
    options: dict[str, Any] = {"collar": collar} if timed else {"reference_sort": False, "hypothesis_sort": False}
    try:
        found = score(*sides, **options)
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{MEASURES[measure]}: {' '.join(str(error).split())}") from error
    order = dict.fromkeys(turn.recording for turn in references)
    recordings = tuple(_errors(name, found[name]) for name in order)
    return SpeakerErrors(measure, collar if timed else None, recordings)


def _measure(name: str) -> Any:
    try:
        from meeteval.wer import cpwer, orcwer, tcorcwer, tcpwer
    except ImportError as error:
        raise ConfigError(f"--speakers needs {error.name}: pip install 'asr[speakers]'") from error
    functions = {"cp": cpwer, "tcp": tcpwer, "orc": orcwer, "tcorc": tcorcwer}
    if name not in functions:
        raise ConfigError(f"--speakers: found {name!r}, wanted one of {', '.join(MEASURES)}")
    return functions[name]


def _same_recordings(references: Sequence[Turn], hypotheses: Sequence[Turn]) -> None:
    wanted, found = (sorted({turn.recording for turn in turns}) for turns in (references, hypotheses))
    if problems := unpaired(wanted, found):
        raise DataError(
            f"recordings {problems}. Each must be in both; one in which nothing is found has a turn without words"
        )


def _segments(turns: Sequence[Turn], timed: bool, text_scheme: str, side: str) -> Any:
    """meeteval's segments, each speaker's in order of time where all of the recording are told."""
    from meeteval.io import SegLST

    untold = {turn.recording for turn in turns if turn.start is None or (timed and turn.end is None)}
    if untold and timed:
        raise DataError(
            f"the {side} have turns without times, in {listed(sorted(untold))}: with a collar each needs both (JSONL: "
            "offset and duration; SegLST: start_time and end_time). Without times there is --speakers cp"
        )
    order = sorted(turns, key=lambda turn: 0.0 if turn.recording in untold else turn.start or 0.0)
    segments = [
        {
            "session_id": turn.recording,
            "speaker": turn.speaker,
            "words": normalise_what_can_be(turn.text, text_scheme),
            **({"start_time": turn.start, "end_time": turn.end} if timed else {}),
        }
        for turn in order
    ]
    return SegLST(segments)


def _errors(name: str, found: Any) -> RecordingErrors:
    hits = found.length - found.substitutions - found.deletions
    words = ErrorCounts(hits, found.substitutions, found.deletions, found.insertions)
    if not hasattr(found, "missed_speaker"):  # of ORC
        return RecordingErrors(name, words)
    return RecordingErrors(
        name, words, found.scored_speaker, found.missed_speaker, found.falarm_speaker, tuple(found.assignment)
    )
