"""Word error rate of a model on manifests.

    asr evaluate runs/digits/model data/fsdd/test.jsonl --json result.json
    asr evaluate runs/speechocean762-phones/model data/speechocean762/test.jsonl --lm lm

Errors are counted over all utterances, then divided by the reference's words (phones, for a model of phones). The 95 %
confidence intervals are by bootstrap (Bisani and Ney, 2004), over speakers where the manifest names them.
"""

import argparse
import json

from asr.commands import decoding, options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model folder, or the name of a model that comes with asr")
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="JSONL manifests")
    options.add_report(parser)
    parser.add_argument("--embed-audio", action="store_true", help="put the sound into the page instead of linking it")
    parser.add_argument("--vocabulary", metavar="FILE", help="text or manifest of training: count words outside it")
    options.add_text_scheme(parser, "references and hypotheses before scoring", of_model=True)
    parser.add_argument("--hypotheses", metavar="FILE", help="write id, text, pred_text, speaker as JSONL")
    parser.add_argument("--max-batch-seconds", type=float, default=120.0, help="audio in a batch (default: 120)")
    parser.add_argument("--device", default="cpu", help="torch device, e.g. cuda (default: cpu)")
    decoding.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from asr.evaluation.evaluate import evaluate
    from asr.model.load import load_model_folder
    from asr.settings import require

    seconds = args.max_batch_seconds
    require("", (seconds > 0, "--max-batch-seconds", f"{seconds:g}", "more than 0"))
    options.check_report(args)
    options.check_output("--hypotheses", args.hypotheses)
    utterances = options.read_manifests(args.manifests)
    vocabulary = None
    if args.vocabulary:
        from asr.lm.sentences import read_sentences

        vocabulary = {word for text in read_sentences(args.vocabulary) for word in text.split()}
    model = load_model_folder(args.model, args.device)
    decoder = decoding.build(args, model)
    with tqdm(total=len(utterances), unit="utt", disable=None, leave=False) as bar:
        result = evaluate(
            model,
            utterances,
            decoder,
            text_scheme=args.text_scheme,
            max_batch_seconds=seconds,
            progress=bar.update,
        )
    title = f"{args.model} on {', '.join(args.manifests)}"
    options.report(args, result, title, None, vocabulary, args.embed_audio)
    if args.hypotheses:
        lines = (
            {"id": row.id, "text": reference, "pred_text": hypothesis.text, "speaker": row.speaker}
            for row, reference, hypothesis in zip(utterances, result.references, result.hypotheses, strict=True)
        )
        options.write(args.hypotheses, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return 0
