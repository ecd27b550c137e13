"""A network's weights, from a safetensors file that may come from a stranger: compared before memory is taken for them.

The sizes in config.json and tokens.txt come with the weights, and may say anything: a network is first made on torch's
device "meta", where it has shapes and no memory, and its shapes are compared with those in the header of the file.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from asr.errors import ModelError

TYPES = ("F32", "F16", "BF16")
SHOWN = 5  # differences that a message lists; the others are counted


def read_weights(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """The state of a network as a safetensors file has it: name -> float32, in memory of its own.

    Two names of one weight need be in the file but once. Raises ModelError where names, shapes or types differ, a value
    is not finite, or the file is damaged.
    """
    wanted = network.state_dict(keep_vars=True)
    first: dict[int, str] = {}  # of the names that a weight has
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            for name, value in wanted.items():
                if name in names or id(value) not in first:
                    first[id(value)] = name
            parts = {name: file.get_slice(name) for name in names}
            problems = [f"{name}: not in the network" for name in sorted(names - wanted.keys())]
            for name, value in wanted.items():
                if name not in names:
                    problems += [f"{name}: missing"] if first[id(value)] == name else []
                elif (shape := parts[name].get_shape()) != list(value.shape):
                    problems.append(f"{name}: found the shape {shape}, wanted {list(value.shape)}")
                elif (kind := parts[name].get_dtype()) not in TYPES:
                    problems.append(f"{name}: found {kind}, wanted {', '.join(TYPES)}")
            if problems:
                more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
                raise ModelError(
                    f"{path}: the weights cannot be loaded: they are not those of the network that config.json and "
                    f"tokens.txt describe: {'; '.join(problems[:SHOWN] + more)}"
                )
            # A copy: the library maps the file into memory, and who writes the file anew would change the weights.
            found = {name: file.get_tensor(name).to(torch.float32, copy=True) for name in names}
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: the weights cannot be loaded: {error}") from error
    for name, value in found.items():
        if not value.isfinite().all():
            raise ModelError(f"{path}: the weights cannot be loaded: {name} has values that are NaN or infinite")
    return {name: found[first[id(value)]] for name, value in wanted.items()}
