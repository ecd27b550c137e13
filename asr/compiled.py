"""What numba compiles, and where the machine code is kept: compiling the search takes seconds, loading it does not.

numba keeps it beside the source or in the user's cache folder, and refuses to define a function where it can write to
neither, as in a read-only installation without a home. It then goes to a folder of the user's own among the temporary
files, and is compiled anew by each process where there is no such folder either.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile for the types of the arguments at the first call; the function then runs without the GIL."""
    made: Any = numba.njit(nogil=True, cache=_KEPT)(function)
    return made  # type: ignore[no-any-return]


def _find_place() -> bool:
    """Whether compiled code can be kept; names numba a folder where its own cannot be written."""
    if _writable():
        return True
    try:
        # For this process and those it starts, and also for what other packages compile.
        os.environ["NUMBA_CACHE_DIR"] = str(_temporary_folder())
    except OSError:
        return False
    config.reload_config()
    return _writable()


def _writable() -> bool:
    try:
        numba.njit(cache=True)(_writable)  # nothing is compiled before a call
    except RuntimeError:
        return False
    return True


def _temporary_folder() -> Path:
    """A folder that is this user's alone, since machine code of anybody else's would be run. Raises OSError."""
    user = os.getuid() if hasattr(os, "getuid") else 0  # on Windows, each user has temporary files of their own
    folder = Path(tempfile.gettempdir()) / f"asr-compiled-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if hasattr(os, "getuid") and (state.st_uid != user or state.st_mode & 0o077):
        raise PermissionError(f"{folder}: others may write to it")
    return folder


_KEPT = _find_place()
