"""Temporary files and folders that say who makes them, so that what a killed process left goes."""

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "plrjax-"


@functools.cache
def _host() -> str:
    """Return a short name of this machine: other machines may share the file system."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _own_name() -> str:
    return f"{_host()}.{os.getpid()}.{secrets.token_hex(4)}.tmp"


_NAME = re.compile(r"([0-9a-f]{8})\.(\d{1,10})\.[0-9a-f]{8}\.tmp")


def part_of(path: Path) -> Path:
    """Return a new hidden name beside a file, for what will replace it once it is whole.

    At the first one in each folder, what processes of this machine left there that are gone is
    deleted.
    """
    clear(path.parent)
    return path.with_name(f".{path.name}.{_own_name()}")


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for the time of the block; those of processes that are gone are deleted."""
    place = Path(tempfile.gettempdir())
    for folder in place.glob(f"{_PREFIX}*.tmp"):
        if _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)
    folder = place / f"{_PREFIX}{_own_name()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def clear(folder: Path) -> None:
    """Delete what writers left in a folder that are gone, once in this process."""
    clear_again(folder)


def clear_again(folder: Path) -> None:
    """Delete what writers left in a folder that are gone by now."""
    for path in folder.glob(".*.tmp"):
        if _is_left(path):
            with contextlib.suppress(OSError):  # another process clears, too
                path.unlink()


def _is_left(path: Path) -> bool:
    """Return whether the name is that of a process of this machine that is gone."""
    found = _NAME.search(path.name)
    return found is not None and found[1] == _host() and not _is_alive(int(found[2]))


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is no question, but the end of the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
