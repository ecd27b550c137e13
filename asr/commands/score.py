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
"""

import argparse
import sys

from asr.commands import options
from asr.evaluation.transcripts import FORMATS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    formats = tuple(FORMATS)
    parser.add_argument("reference", metavar="REF", help="what was said")
    parser.add_argument("hypothesis", metavar="HYP", help="what was recognised")
    parser.add_argument("--ref-format", choices=formats, help="format of REF (default: found out)")
    parser.add_argument("--hyp-format", choices=formats, help="format of HYP (default: found out)")
    options.add_text_scheme(parser, "both")
    options.add_report(parser)


def run(args: argparse.Namespace) -> int:
    from asr.evaluation.evaluate import evaluate_pairs
    from asr.evaluation.transcripts import detect_format, pair_transcripts
    from asr.evaluation.writing import hint

    options.check_report(args)
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
