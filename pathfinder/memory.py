"""Keep the memory that computing frees, instead of giving it back to the system between any two passes.

A pass over a batch allocates and frees the same few megabytes each time. glibc gives them back to the system as soon as
they are free, so the next pass gets them page by page, each with a fault: up to half of the time of a small network.
Commands raise the two thresholds that decide about this. The library does not: memory belongs to the user's process.
"""

import ctypes
import os
import sys

THRESHOLDS = {  # bytes, by the variables that glibc reads when a process starts
    "MALLOC_TRIM_THRESHOLD_": 2**30,  # free memory at the end of the heap that stays with the process
    "MALLOC_MMAP_THRESHOLD_": 2**30,  # from this size on, a block is mapped for itself, and given back when it is free
}
_PARAMETERS = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB that it frees, for its next allocations, if the C library is glibc.

    Nothing is changed where the user has set glibc's allocator: by a variable MALLOC_*, or `glibc.malloc` in
    GLIBC_TUNABLES.

    Returns:
        Whether both thresholds were raised.

    Reference:
        mallopt(3) of the Linux manual pages.
    """
    if not _is_glibc() or _users_own():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # a static build
        return False
    answers = [mallopt(_PARAMETERS[name], bound) for name, bound in THRESHOLDS.items()]
    return answers == [1, 1]


def _users_own() -> bool:
    """Whether the user has chosen how glibc allocates."""
    return any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get(
        "GLIBC_TUNABLES", ""
    )


def _is_glibc() -> bool:
    """Whether this process runs on glibc; musl, macOS and Windows have no such name or no such call."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        return False


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held so far; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
