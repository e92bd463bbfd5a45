"""The page about a network: its numbers are those of the functions, whatever the network."""

import html.parser
import json
import pathlib
import re

import jax.random as jr
import numpy as np
import pytest
from command import main
from systems import LOZI, QUIET, tent

import plrjax as plr

STAIRS = dict(
    A=[0.0, 0.5], W1=[[4, -4, 4, -4], [0, 0, 0, 0]], W2=4 * [[1, 0]], h1=[-2, 0.1],
    h2=[0.75, 0.25, -0.25, -0.75],
)  # fmt: skip
"""z' is a staircase: three steps are stable fixed points, two rises are saddles."""


class Page(html.parser.HTMLParser):
    """What a test wants to know of a page: pictures, addresses, tables of values."""

    def __init__(self, text: str):
        super().__init__()
        self.pictures, self.addresses, self.tables = [], [], {}
        self.table: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.addresses += [found[name] for name in ("src", "href") if found.get(name)]
        if tag == "img":
            self.pictures.append(found)
        elif tag == "table":
            self.table = found["id"]
            self.tables[self.table] = []
        elif tag == "tr" and self.table:
            self.tables[self.table].append([])
        elif tag == "td" and self.table:
            self.tables[self.table][-1].append(found.get("data-value"))


def made(model, **options) -> plr.Report:
    return plr.report(model, key=jr.key(0), progress=QUIET, **options)


@pytest.fixture(scope="module")
def stairs() -> tuple:
    model = plr.from_arrays("shallow", **STAIRS)
    return model, made(model, periods=range(1, 4))


def test_numbers_are_those_of_the_functions(stairs):
    model, page = stairs
    cycles = plr.find_cycles(model, range(1, 4), key=jr.key(0), progress=QUIET)
    part = page.facts["parts"]["cycles"]
    counts = {row["period"]: row["cycles"] for row in part["by_period"]}
    assert counts == cycles.counts() == {1: 5, 2: 0, 3: 0}
    assert part["coverage"] == cycles.coverage.name and len(part["cycles"]) == 5
    shown = sorted(row["modulus"] for row in part["cycles"])
    np.testing.assert_allclose(shown, np.sort(np.abs(cycles.multipliers[:, 0])))
    assert {row["proven"] for row in part["cycles"]} == {"yes"}


def test_its_code_gives_its_numbers(stairs):
    """The page says how to repeat a part: these lines give the same attractors and exponents."""
    model, page = stairs
    parts = page.facts["parts"]
    names: dict = {"model": model, "print": lambda *_: None}
    imports = "import jax.random as jr\nimport numpy as np\nimport plrjax as plr\nkey = jr.key(0)"
    for lines in ([imports], parts["attractors"]["code"], parts["cycles"]["code"]):
        exec("\n".join(lines), names)
    exec("\n".join(parts["exponents"]["code"]), names)
    shares = [row["share of box"] for row in parts["attractors"]["attractors"]]
    np.testing.assert_allclose(shares, 100 * names["found"].share)
    ends = [row["95 % of box"] for row in parts["attractors"]["attractors"]]
    np.testing.assert_allclose(ends, 100 * names["found"].interval)
    assert len(shares) == 3 and names["found"].kind.tolist() == [plr.ATTRACTOR.cycle] * 3
    values = [row["λᵢ (nats per step)"] for row in parts["exponents"]["spectrum"]]
    values = [-np.inf if value is None else value for value in values]  # a direction collapses
    np.testing.assert_allclose(values, names["spectrum"].exponents)
    assert sum("fixed point" in text for text in page.facts["headlines"]) >= 2


def test_the_page_says_what_its_json_says_and_needs_nothing_else(stairs, tmp_path):
    _, page = stairs
    page.save(tmp_path / "stairs.html")
    text = (tmp_path / "stairs.html").read_text("utf-8")
    facts = json.loads((tmp_path / "stairs.json").read_text("utf-8"))
    assert facts == page.facts and len(text) < 5e6 and "stairs.json" in text
    seen = Page(text)
    assert seen.pictures and all(len(picture["alt"]) > 10 for picture in seen.pictures)
    outside = [a for a in seen.addresses if not a.startswith(("data:", "#"))]
    assert not outside and "http://" not in re.sub(r"data:[^\"]*", "", text)
    for name, rows in (("attractors-attractors", 3), ("cycles-cycles", 5), ("cycles-by_period", 3)):
        part, table = name.split("-")
        saved = facts["parts"][part][table]
        cells = [row for row in seen.tables[name] if row]
        assert len(cells) == len(saved) == rows
        for cell, record in zip(cells, saved):
            for value, number in zip(cell, record.values()):
                if isinstance(number, int | float):
                    assert float(value) == number


def test_chaos_is_said_and_drawn():
    page = made(LOZI, periods=range(1, 7))
    parts = page.facts["parts"]
    assert parts["exponents"]["entropy_sum"] == pytest.approx(0.4703, abs=3e-3)
    assert parts["words"]["num_regions"] == 2 and parts["space"]["status"] == "done"
    assert page.facts["headlines"][2].startswith("Chaotic: errors double")
    assert {row["period"]: row["cycles"] for row in parts["cycles"]["by_period"]}[6] == 4
    assert page.result is plr.RESULTS.successful and "no data were given" in str(page)
    assert "Graph of 2 regions" in page.html and "Basins of attraction" in page.html


def test_cycles_within_bands_that_follow_in_turn_are_on_the_attractor():
    """The tent map of slope 1.15 has four chaotic bands, and a 4-cycle with a point in each."""
    page = made(tent(1.15), periods=[1, 4], minutes=0.5)
    rows = {row["period"]: row["near orbits"] for row in page.facts["parts"]["cycles"]["cycles"]}
    assert rows[4] < 0.02 < rows[1]


@pytest.mark.parametrize("kind", ["diverging", "lstm", "many units"])
def test_what_does_not_apply_says_why(kind):
    if kind == "diverging":
        model = plr.from_arrays("plrnn", A=[1.2, 0.9], W=[[0, 0.6], [0.5, 0]], h=[0.4, 1.0])
        skipped = {"exponents", "words"}
    elif kind == "lstm":
        model, skipped = plr.LSTM(3, key=jr.key(1)), {"attractors", "words"}
    else:
        model, skipped = plr.ClippedShallowPLRNN(5, 100, key=jr.key(2)), set()
    page = made(model, periods=[1], minutes=0.5)
    status = {name: part["status"] for name, part in page.facts["parts"].items()}
    assert not page.failed and skipped <= {n for n, what in status.items() if what == "skipped"}
    assert all(part["why"] for part in page.facts["parts"].values() if part["status"] != "done")
    assert page.facts["headlines"] and "<h1>" in page.html


def test_a_part_that_fails_is_named(monkeypatch):
    from plrjax._report import _report

    def fail(*_):
        raise ValueError("model: something odd")

    monkeypatch.setattr(_report, "words", fail)
    page = made(LOZI, periods=[1])
    assert page.failed == ("words",) and "something odd" in page.html


def test_ctrl_c_keeps_what_is_done(monkeypatch):
    from plrjax._report import _report

    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_report, "exponents", press)
    page = made(LOZI, periods=[1])
    parts = page.facts["parts"]
    assert page.result is plr.RESULTS.interrupted and parts["cycles"]["status"] == "done"
    assert parts["exponents"]["why"] == "interrupted" and parts["words"]["status"] == "skipped"


def test_no_time_is_said():
    page = made(LOZI, minutes=1e-6, periods=[1])
    assert page.result is plr.RESULTS.budget_exhausted
    assert "allow more minutes" in str(page)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> pathlib.Path:
    place = tmp_path_factory.mktemp("run")
    lorenz = plr.systems.lorenz63()
    for name, number in (("train", 0), ("test", 1)):
        data = plr.systems.simulate(lorenz, 600, key=jr.key(number))
        np.save(place / f"{name}.npy", data.observations)
    command = f"train {place}/train.npy --test {place}/test.npy --out {place}/run --num-steps 40"
    command += " --snapshot-every 20 --hidden-size 4 --sequence-length 50"
    assert main(command.split()) == 0
    return place / "run"


def test_a_run_is_described_with_its_training(run, capsys, tmp_path):
    out = tmp_path / "page.html"
    assert main(["report", str(run), "--out", str(out), "--periods", "1"]) == 0
    told = capsys.readouterr().out
    assert "written:" in told and "half of the data against the other half" in told
    parts = json.loads(out.with_suffix(".json").read_text())["parts"]
    assert parts["training"]["status"] == "done" and parts["scores"]["status"] == "done"
    assert {"num_events", "num_changing"} <= set(parts["training"])
    assert "Against the data" in out.read_text() and "D_stsp" in out.read_text()


def test_all_lines_of_the_page_of_a_run_run(run):
    page = plr.report(run, key=jr.key(0), periods=[1], progress=QUIET)
    names: dict = {"print": lambda *_: None}
    exec("\n".join(page.facts["code"]), names)
    for name in ("attractors", "cycles", "exponents", "words", "scores", "training"):
        exec("\n".join(page.facts["parts"][name]["code"]), names)
    assert len(names["orbit"]) == len(names["data"]) and len(names["models"]) == 3
    counts = [len(names["events"]), page.facts["parts"]["training"]["num_events"]]
    assert counts[0] == counts[1]


def test_a_killed_run_is_described(run, tmp_path):
    import shutil

    copy = tmp_path / "killed"
    shutil.copytree(run, copy)
    for name in ("model.npz", "observation.npz"):
        (copy / name).unlink()
    shutil.rmtree(copy / "snapshots")
    page = plr.report(copy, key=jr.key(0), periods=[1], progress=QUIET)
    assert page.facts["parts"]["training"]["why"].startswith("this run kept no snapshots")
    assert page.facts["parts"]["scores"]["status"] == "done"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere.npz"], "FILE: nowhere.npz: no such file"),
        (["--out", "report.pdf"], "--out: expected a name ending in .html"),
        (["--out", "nowhere/report.html"], "--out: the folder nowhere does not exist"),
        (["--minutes", "-1"], "--minutes: expected a positive number, got -1"),
        (["--periods", "0"], "--periods: expected"),
        (["--data", "nowhere.npy"], "--data: nowhere.npy: no such file"),
        (["--kind", "plrnn"], "--kind: only meaningful together with FILE"),
        (["--input", "1,x"], "--input: expected numbers"),
    ],
)
def test_misuse_of_the_command(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    told = capsys.readouterr()
    assert message in told.err and told.err.count("\n") == 1 and not told.out


@pytest.mark.parametrize(
    "options, message",
    [
        ({"model": 3}, "model: expected a network"),
        ({"key": 0}, "key: expected one JAX random key"),
        ({"minutes": 0}, "minutes: expected a positive number"),
        ({"periods": []}, "periods: expected at least one"),
        ({"data": np.zeros((5, 3))}, "data: expected 2 variables"),
        ({"data": np.zeros(5)}, "data: expected a series"),
    ],
)
def test_misuse_of_the_function(options, message):
    arguments = {"model": LOZI, "key": jr.key(0), **options}
    with pytest.raises(ValueError, match=message):
        plr.report(arguments.pop("model"), **arguments)


def test_without_the_extra(monkeypatch):
    import importlib

    real = importlib.import_module

    def missing(name, *rest):
        if name == "jinja2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'plrjax\[report\]'"):
        made(LOZI)
