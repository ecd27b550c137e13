"""Random numbers as a function of a run's seed, of what they are for, and of where: never of what was drawn before.

So a resumed run draws what an uninterrupted one would have drawn, and no two draws share a stream by chance.
"""

import numpy as np

# A purpose's place in this list is part of its stream: new ones come last.
PURPOSES = ("examples", "order", "waveform", "dropout", "masks")


def sequence(purpose: str, seed: int, *place: int) -> np.random.SeedSequence:
    """What generators of one purpose and place start from; place: the epoch, and what is finer. (1,) is not (1, 0)."""
    return np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose), *place))


def generator(purpose: str, seed: int, *place: int) -> np.random.Generator:
    """numpy's generator of that stream."""
    return np.random.default_rng(sequence(purpose, seed, *place))


def torch_seed(purpose: str, seed: int, *place: int) -> int:
    """A seed for torch's generator of that stream."""
    return int(sequence(purpose, seed, *place).generate_state(1, np.uint64)[0])
