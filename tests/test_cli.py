"""The command line: exit codes, one-line errors, streams, files."""

import importlib.util
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from command import main
from test_plot import by_hand, lozi

import plrjax as plr
from plrjax import RESULTS
from plrjax.cycles import CycleSet


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.npz"
    model = plr.from_arrays("plrnn", A=[0.5, 0.5], W=[[0.0, -1.0], [0.5, 0.0]], h=[0.4, -1.0])
    plr.save(path, model)
    return str(path)


def fake_search(monkeypatch, result=RESULTS.successful, error=None):
    """Replace the search by one that ends at once in the way asked for; record its arguments."""
    calls = []

    def find_cycles(model, periods, **options):
        calls.append({"model": model, "periods": list(periods), **options})
        if error is not None:
            raise error
        found = by_hand(lozi(), ["0", "1", "01"])
        return CycleSet(**{**vars(found), "result": result})

    monkeypatch.setattr(plr, "find_cycles", find_cycles)
    return calls


def one_line_error(capsys) -> str:
    streams = capsys.readouterr()
    assert streams.out == ""
    lines = [line for line in streams.err.splitlines() if "no FILE given" not in line]
    assert len(lines) == 1 and lines[0].startswith("plrjax: "), streams.err
    return lines[0]


@pytest.mark.parametrize(
    "text, periods",
    [("3", [3]), ("1,2,5", [1, 2, 5]), ("1:4", [1, 2, 3, 4]), ("2:3, 20,2", [2, 3, 20])],
)
def test_periods(monkeypatch, network, text, periods):
    calls = fake_search(monkeypatch)
    assert main(["cycles", network, "--periods", text]) == 0
    assert calls[0]["periods"] == periods


@pytest.mark.parametrize("text", ["", "0", "0:3", "3:1", "-1", "1:", "a", "1;2", "1.5", "9" * 30])
def test_bad_periods(text, capsys):
    assert main(["cycles", f"--periods={text}"]) == 2
    assert "--periods: expected" in one_line_error(capsys)


def test_search_gets_the_arguments(monkeypatch, network):
    calls = fake_search(monkeypatch)
    options = "--periods 1:3,7 --seed 5 --num-searches 9 --max-seconds 2.5 --solver scyfi"
    assert main(["cycles", network, *options.split()]) == 0
    (call,) = calls
    assert call["periods"] == [1, 2, 3, 7] and call["model"].state_size == 2
    assert call["num_searches"] == 9 and call["max_seconds"] == 2.5
    assert isinstance(call["solver"], plr.SCYFI) and call["throw"] is False


@pytest.mark.parametrize(
    "result, code",
    [
        (RESULTS.successful, 0),
        (RESULTS.not_finite, 1),
        (RESULTS.budget_exhausted, 3),
        (RESULTS.interrupted, 130),
    ],
)
def test_exit_codes_and_files(monkeypatch, capsys, tmp_path, network, result, code):
    pytest.importorskip("matplotlib")
    fake_search(monkeypatch, result)
    out, plot = tmp_path / "cycles.npz", tmp_path / "cycles.png"
    assert main(["cycles", network, "--out", str(out), "--plot", str(plot)]) == code
    streams = capsys.readouterr()
    assert "3 cycles" in streams.out
    assert (result.message in streams.err) == (code != 0)
    assert out.exists() == plot.exists() == (code != 1)
    if out.exists():
        assert len(CycleSet.load(out)) == 3
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_embedded_network_stands_beside_the_map_it_learned(monkeypatch, capsys, network):
    fake_search(monkeypatch)
    assert main(["cycles", "--json"]) == 0
    streams = capsys.readouterr()
    reference = json.loads(streams.out)["reference"]
    assert reference["name"] == "Henon map" and reference["counts"]["7"] == 4
    rows = [line.split()[:3] for line in streams.err.splitlines() if line.startswith("     ")]
    assert "Henon map" in streams.err and rows == [list("122"), list("211"), list("300")]
    assert main(["cycles", network, "--json"]) == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["reference"] is None and "Henon" not in streams.err


def test_json_is_alone_on_stdout(monkeypatch, capsys, network):
    fake_search(monkeypatch)
    assert main(["cycles", network, "--json"]) == 0
    streams = capsys.readouterr()
    facts = json.loads(streams.out)
    assert facts["counts"] == {"1": 2, "2": 1, "3": 0} and facts["result"] == "successful"
    assert facts["coverage_by_period"] == {"1": "saturated", "2": "saturated", "3": "saturated"}
    found = by_hand(lozi(), ["0", "1", "01"])
    for row, cycle in enumerate(facts["cycles"]):
        np.testing.assert_array_equal(cycle["points"], found.orbit(row))
        real, imaginary = np.transpose(cycle["multipliers"])
        np.testing.assert_array_equal(real + 1j * imaginary, found.multipliers[row])
    assert facts["cycles"][2]["regions"] == ["0", "1"]
    assert "3 cycles" in streams.err


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["cycles", "{tmp}/absent.npz"], "absent.npz"),
        (["cycles", "{tmp}"], "{tmp}"),
        (["cycles", "{tmp}/empty.npz"], "empty.npz"),
        (["cycles", "{tmp}/noise.pt"], "noise.pt"),
        (["cycles", "{tmp}/empty.xyz"], "empty.xyz"),
        (["cycles", "--out", "{tmp}/cycles.txt"], "--out"),
        (["cycles", "--out", "{tmp}/absent/cycles.npz"], "--out"),
        (["cycles", "--plot", "{tmp}/cycles.npz"], "--plot"),
        (["cycles", "--plot", "{tmp}/folder.png"], "--plot"),
        (["cycles", "--seed", "-1"], "--seed"),
        (["cycles", "--seed", "x"], "--seed"),
        (["cycles", "--num-searches", "0"], "num_searches"),
        (["cycles", "--num-searches", "1.5"], "--num-searches"),
        (["cycles", "--max-seconds", "-1"], "max_seconds"),
        (["cycles", "--max-seconds", "nan"], "max_seconds"),
        (["cycles", "--solver", "magic"], "--solver"),
        (["cycles", "--solver", "complete", "--box", "-1"], "--box: expected a positive number"),
        (["cycles", "--solver", "scyfi", "--rigorous"], "--rigorous: is about --solver complete"),
        (["cycles", "--kind", "plrnn"], "--kind"),
        (["cycles", "--unheard-of"], "--unheard-of"),
        (["cycles", "a.npz", "b.npz", "--out", "c.npz"], "--out: expected a folder"),
        (["cycles", "{tmp}/*.mat"], "no file matches {tmp}/*.mat"),
        (["cycles", "@{tmp}/absent.csv"], "absent.csv"),
        (["cycles", "--shard", "0/2"], "FILE: expected networks"),
        (["cycles", "a.npz", "--executor", "moon"], "--executor: expected slurm"),
        (["cycles", "a.npz", "--executor", "processes:0"], "--executor: expected slurm"),
        (["cycles", "a.npz", "--executor-options", "x.toml"], "--executor-options: only"),
        (["cycles", "a.npz", "b.npz", "--shard", "2/2"], "--shard: expected I/N"),
        (["cycles", "a.npz", "b.npz", "--certify", "--checkpoint", "c.json"], "--checkpoint"),
        (["census", "status", "{tmp}"], "FOLDER: expected the folder of a census"),
        (["info", "{tmp}/absent.npz"], "absent.npz"),
        (["lyapunov", "{tmp}/absent.npz"], "absent.npz"),
        (["lyapunov", "--state", "a,b"], "--state"),
        (["lyapunov", "--state", "1,2,3"], "state"),
        (["lyapunov", "--num-steps", "0"], "num_steps"),
        (["lyapunov", "--num-orbits", "0"], "num_orbits"),
        (["lyapunov", "--num-orbits", "-3"], "num_orbits"),
        (["lyapunov", "--num-exponents", "4"], "num_exponents"),
        (["lyapunov", "--qr-every", "0"], "qr_every"),
        (["lyapunov", "--unit", "bans"], "--unit"),
        (["lyapunov", "--dt=-1"], "dt"),
        (["lyapunov", "--inputs", "{tmp}/empty.xyz"], "--inputs"),
        (["lyapunov", "--inputs", "{tmp}/absent.npy"], "--inputs"),
        (["lyapunov", "--inputs", "{tmp}/noise.npy"], "--inputs"),
        (["lyapunov", "--plot", "{tmp}/cycles.npz"], "--plot"),
        (["dance"], "dance"),
        ([], "cycles"),
    ],
)
def test_bad_input_is_one_line_that_names_the_argument(arguments, named, capsys, tmp_path):
    (tmp_path / "empty.npz").touch()
    (tmp_path / "empty.xyz").touch()
    (tmp_path / "noise.pt").write_bytes(bytes(range(256)))
    np.save(tmp_path / "noise.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.iterdir())
    assert main([text.format(tmp=tmp_path) for text in arguments]) == 2
    assert named.format(tmp=tmp_path) in one_line_error(capsys)
    assert sorted(tmp_path.iterdir()) == before


def test_missing_extra_is_told_before_the_search(monkeypatch, capsys, tmp_path):
    calls = fake_search(monkeypatch)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["cycles", "--plot", str(tmp_path / "cycles.png")]) == 2
    assert "pip install 'plrjax[plot]'" in one_line_error(capsys)
    assert not calls


def test_errors_of_the_search(monkeypatch, capsys, network):
    fake_search(monkeypatch, error=ValueError("periods: two\nlines"))
    assert main(["cycles", network]) == 2
    assert one_line_error(capsys) == "plrjax: periods: two lines"
    fake_search(monkeypatch, error=KeyboardInterrupt())
    assert main(["cycles", network]) == 130
    assert one_line_error(capsys) == "plrjax: interrupted"


def test_a_disk_that_refuses_is_a_failure(monkeypatch, capsys, network, tmp_path):
    fake_search(monkeypatch)

    def refuse(self, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(CycleSet, "save", refuse)
    assert main(["cycles", network, "--out", str(tmp_path / "cycles.npz")]) == 1
    streams = capsys.readouterr()
    assert "3 cycles" in streams.out and "No space left" in streams.err


def test_info(capsys, network):
    assert main(["info", network]) == 0
    assert "plrnn" in capsys.readouterr().out
    assert main(["info", network, "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)
    assert main(["info"]) == 0
    assert "embedded" in capsys.readouterr().out


def test_help_names_the_options(capsys):
    for arguments, named in [(["--help"], "cycles"), (["cycles", "-h"], "--max-seconds")]:
        assert main(arguments) == 0
        assert named in capsys.readouterr().out


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "plrjax", *arguments]


def test_a_whole_run_finds_the_cycle_of_a_small_network(network, tmp_path):
    """With XLA's own settings, as users have them, and not those of the suite."""
    out = tmp_path / "cycles.safetensors"
    ran = subprocess.run(
        command("cycles", network, "--periods", "1:3", "--json", "--out", str(out)),
        env={**os.environ, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    facts = json.loads(ran.stdout)
    model = plr.load(network).as_piecewise_affine()
    assert facts["cycles"], "this network maps a square into itself: it has a fixed point"
    for cycle in facts["cycles"]:
        points = np.array(cycle["points"])
        np.testing.assert_allclose(model.apply(points), np.roll(points, -1, axis=0), atol=1e-12)
    assert len(CycleSet.load(out)) == len(facts["cycles"])


def test_the_same_seed_prints_the_same(network):
    arguments = command("cycles", network, "--periods", "1:4", "--solver", "scyfi", "--json")
    first, second = (
        subprocess.run(arguments, capture_output=True, text=True, check=True).stdout for _ in "ab"
    )
    assert first == second


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("stop, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_prints_and_saves_what_was_found(stop, code, tmp_path, ctrl_c):
    out = tmp_path / "cycles.npz"
    process = subprocess.Popen(
        command("cycles", "--periods", "1:400", "--solver", "scyfi", "--out", str(out)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        seen = ""
        while "period" not in seen and process.poll() is None:
            seen += process.stderr.read(1)
        process.send_signal(stop)
        printed, complaint = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code, complaint
    assert RESULTS.interrupted.message in complaint and "Traceback" not in complaint
    assert "cycle" in printed
    assert CycleSet.load(out).result == RESULTS.interrupted


def test_streams_that_are_closed_or_not_read_are_no_errors():
    code = "import sys; from plrjax._cli import main; raise SystemExit(main())"
    lines = [
        'exec 3>&1; "$0" -c "$1" cycles --help 2>&3 | true; echo ${PIPESTATUS[0]}',
        '"$0" -c "$1" --version >&-; echo $?',
        '"$0" -c "$1" cycles --periods 0 2>&-; echo $?',
    ]
    ran = subprocess.run(
        ["bash", "-c", "; ".join(lines), sys.executable, code], capture_output=True, text=True
    )
    assert ran.stdout.split() == ["0", "0", "2"] and ran.stderr == ""
