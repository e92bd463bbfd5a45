"""Progress: lines without a terminal, in one a bar with a clock of its own; nothing afterwards."""

import io
import sys
import threading
import time

import jax
import jax.numpy as jnp
import pytest

import plrjax as plr
from plrjax import _progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Closed(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(_progress, "_BAR_SECONDS", 0.01)
    monkeypatch.setattr(_progress, "_LINE_SECONDS", 0.05)


def shown(stream, monkeypatch, wanted, note="3 cycles found", update=True):
    """Run a bar on a stream until a text appears, and return all that was written."""
    monkeypatch.setattr(sys, "stderr", stream)
    bar = plr.ProgressBar(delay=0.0)
    bar.open("cycles")
    if update:
        bar.update(0.25, note)
    for _ in range(1000):
        if wanted in stream.getvalue():
            break
        time.sleep(0.005)
    bar.close()
    return stream.getvalue()


def test_lines_without_a_terminal(quick, monkeypatch):
    text = shown(io.StringIO(), monkeypatch, "3 cycles found\ncycles")
    lines = text.splitlines()
    assert len(lines) >= 2 and "\r" not in text
    assert lines[-1] == "cycles: 25 %, 0 s, 3 cycles found"


def test_nothing_for_a_short_computation(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = plr.ProgressBar()
    bar.open("cycles")
    for step in range(1000):
        bar.update(step / 1000, "note")
    bar.close()
    bar.close()
    assert stream.getvalue() == ""


def test_bar_in_a_terminal_is_wiped_away(quick, monkeypatch):
    before = threading.active_count()
    text = shown(Terminal(), monkeypatch, "found")
    assert threading.active_count() == before
    bars = text.split("\r")
    assert any(bar.startswith("cycles  25%|") and "3 cycles found" in bar for bar in bars)
    assert text.endswith("\r") and not bars[-2].strip() and "\n" not in text
    assert len(bars[-2]) == max(map(len, bars)) < 80


def test_a_note_as_long_as_the_line_is_cut(quick, monkeypatch):
    text = shown(Terminal(), monkeypatch, "note", note="note " * 50)
    assert max(map(len, text.split("\r"))) < 80


def test_compiling_is_said(quick, monkeypatch):
    with _progress.compiling():
        assert "compiling" in shown(io.StringIO(), monkeypatch, "compiling")
    heard = []
    _progress._listen()

    def traced(x):
        heard.append(_progress._compiling["stages"])
        return jnp.sin(x)

    with jax.enable_x64(False):
        jax.jit(traced)(1.0)
    assert heard[0] >= 1 and _progress._compiling["stages"] == 0


@pytest.mark.parametrize("stream", [Closed(), None])
def test_a_stream_that_takes_nothing(quick, monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    bar = plr.ProgressBar(delay=0.0)
    bar.open("cycles")
    time.sleep(0.1)
    bar.update(0.5)
    bar.close()
