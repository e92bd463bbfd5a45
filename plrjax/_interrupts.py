"""Ctrl-C: kept by every engine, lost in no callback, and the process ends once XLA is at rest."""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from ._progress import AbstractProgress, ProgressBar

LONGEST_REST = 30.0
"""Seconds waited for XLA at most: threads of the caller may never come to rest."""

_WATCH_SECONDS = 0.5
"""From one look at the parent to the next."""

_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1")
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""What ends a process of ours in order; Slurm sends USR1 before the time is over, if asked to."""
_begun: list[bool] = []
"""Whether any computation has begun in this process."""

_pressed: list[int] = []
"""Signals that came, until the outermost computation has ended."""
_open: list[bool] = []
"""Computations that go on in the main thread, one inside the other."""
_seen: list[int] = []
"""All signals that came, so that the end of the process knows."""


def interrupt(signum: int, frame) -> None:
    """Handle a signal as Python handles Ctrl-C, and remember it.

    **Raises:** `KeyboardInterrupt`. Python drops it where it comes up inside a callback (JAX has
    one in the garbage collector); `reporting` then raises it once more.
    """
    _pressed.append(signum)
    _seen.append(signum)
    raise KeyboardInterrupt


def take_signals() -> None:
    """Let SIGINT and SIGTERM end this whole process, at once as long as nothing is computed.

    An exception in the middle of an import can end in a crash, and there is nothing to be kept.
    """
    for signum in _SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _interrupt_or_end)
    dropped = sys.unraisablehook
    sys.unraisablehook = lambda what: None if what.exc_type is KeyboardInterrupt else dropped(what)


def _interrupt_or_end(signum: int, frame) -> None:
    if not _begun:
        what = "interrupted" if signum == signal.SIGINT else "terminated"
        os.write(2, f"plrjax: {what}\n".encode())
        os._exit(128 + signum)
    interrupt(signum, frame)


def end_if_interrupted(code: int) -> None:
    """End this process here, if a signal came: everything is written, and XLA may still compile."""
    if _seen:
        os._exit(code)


_HANDLERS = (interrupt, _interrupt_or_end, signal.default_int_handler)


def was_terminated() -> bool:
    """Return whether a signal other than Ctrl-C, such as SIGTERM, ended the work."""
    return any(signum != signal.SIGINT for signum in _seen)


@contextlib.contextmanager
def reporting(progress: AbstractProgress | None, label: str) -> Iterator[AbstractProgress]:
    """Open a progress (None: a bar) for one computation, which Ctrl-C ends, and close it.

    Before, programs of earlier computations are dropped where there are too many.

    **Raises:** `KeyboardInterrupt` where Ctrl-C was pressed since: at once, or at the next
    `update`, or at the end of the block. What catches it therefore stands around the block.
    """
    from ._programs import make_room  # the command line begins without JAX

    make_room()
    inner = ProgressBar() if progress is None else progress
    with _listening():
        inner.open(label)
        try:
            yield _Watched(inner)
            _raise_if_pressed()  # it came after the last update
        finally:
            inner.close()


class _Watched(AbstractProgress):
    """Passes on what it is told, and raises the Ctrl-C that was lost."""

    def __init__(self, inner: AbstractProgress):
        self.inner = inner

    def open(self, label):
        """Pass it on."""
        self.inner.open(label)

    def update(self, share, note=""):
        """Pass it on."""
        self.inner.update(share, note)
        _raise_if_pressed()

    def close(self):
        """Pass it on."""
        self.inner.close()


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Handle Ctrl-C here, unless another thread runs this or the caller has a way of its own.

    A computation inside another one hears it first; then all around it do.
    """
    _begun[:] = [True]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    _open.append(True)
    try:
        yield
    except KeyboardInterrupt:
        if not _pressed:  # raised by someone else, such as a callback
            _pressed.append(signal.SIGINT)
            _seen.append(signal.SIGINT)
        raise
    finally:
        _open.pop()
        if not _open:
            _pressed.clear()
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _raise_if_pressed() -> None:
    if _pressed and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back while results are put together; an engine around this hears of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [signum for signum in _SIGNALS if signal.getsignal(signum) in _HANDLERS]
    came: list[int] = []
    previous = [signal.signal(signum, lambda signum, frame: came.append(signum)) for signum in ours]
    try:
        yield
    finally:
        for signum, handler in zip(ours, previous):
            signal.signal(signum, handler)
        if interrupt in previous or _interrupt_or_end in previous:
            _pressed.extend(came)
            _seen.extend(came)


def end_with(parent: int) -> None:
    """End this process, as SIGTERM does, once the one that began it is gone, however it went.

    **Arguments:** `parent`, the process number of the one that began this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@atexit.register
def _await_rest() -> None:
    """Wait until this process uses no processor time, if Ctrl-C left a compilation behind.

    XLA compiles in threads of its own. Ctrl-C ends the wait for them, not them, and gives no handle
    to them: a thread that still compiles when the interpreter ends crashes it.
    """
    if not (_seen or getattr(sys, "last_type", None) is KeyboardInterrupt):
        return
    end = time.monotonic() + LONGEST_REST
    while time.monotonic() < end:
        used = time.process_time()
        time.sleep(0.05)
        if time.process_time() - used < 0.01:
            return
