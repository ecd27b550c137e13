"""Random streams: a function of seed, purpose and place; no two the same."""

from itertools import product

import torch

from asr.data import draws


def test_no_two_purposes_or_places_share_a_stream() -> None:
    places = [(), (0,), (1,), (0, 0), (1, 0), (0, 1), (0, 0, 0), (1, 0, 0), (256, 0)]
    keys = list(product(draws.PURPOSES, (0, 1, 2**32 - 1), places))
    first = {draws.generator(purpose, seed, *place).bytes(16) for purpose, seed, place in keys}
    seeds = {draws.torch_seed(purpose, seed, *place) for purpose, seed, place in keys}
    assert len(first) == len(seeds) == len(keys)


def test_a_stream_is_the_same_again_and_torch_takes_its_seed() -> None:
    one, other = (draws.generator("order", 3, 5).random(4).tolist() for _ in range(2))
    assert one == other
    for epoch in range(20):
        torch.Generator().manual_seed(draws.torch_seed("masks", 3, epoch))
