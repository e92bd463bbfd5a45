"""Lint, format, types, and docstrings of everything public."""

import ast
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

import plrjax

ROOT = pathlib.Path(__file__).resolve().parents[1]


def tool(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")])
def test_ruff(arguments):
    pytest.importorskip("ruff")
    ran = tool("ruff", *arguments, "--no-cache", ".")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_pyright():
    pytest.importorskip("pyright")
    ran = tool("pyright", "--outputjson", "--pythonpath", sys.executable)
    try:
        report = json.loads(ran.stdout)
    except json.JSONDecodeError:
        pytest.skip(f"pyright cannot start (it needs Node.js): {(ran.stderr or ran.stdout)[-300:]}")
    errors = [
        f"{entry['file']}:{entry['range']['start']['line'] + 1}: {entry['message']}"
        for entry in report["generalDiagnostics"]
        if entry["severity"] == "error"
    ]
    assert not errors, "\n".join(errors)


def test_benchmarks_find_what_they_import():
    """They are run by hand: a name that moved would be noticed late. Also inside functions."""
    pytest.importorskip("matplotlib")
    lines = []
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("plrjax"):
                names = ", ".join(alias.name for alias in node.names)
                lines.append(f"from {node.module} import {names}  # {path.name}")
    assert len(lines) > 50
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_everything_public_is_documented():
    for name in dir(plrjax):
        thing = getattr(plrjax, name)
        if isinstance(thing, types.ModuleType):
            continue
        assert documented(thing), f"plrjax.{name} has no docstring"
        if isinstance(thing, type) and thing.__module__.startswith("plrjax"):
            for method, value in vars(thing).items():
                if not method.startswith("_") and (callable(value) or isinstance(value, property)):
                    inherited = (vars(base).get(method) for base in thing.__mro__)
                    assert any(map(documented, inherited)), f"plrjax.{name}.{method}"


def documented(thing) -> bool:
    return bool((getattr(thing, "__doc__", None) or "").strip())
