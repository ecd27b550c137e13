"""Keep what two recognisers agree on: a manifest of the clips that label.py transcribed and a phone model hears alike.

    python recipes/english_small/agree.py recipes/english_small/labels.jsonl.xz --clips FOLDER \
        --output data/untranscribed/train.jsonl

The second recogniser is a model of ours. Its doubt about a transcript is what the transcript's phones cost more than
the phones that it finds by itself: (CTC of the transcript - CTC of the greedy path's phones) / number of phones. Wrong
or missing words cost several nats a phone, right ones about as much as on transcribed speech: `--calibrate MANIFEST`
prints, for clips of a manifest that label.py was run on, how good the transcripts are that each limit keeps.
"""

import argparse
import json
import lzma
import sys
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from asr.audio.load import load_audio
from asr.data import manifest
from asr.data.batches import by_length
from asr.data.manifest import Utterance
from asr.decoders.greedy import GreedyDecoder
from asr.errors import TextError, UserError
from asr.evaluation.scoring import count_errors
from asr.model.ctc_model import CTCModel
from asr.model.load import load_model_folder
from asr.text.normalise import normalise
from asr.text.tokenizer import ctc_frames
from asr.training.losses import ctc_losses

BATCH = 120.0  # seconds


@torch.inference_mode()
def doubts(model: CTCModel, rows: list[Utterance]) -> list[float]:
    """What each row's text costs more than what the model hears, nats a phone; infinity where it cannot be said."""
    found = [float("inf")] * len(rows)
    decode = GreedyDecoder(model.tokenizer, model.seconds_per_frame)
    lengths = [round(row.duration * model.sample_rate) for row in rows]
    for batch in tqdm(by_length(lengths, BATCH * model.sample_rate), unit="batch", disable=None):
        waveforms = [torch.from_numpy(load_audio(rows[i].audio_filepath, model.sample_rate)[0]) for i in batch]
        log_probs, num_frames = model(
            pad_sequence(waveforms, batch_first=True), torch.tensor([len(waveform) for waveform in waveforms])
        )
        for place, (i, best) in enumerate(zip(batch, decode(log_probs, num_frames), strict=True)):
            own = [model.tokenizer.ids[phone] for phone in best[0].text.split()]
            try:
                tokens = model.tokenizer.encode(rows[i].text)
            except TextError:
                continue
            if not tokens or not own or ctc_frames(tokens) > num_frames[place]:
                continue
            costs = ctc_losses(
                log_probs[place : place + 1].expand(2, -1, -1), num_frames[place].repeat(2),
                pad_sequence([torch.tensor(tokens), torch.tensor(own)], batch_first=True),
                torch.tensor([len(tokens), len(own)]),
            )  # fmt: skip
            found[i] = float(costs[0] - costs[1]) / len(tokens)
    return found


def read_labels(paths: list[Path], clips: Path, min_logprob: float) -> list[Utterance]:
    """The clips with a text that the scheme `english` takes, and of which whisper was sure enough."""
    rows, left = [], 0
    for line in (line for path in paths for line in _read(path).splitlines()):
        values = json.loads(line)
        try:
            text = normalise(values.get("pred_text", ""), "english")
        except TextError:
            text = ""
        if text and values["avg_logprob"] >= min_logprob:
            path = clips / values["audio_filepath"]
            rows.append(Utterance(path.stem, str(path), values["duration"], text))
        else:
            left += 1
    print(f"{len(rows)} clips with a usable text, {left} without", file=sys.stderr)
    return rows


def _read(path: Path) -> str:
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as file:
        return file.read()


def calibrate(rows: list[Utterance], costs: list[float], truth: dict[str, str]) -> None:
    """WER of the transcripts that each limit keeps, and how many those are."""
    for limit in (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, float("inf")):
        kept = [row for row, cost in zip(rows, costs, strict=True) if cost <= limit and row.id in truth]
        if kept:
            counts = count_errors([truth[row.id] for row in kept], [row.text for row in kept], unit="word")
            print(f"limit {limit:g}: {len(kept)} clips, WER {counts.rate:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, nargs="+", help="JSONL of label.py, or .xz of it")
    parser.add_argument("--clips", type=Path, default=Path(), help="folder that the paths in it are relative to")
    parser.add_argument("--model", help="model folder or name of the second recogniser (default: the shipped model)")
    parser.add_argument("--limit", type=float, default=0.5, help="greatest doubt, nats a phone (default: %(default)s)")
    parser.add_argument("--min-logprob", type=float, default=-0.7, help="of whisper's (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="manifest to write")
    parser.add_argument("--calibrate", type=Path, metavar="MANIFEST", help="print the WER of what limits keep, and end")
    args = parser.parse_args()
    try:
        model = load_model_folder(args.model)
        rows = read_labels(args.labels, args.clips, args.min_logprob)
        costs = doubts(model, rows)
        if args.calibrate:
            calibrate(rows, costs, {row.id: row.text for row in manifest.read(args.calibrate)})
            return
        kept = [row for row, cost in zip(rows, costs, strict=True) if cost <= args.limit]
        args.output.parent.mkdir(parents=True, exist_ok=True)
        manifest.write(args.output, kept)
        hours = sum(row.duration for row in kept) / 3600
        print(f"{args.output}: {len(kept)} of {len(rows)} clips, {hours:.2f} h")
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
