"""Log-probabilities of a data set, batch by batch: what decoders read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from asr.data.batches import BucketBatchSampler, SpeechDataset, batch_loader

if TYPE_CHECKING:
    from asr.model.contract import AcousticModel


@torch.inference_mode()
def emissions(
    model: "AcousticModel", dataset: SpeechDataset, max_batch_seconds: float = 120.0
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Batches of utterances of like length: their rows in the data set, log_probs (B, T, V), num_frames (B,).

    Raises AudioError for files that cannot be read.
    """
    sampler = BucketBatchSampler(dataset, max(max_batch_seconds, dataset.seconds.max()), shuffle=False)
    rows = [[item.row for item in items] for items in sampler]
    for batch_rows, batch in zip(rows, batch_loader(sampler), strict=True):
        yield batch_rows, *model(batch.waveforms.to(model.device), batch.num_samples.to(model.device))
