"""A model as ONNX, for onnxruntime in any language.

    asr export runs/digits/model --output exported
    asr export runs/digits/model --output exported-int8 --int8
    asr transcribe --model exported-int8 recording.wav
    asr evaluate exported-int8 data/fsdd/test.jsonl

The exported folder is a model folder: `transcribe`, `evaluate` and `align` take it as they take the one it came from.
For other programs, features.onnx turns waveforms into features, and model.onnx those into log-probabilities; batch size
and length are free. Before anything is written the log-probabilities are compared with PyTorch's.
--int8 makes it about a quarter of the size, and on most CPUs faster; evaluate it to see what that costs.

Needs: pip install 'asr[onnx]'
"""

import argparse
from pathlib import Path

from asr.commands import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model folder, or the name of a model that comes with asr")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to make; it must not exist yet")
    parser.add_argument("--int8", action="store_true", help="quantise the weights (dynamic quantisation; LSTM only)")


def run(args: argparse.Namespace) -> int:
    from asr.model.export import export
    from asr.model.onnx_model import FILE

    options.check_output("--output", args.output, folder=True)
    _, difference = export(args.model, args.output, int8=args.int8)
    size = (Path(args.output) / FILE).stat().st_size / 1e6
    print(f"{args.output}: {size:.1f} MB; log-probs within {difference:.1e} of PyTorch's on test signals")
    return 0
