"""Figures of the house: `python tests/house.py` prints them, `test_architecture.py` bounds some.

A constant is a name in capitals that a module assigns; a function's body is without its docstring;
a file is entered where one of its functions is called, imports aside.
"""

import ast
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "plrjax"


def trees(folder: pathlib.Path) -> dict[str, ast.Module]:
    """Return the syntax trees of a folder's files, by path."""
    paths = sorted(folder.rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


def constants(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        for target in targets:
            names = (one.id for one in ast.walk(target) if isinstance(one, ast.Name))
            yield from (name for name in names if name.strip("_").isupper())


def functions(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Yield name, lines of the body, and number of parameters of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            a = node.args
            yield node.name, lines, len(a.posonlyargs) + len(a.args) + len(a.kwonlyargs)


def private_imports(tree: ast.Module) -> bool:
    """Return whether a test imports a module or name of the package that is not public."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        ours = (name.split(".")[1:] for name in names if name.startswith("plrjax"))
        if any(part.startswith("_") for parts in ours for part in parts):
            return True
    return False


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Return the modules that import each other, directly or through others, group by group."""
    reach: dict[str, set[str]] = {}
    for start in imports:
        seen: set[str] = set()
        left = [*imports[start]]
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += imports.get(name, ())
        reach[start] = seen
    groups = {tuple(sorted(b for b in reach[a] if a in reach.get(b, ()))) for a in imports}
    return [list(group) for group in sorted(groups) if len(group) > 1]


def entered(call: Callable[[], object]) -> set[str]:
    """Return the files of the package in which a function runs during a call."""
    found: set[str] = set()

    def watch(frame, event, argument):
        name = frame.f_code.co_filename
        if event == "call" and frame.f_code.co_name != "<module>" and name.startswith(str(PACKAGE)):
            found.add(name.removeprefix(str(PACKAGE) + "/"))

    call()  # what is imported on the way runs once, and is not counted
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def _train_call() -> None:
    import jax.random as jr
    import numpy as np

    import plrjax as plr

    t = 0.3 * np.arange(200.0)
    x, quiet = np.stack([np.sin(t), np.cos(t)], axis=1), plr.NoProgress()
    tracker = plr.BifurcationTracker([1, 2], every=10, key=jr.key(0))
    plr.fit(
        plr.ShallowPLRNN(2, 4, key=jr.key(0)), x, key=jr.key(0), num_steps=20, sequence_length=20,
        callbacks=[tracker], progress=quiet,
    )  # fmt: skip
    plr.plot.bifurcations(tracker.bifurcations)


def _main_call() -> None:
    import jax.random as jr

    import plrjax as plr

    with tempfile.TemporaryDirectory() as folder:
        plr.save(f"{folder}/x.npz", plr.example_network())
        print(plr.find_cycles(plr.load(f"{folder}/x.npz"), range(1, 11), key=jr.key(0)).counts())


def main() -> None:
    package, tests = trees(PACKAGE), trees(ROOT / "tests")
    found = [(*one, path) for path, tree in package.items() for one in functions(tree)]
    lines = sum(len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py"))
    print(f"{lines} lines in {len(package)} files")
    print(f"{sum(len([*constants(tree)]) for tree in package.values())} constants of modules")
    print(f"functions of more than 60 lines: {[one for one in found if one[1] > 60]}")
    many = sorted({(count, name) for name, _, count, _ in found if count > 8}, reverse=True)
    print(f"functions of more than 8 parameters: {len(many)}: {many}")
    print(
        f"tests with private imports: {sum(map(private_imports, tests.values()))} of {len(tests)}"
    )
    calls = {"load, find_cycles, print": _main_call, "fit, tracker, plot": _train_call}
    for name, call in calls.items():
        files = entered(call)
        print(f"files entered by {name}: {len(files)}: {sorted(files)}")


if __name__ == "__main__":
    main()
