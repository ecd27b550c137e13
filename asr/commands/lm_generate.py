"""Let a recurrent language model write sentences: a look at what it has learnt.

    asr lm generate runs/lm/model
    asr lm generate runs/lm/model --prompt "I WOULD LIKE" --count 5 --temperature 0.7
    asr lm generate runs/lm/model --prompt "I WOULD LIKE" --temperature 0

The prompt is written as the training text was (capitals, say). The same --seed gives the same sentences.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="folder of a recurrent language model: RUN/model of `asr lm train`")
    parser.add_argument("--prompt", default="", help="how the sentences begin (default: anyhow)")
    parser.add_argument("--count", type=int, default=5, help="how many sentences (default: %(default)s)")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="below 1 prefers likely tokens, 0 always takes the likeliest (default: %(default)s)",
    )
    parser.add_argument("--top-k", type=int, default=0, help="draw from so many likeliest tokens only (default: all)")
    parser.add_argument(
        "--max-tokens", type=int, default=200, help="at most so many after the prompt (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random draws (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from asr.lm.generate import generate
    from asr.lm.recurrent import RecurrentLM

    lm = RecurrentLM.load(args.model)
    sentences = generate(
        lm,
        args.prompt,
        count=args.count,
        temperature=args.temperature,
        top_k=args.top_k,
        max_tokens=args.max_tokens,
        seed=args.seed,
    )
    print("\n".join(sentences))
    return 0
