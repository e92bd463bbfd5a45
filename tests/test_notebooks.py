"""Notebooks: the percent script and its .ipynb agree, and both run at reduced size."""

import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


def run(*arguments: str) -> subprocess.CompletedProcess:
    environment = {
        **os.environ,
        "PLRJAX_REDUCED": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    return subprocess.run(
        [sys.executable, "-m", *arguments], env=environment, capture_output=True, text=True
    )


def test_there_are_notebooks_and_each_is_paired():
    assert NAMES
    assert NAMES == sorted(path.stem for path in FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_script_and_notebook_say_the_same(name):
    jupytext = pytest.importorskip("jupytext")
    script = jupytext.read(FOLDER / f"{name}.py")
    notebook = jupytext.read(FOLDER / f"{name}.ipynb")
    cells = [(cell.cell_type, cell.source) for cell in script.cells]
    assert cells == [(cell.cell_type, cell.source) for cell in notebook.cells], (
        f"run: jupytext --to ipynb notebooks/{name}.py"
    )
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 2**20, "outputs must stay small"


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_at_reduced_size(name):
    pytest.importorskip("nbmake")
    path = str(FOLDER / f"{name}.ipynb")
    options = ["--nbmake", "--nbmake-timeout=900", "-p", "no:cacheprovider", "-o", "addopts="]
    ran = run("pytest", *options, path)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
