"""Progress on standard error: a bar in a terminal, a line now and then elsewhere."""

import abc
import contextlib
import functools
import os
import sys
import threading
import time

from tqdm import tqdm

_BAR_SECONDS, _LINE_SECONDS = 0.5, 10.0
"""From one drawing of the bar, and from one line where there is no terminal, to the next."""
_STAGES = {
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
}
"""What JAX tells of: a time where a stage begins, a duration where it ends."""
_compiling = {"stages": 0}
_lock = threading.Lock()


class AbstractProgress(abc.ABC):
    """Told how far a computation is: `open`, then `update` many times, then `close`."""

    @abc.abstractmethod
    def open(self, label: str) -> None:
        """A computation begins."""

    @abc.abstractmethod
    def update(self, share: float, note: str = "") -> None:
        """The given share in [0, 1] is done."""

    @abc.abstractmethod
    def close(self) -> None:
        """The computation ended."""


class NoProgress(AbstractProgress):
    """Says nothing."""

    def open(self, label):
        """Say nothing."""

    def update(self, share, note=""):
        """Say nothing."""

    def close(self):
        """Say nothing."""


class ProgressBar(AbstractProgress):
    """A bar on standard error with counts and time left, shown once `delay` seconds have passed.

    A thread draws it, so that its clock goes on, and says so, while a program is compiled. Where
    standard error is no terminal, there is a line every ten seconds at most instead.
    """

    def __init__(self, delay: float = 2.0):
        self.delay = delay
        self._ended: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._told = (0.0, "")

    def open(self, label):
        """Begin; the bar appears after the delay."""
        self.close()
        _listen()
        self._told, self._ended = (0.0, ""), threading.Event()
        arguments = (label, time.monotonic(), self._ended, sys.stderr)
        self._thread = threading.Thread(target=self._draw, args=arguments, daemon=True)
        self._thread.start()

    def update(self, share, note=""):
        """Take note of the share that is done, for the next drawing."""
        self._told = (min(max(share, 0.0), 1.0), note)

    def close(self):
        """End; the bar is wiped away, and nothing is written afterwards."""
        if self._ended is not None and self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._ended = self._thread = None

    def _draw(self, label: str, begun: float, ended: threading.Event, stream) -> None:
        """Write until the end comes, or the stream does not take it (a reader that went away)."""
        with contextlib.suppress(OSError, ValueError):
            terminal = stream is not None and stream.isatty()
            if stream is None or ended.wait(self.delay if terminal else _LINE_SECONDS):
                return
            while True:
                text = self._text(label, time.monotonic() - begun, _width(stream, terminal))
                stream.write(f"\r{text}" if terminal else f"{text}\n")
                stream.flush()
                if ended.wait(_BAR_SECONDS if terminal else _LINE_SECONDS):
                    break
            if terminal:
                stream.write("\r" + " " * len(text) + "\r")
                stream.flush()

    def _text(self, label: str, elapsed: float, width: int | None) -> str:
        """Return the bar that fills a width, or a line without one where there is none."""
        share, note = self._told
        notes = list(filter(None, [note, "compiling" if _compiling["stages"] else ""]))
        if width is None:
            return ", ".join([f"{label}: {100 * share:.0f} %", f"{elapsed:.0f} s", *notes])
        text = tqdm.format_meter(
            100.0 * share,
            100.0,
            elapsed,
            ncols=width,
            prefix=label,
            postfix=", ".join(notes),
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
        )
        return text.ljust(width)


def _width(stream, terminal: bool) -> int | None:
    """Return the columns that a bar may take (the last one stays free), None without a terminal."""
    if not terminal:
        return None
    try:
        return max(os.get_terminal_size(stream.fileno()).columns - 1, 1)
    except OSError:  # no terminal of the system's, such as a notebook's
        return 79


@contextlib.contextmanager
def compiling():
    """Let every bar say that something is compiled, while this is open."""
    _begin()
    try:
        yield
    finally:
        _end()


def _begin() -> None:
    with _lock:
        _compiling["stages"] += 1


def _end() -> None:
    with _lock:
        _compiling["stages"] = max(_compiling["stages"] - 1, 0)


@functools.cache
def _listen() -> None:
    """Hear from JAX, from now on, when it begins and ends to trace and to compile."""
    import jax.monitoring

    jax.monitoring.register_scalar_listener(
        lambda event, value, **facts: _begin() if event in _STAGES else None
    )
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **facts: _end() if event in _STAGES else None
    )
