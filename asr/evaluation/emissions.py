"""Log-probabilities of a data set, batch by batch: what decoders read."""

from collections.abc import Iterator

import torch
from torch import Tensor

from asr.data.batches import BucketBatchSampler, SpeechDataset, batch_loader
from asr.model.contract import AcousticModel, log_probs_of


@torch.inference_mode()
def emissions(
    model: AcousticModel, dataset: SpeechDataset, max_batch_seconds: float = 120.0
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Batches of utterances of like length: their rows in the data set, log_probs (B, T, V), num_frames (B,).

    Raises AudioError for files that cannot be read, ModelError for a model whose output is not a number.
    """
    sampler = BucketBatchSampler(dataset, max(max_batch_seconds, dataset.seconds.max()), shuffle=False)
    rows = [[item.row for item in items] for items in sampler]
    for batch_rows, batch in zip(rows, batch_loader(sampler), strict=True):
        yield batch_rows, *log_probs_of(model, batch.waveforms.to(model.device), batch.num_samples.to(model.device))
