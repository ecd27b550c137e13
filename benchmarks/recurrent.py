"""Training step (forward and backward) of recurrent layers: ours against the plain PyTorch way, side by side.

    python benchmarks/recurrent.py [--device cuda] [--threads 2] [--cell lstm] [--precision bf16]

The plain way is nn.LSTM over a PackedSequence, all layers in one module: exact, as ours is. "padded" is the same module
on the padded batch, which is fast and inexact: its backward direction starts in the padding. Same sizes, same batches,
runs interleaved; the ratio is the median of the paired runs' ratios, above 1 where ours is faster.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from asr.model.encoders.recurrent import recur

SIZES = [(100, 24, 320), (100, 8, 320), (100, 24, 256), (100, 32, 512), (400, 16, 320)]  # frames, batch, width
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN}


def ours(layers: nn.ModuleList, x: Tensor, lengths: Tensor) -> Tensor:
    for layer in layers:
        assert isinstance(layer, nn.RNNBase)
        x = recur(layer, x, lengths, [weight for direction in layer.all_weights for weight in direction])
    return x


def plain(module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(module(packed)[0], batch_first=True, total_length=x.shape[1])[0]


def padded(module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    return module(x)[0]


def seconds(run: Callable[[], Tensor], precision: str) -> float:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    started = time.perf_counter()
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        loss = run().float().square().mean()
    loss.backward()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cell", choices=CELLS, default="lstm")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"{args.cell}, {args.layers} bidirectional layers, {args.device}, {args.precision}, {args.threads} threads")
    print("frames x batch x width | ours (s) | against packed (exact) | against padded (inexact)")
    for frames, batch, width in SIZES:
        make, depth = CELLS[args.cell], args.layers
        options = {"bidirectional": True, "batch_first": True}
        whole = make(width, width, depth, **options).to(args.device)
        sizes = [width] + [2 * width] * (depth - 1)
        layers = nn.ModuleList(make(size, width, **options) for size in sizes).to(args.device)
        x = torch.randn(batch, frames, width, device=args.device)
        lengths = torch.linspace(0.7 * frames, frames, batch).long().to(args.device)
        ways = [
            lambda: ours(layers, x, lengths),  # noqa: B023 - called within this pass of the loop
            lambda: plain(whole, x, lengths),  # noqa: B023
            lambda: padded(whole, x, lengths),  # noqa: B023
        ]
        for way in ways:
            try:
                seconds(way, args.precision)
            except RuntimeError as error:
                print(f"{frames} x {batch} x {width}: cannot run: {error}")
                break
        else:
            runs = [[seconds(way, args.precision) for way in ways] for _ in range(args.repeats)]
            ratio = [statistics.median(run[i] / run[0] for run in runs) for i in range(3)]
            own = statistics.median(run[0] for run in runs)
            print(f"{frames:4} x {batch:3} x {width:4} | {own:8.3f} | {ratio[1]:6.2f} | {ratio[2]:6.2f}", flush=True)


if __name__ == "__main__":
    main()
