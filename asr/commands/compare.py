"""Is one system better than another, or is the difference chance? Sets of hypotheses for the same references.

    asr evaluate MODEL_A test.jsonl --hypotheses a.jsonl
    asr evaluate MODEL_B test.jsonl --hypotheses b.jsonl
    asr compare a.jsonl b.jsonl
    asr compare a.trn b.trn c.trn --references test.trn

Paired bootstrap (Bisani and Ney, 2004), over speakers where all are known, else over utterances; and the matched-pairs
test MAPSSWE (Gillick and Cox, 1989), which sctk's sc_stats does too; with more than two systems its p is adjusted for
the number of pairs (Holm, 1979). What `asr evaluate --hypotheses` writes holds the references; for other formats (see
`asr score`) give --references.
"""

import argparse
import sys

from asr.commands import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", help="hypotheses of one system")
    parser.add_argument("others", metavar="B", nargs="+", help="hypotheses of others, for the same utterances")
    parser.add_argument("--references", metavar="REF", help="what was said (default: `text` beside `pred_text` in A)")
    options.add_text_scheme(parser, "all")
    options.add_json(parser)
    parser.add_argument("--html", metavar="FILE", help="write a page: rates with intervals, and where systems differ")


def run(args: argparse.Namespace) -> int:
    from asr.evaluation.compare import compare

    options.check_report(args)
    found = compare([args.first, *args.others], args.references, args.text_scheme)
    for told in found.hints:
        print(f"asr compare: {told}", file=sys.stderr)
    print(found.describe())
    if args.html:
        from asr.evaluation.compare_page import compare_page

        options.write(args.html, compare_page(found))
    options.write_json(args.json, found.to_dict())
    return 0
