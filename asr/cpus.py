"""How many processor cores this process may use, on any system."""

import os


def usable_cpus() -> int:
    """Cores that this process may run on, at least 1; where the system does not tell (macOS, Windows), all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
