"""What a computation would take of this machine's memory, told before it begins."""

import contextlib
import functools
import os

ASSUMED_BYTES = 1 << 36
"""Where the system does not tell how much there is."""
_GIGA = 1e9


@functools.cache
def machine_bytes() -> int:
    """Return the memory of this machine, or of the control group that this process belongs to."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return ASSUMED_BYTES
    with contextlib.suppress(OSError, ValueError):  # no such limit
        with open("/sys/fs/cgroup/memory.max") as file:
            physical = min(physical, int(file.read()))
    return physical if physical > 0 else ASSUMED_BYTES


def check_memory(name: str, value: object, num_bytes: int | float) -> None:
    """Refuse an argument that makes arrays larger than the memory of this machine.

    **Raises:** `ValueError` naming the argument, what it would take and what there is.
    """
    if num_bytes > machine_bytes():
        raise ValueError(
            f"{name}: {str(value)[:40]} would take {num_bytes / _GIGA:.3g} GB of memory, and this "
            f"machine has {machine_bytes() / _GIGA:.3g} GB; take less"
        )
