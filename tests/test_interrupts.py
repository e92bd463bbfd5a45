"""Ctrl-C and SIGTERM: heard even inside a callback, and no process is left behind."""

import os
import signal
import subprocess
import sys
import time

import jax.random as jr
import numpy as np
import pytest

import plrjax as plr
from plrjax import RESULTS

KEY = jr.key(0)
TENT = plr.from_arrays("shallow", A=[0.2], W1=[[-2.0]], W2=[[1.0]], h1=[1.0], h2=[0.0])
SECOND = plr.from_arrays("shallow", A=[0.2], W1=[[-1.5]], W2=[[1.0]], h1=[1.0], h2=[0.0])
SERIES = np.sin(0.1 * np.arange(400.0))[:, None]
LEFT = [plr.Axis("A", 0, 0.1, 0.3, 4)]


class _Swallowed(plr.NoProgress):
    """Presses Ctrl-C inside a callback that drops it, as JAX's in the garbage collector does."""

    count = 0

    def update(self, share, note=""):
        self.count += 1
        if self.count == 1:
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)


ENGINES = {
    "find_cycles": lambda told: plr.find_cycles(TENT, range(1, 30), key=KEY, progress=told),
    "lyapunov_spectrum": lambda told: plr.lyapunov_spectrum(
        TENT, np.full(1, 0.1), key=KEY, num_steps=10_000, throw=False, progress=told
    ),
    "find_attractors": lambda told: plr.find_attractors(TENT, [[0.1]], key=KEY, progress=told),
    "detect_bifurcations": lambda told: plr.detect_bifurcations(
        [TENT, SECOND], periods=range(1, 4), key=KEY, progress=told
    ),
    "bifurcation_curves": lambda told: plr.bifurcation_curves(
        (TENT, [*LEFT, plr.Axis("h1", 0, 0.5, 1.5, 4)]), periods=[1, 2], progress=told
    ),
    "scan_parameters": lambda told: plr.scan_parameters(
        TENT, LEFT, plr.CycleCounts([1]), key=KEY, tile=1, throw=False, progress=told
    ),
    "fit": lambda told: plr.fit(TENT, SERIES, key=KEY, num_steps=10_000, progress=told),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_is_not_lost_where_a_callback_drops_it(engine, ctrl_c):
    told = _Swallowed()
    found = ENGINES[engine](told)
    assert found.result is RESULTS.interrupted and told.count == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = plr.find_cycles(TENT, 1, progress=plr.NoProgress(), solver=plr.Exhaustive())
    assert again.result is RESULTS.successful


def test_a_search_that_was_interrupted_inside_a_scan_is_not_counted(ctrl_c, monkeypatch, tmp_path):
    """The search ends with what it has; the scan hears of it, and keeps no tile of it."""
    step, told = plr.BranchAndBound.step, _Swallowed()

    def pressing(solver, problem, state):
        told.update(0.0)
        return step(solver, problem, state)

    monkeypatch.setattr(plr.BranchAndBound, "step", pressing)
    found = plr.scan_parameters(
        TENT, LEFT, plr.CycleCounts([30]), key=KEY, tile=1, throw=False, checkpoint=tmp_path,
        progress=plr.NoProgress(),
    )  # fmt: skip
    assert found.result is RESULTS.interrupted and not found.done.any() and told.count
    assert not list(tmp_path.glob("tile*"))


def test_a_way_of_the_callers_own_is_left_alone(ctrl_c):
    came = []
    previous = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        told = plr.NoProgress()
        told.update = lambda share, note="": os.kill(os.getpid(), signal.SIGINT)
        found = plr.find_cycles(TENT, [1, 2], solver=plr.Exhaustive(), progress=told)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert found.result is RESULTS.successful and came


@pytest.mark.parametrize("pressed", [True, False])
def test_after_ctrl_c_the_process_ends_once_its_threads_rest(pressed):
    """A thread that computes, as XLA's compiler does, is waited for; but not without Ctrl-C."""
    code = f"""
import threading, time
from plrjax import _interrupts
def work():
    while time.process_time() - begun < 1.0: pass
    print("done", flush=True)
begun = time.process_time()
threading.Thread(target=work, daemon=True).start()
if {pressed}: _interrupts._seen.append(2)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and ("done" in done.stdout) == pressed


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_a_worker_ends_with_its_parent():
    """The parent is killed, the worker holds our pipe: its end is the end of what we read."""
    parent = """
import os, time
from plrjax._pool import ProcessPool
pool = ProcessPool(1)
assert pool.submit(os.getpid).result() != os.getpid()
pool.submit(time.sleep, 600)
print("begun", flush=True)
time.sleep(600)
"""
    begun = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert begun.stdout is not None and begun.stdout.readline() == "begun\n"
    begun.kill()
    assert begun.communicate(timeout=60)[0] == ""


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("stop, word", [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "termin")])
def test_before_anything_is_computed_a_signal_ends_the_command(stop, word, ctrl_c):
    """As while JAX is imported: at once, in one line, and not by an exception."""
    code = """
import time
from plrjax._interrupts import take_signals
take_signals()
print("ready", flush=True)
try: time.sleep(60)
except KeyboardInterrupt: print("an exception")
"""
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    begun = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    assert begun.stdout is not None and begun.stdout.readline() == "ready\n"
    begun.send_signal(stop)
    out, error = begun.communicate(timeout=60)
    assert begun.returncode == 128 + stop and not out
    assert error.startswith(f"plrjax: {word}") and error.count("\n") == 1
