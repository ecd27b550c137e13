"""Word error rate of given hypotheses against references, in any mix of formats.

    asr score ref.txt hyp.txt
    asr score test.trn hyp.trn --text-scheme english
    asr score test.jsonl hypotheses.jsonl --json result.json

Formats: text (paired line by line), kaldi (`id words`), trn (sclite's `words (id)`), jsonl (id, text or pred_text);
found by ending and content unless named.
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
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from asr.evaluation.scoring import count_errors, finite
    from asr.evaluation.transcripts import pair_transcripts
    from asr.evaluation.writing import hint
    from asr.text.normalise import normalise

    options.check_output("--json", args.json)
    pairs = pair_transcripts(args.reference, args.hypothesis, args.ref_format, args.hyp_format)
    references = [normalise(pair.reference, args.text_scheme) for pair in pairs]
    hypotheses = [normalise(pair.hypothesis, args.text_scheme) for pair in pairs]
    words = count_errors(references, hypotheses, unit="word")
    characters = count_errors(references, hypotheses, unit="character")
    if args.text_scheme == "none" and (told := hint(references, hypotheses, words)):
        print(f"asr score: {told}", file=sys.stderr)
    print(f"WER {words.describe('words')}\nCER {characters.describe('characters')}\n{len(pairs)} utterances")
    figures = {**words.to_dict(), "cer": finite(characters.rate), "utterances": len(pairs)}
    options.write_json(args.json, figures)
    return 0
