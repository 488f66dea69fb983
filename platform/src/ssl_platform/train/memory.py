"""The C allocator of a run on a CPU."""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # glibc's malloc.h
_CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Let freed tensors stay with the process, for the next step to use again.

    By default glibc hands large blocks back to the system when they are freed, so that every step maps its activations
    anew and the kernel fills each page with zeros first. The process then stays at its largest size to its end.

    Returns:
        Whether it was set: not where the user chose by an environment variable, nor with another C library.
    """
    if any(name in os.environ for name in _CHOSEN) or not _glibc():
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_TRIM_THRESHOLD, -1)) and bool(libc.mallopt(_MMAP_MAX, 0))


def _glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):  # Windows has no confstr, other C libraries lack the name
        return False
