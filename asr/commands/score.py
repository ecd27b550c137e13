"""Word error rate of given hypotheses against references, in any mix of formats.

    asr score ref.txt hyp.txt
    asr score test.trn hyp.trn --text-scheme english
    asr score test.jsonl hypotheses.jsonl --json result.json
    asr score test.stm hyp.ctm --text-scheme case
    asr score talk.txt talk.whisper.json --text-scheme basic

Formats, found by ending and content unless named: text (paired line by line), kaldi (`id words`), trn (sclite's `words
(id)`, with {alternatives / or / @} and (optional) words), stm and ctm (aligned by time), jsonl (id or audio_filepath,
text or pred_text), whisper (JSON of a recording), table (CSV or TSV with named columns), subtitles (SRT, WebVTT), and
folder (of .txt, .json, .srt or .vtt, a file for each recording). Ids are compared without case, as sclite does.

    asr score meeting.stm meeting.json --speakers              # several speakers: cpWER
    asr score meeting.stm meeting.json --speakers tcp --collar 5
    asr score aligned.TextGrid recording.json --times          # when words are said
    asr score textgrids/ hyp.ctm --times --text-scheme english

--speakers: REF and HYP are STM, SegLST (JSON) or JSONL with speaker and session_id (else audio_filepath), for times
offset and duration. cp: each speaker's words, under the best assignment of speakers; tcp: and they lie no further apart
than the collar; orc, tcorc: whoever says them. Needs: pip install 'asr[speakers]'

--times: REF and HYP are TextGrid, CTM, JSON of asr align, asr transcribe or whisper, or folders of them; prints how far
the beginnings and ends of the words lie apart that both have. docs/speakers_and_times.md tells when to use which.
"""

import argparse
import sys

from asr.commands import options
from asr.errors import ConfigError
from asr.evaluation.speaker_measures import COLLAR, MEASURES, TIMED
from asr.evaluation.transcripts import FORMATS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    formats = tuple(FORMATS)
    parser.add_argument("reference", metavar="REF", help="what was said")
    parser.add_argument("hypothesis", metavar="HYP", help="what was recognised")
    parser.add_argument("--ref-format", choices=formats, help="format of REF (default: found out)")
    parser.add_argument("--hyp-format", choices=formats, help="format of HYP (default: found out)")
    options.add_text_scheme(parser, "both")
    options.add_report(parser)
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument(
        "--speakers", nargs="?", const="cp", choices=MEASURES, metavar="MEASURE",
        help=f"score several speakers: {', '.join(MEASURES)} (default: cp)",
    )  # fmt: skip
    modes.add_argument("--times", action="store_true", help="score when words are said")
    parser.add_argument("--collar", type=float, metavar="SECONDS", help=f"of tcp and tcorc (default: {COLLAR:g})")
    parser.add_argument("--tier", metavar="NAME", help="of TextGrids (default: one called words, or the only one)")


def run(args: argparse.Namespace) -> int:
    _check(args)
    if args.speakers:
        return _score_speakers(args)
    return _score_times(args) if args.times else _score_words(args)


def _score_words(args: argparse.Namespace) -> int:
    from asr.evaluation.evaluate import evaluate_pairs
    from asr.evaluation.transcripts import detect_format, pair_transcripts
    from asr.evaluation.writing import hint

    formats = args.ref_format or detect_format(args.reference), args.hyp_format or detect_format(args.hypothesis)
    result = evaluate_pairs(
        pair_transcripts(args.reference, args.hypothesis, *formats, args.text_scheme), args.text_scheme
    )
    if args.text_scheme == "none" and (told := hint(result.references, result.texts, result.words)):
        print(f"asr score: {told}", file=sys.stderr)
    print(f"{args.reference} read as {formats[0]}, {args.hypothesis} as {formats[1]}")
    read = {"reference_format": formats[0], "hypothesis_format": formats[1]}
    options.report(args, result, f"{args.hypothesis} against {args.reference}", read)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise ConfigError for options that do not go together, and results that cannot be written."""
    options.check_report(args)
    mode = f"--speakers {args.speakers}" if args.speakers else "--times" if args.times else "words"
    belong = {
        "--ref-format": (args.ref_format, mode == "words"),
        "--hyp-format": (args.hyp_format, mode == "words"),
        "--html": (args.html, mode == "words"),
        "--details": (args.details, mode == "words"),
        "--collar": (args.collar is not None, args.speakers in TIMED),
        "--tier": (args.tier is not None, mode == "--times"),
    }
    for option, (given, belongs) in belong.items():
        if given and not belongs:
            wanted = {"--collar": "--speakers tcp or tcorc", "--tier": "--times"}.get(option, "a WER of texts")
            raise ConfigError(f"{option} is for {wanted}; found with {mode}")


def _score_speakers(args: argparse.Namespace) -> int:
    from asr.evaluation.speakers import count_speaker_errors
    from asr.evaluation.transcripts.turns import read_turns

    turns = read_turns(args.reference), read_turns(args.hypothesis, hypotheses=True)
    collar = COLLAR if args.collar is None else args.collar
    result = count_speaker_errors(*turns, args.speakers, collar, args.text_scheme)
    print(result.describe())
    options.write_json(args.json, {"text_scheme": args.text_scheme, **result.to_dict()})
    return 0


def _score_times(args: argparse.Namespace) -> int:
    from asr.evaluation.times import compare_times
    from asr.evaluation.transcripts.word_times import read_word_times

    references, hypotheses = (read_word_times(path, args.tier) for path in (args.reference, args.hypothesis))
    result = compare_times(references, hypotheses, args.text_scheme)
    print(result.describe())
    options.write_json(args.json, {"text_scheme": args.text_scheme, **result.to_dict()})
    return 0
