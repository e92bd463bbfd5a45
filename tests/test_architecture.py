"""The house: floors, bans, sizes, and what importing the package may do."""

import ast
import functools
import json
import pathlib
import subprocess
import sys

import pytest
from house import circles, functions, trees

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "plrjax"

# A module, or a sub-package as a whole, imports lower floors or its own sub-package only.
# The public API (`plrjax`, its __init__) stands between the plots and the command line.
FLOORS = {
    "_tables": 0,
    "_results": 0,
    "_temporary": 0,
    "_zip": 0,
    "_json": 0,
    "words": 0,
    "_decoded": 0.1,
    "_files": 0.2,
    "_numerics": 0,
    "_action": 0,
    "_arguments": 1,
    "_saved": 1,
    "_trials": 1,
    "_elimination": 1,
    "_digests": 0,
    "_plugins": 0,
    "_job_folder": 0.4,
    "_job": 1.5,
    "_parcels": 0.5,
    "_pool": 1,
    "_executors": 1.6,
    "_constant_input": 2.5,
    "_flow": 2.5,
    "_many": 1.6,
    "_caches": 0,
    "_progress": 0,
    "_host": 0,
    "_memory": 0,
    "_interrupts": 0.5,
    "_programs": 0,
    "_parallel": 0,
    "_compiled": 0.5,
    "_lapack": 0.6,
    "_dynamics": 1,
    "_lyapunov": 2,
    "_piecewise_affine": 2,
    "_map_arrays": 2.5,
    "models": 3,
    "_stability": 3,
    "_exact": 3,
    "_checker": 3.5,
    "_connection_checker": 3.6,
    "_fixed_points": 3,
    "cycles": 4,
    "grid": 4.5,
    "manifolds": 5.5,
    "attractors": 5,
    "systems": 5,
    "metrics": 5,
    "scans": 5,
    "training": 6,
    "bifurcations": 6,
    "_io": 7,
    "_census": 7.5,
    "plot": 8,
    "_report": 8.2,
    "plrjax": 8.5,
    "_cli": 9,
    "__main__": 10,
}
BANS = (
    ("cycles", "models"),
    ("_lyapunov", "_piecewise_affine"),
    ("training", "bifurcations"),
    ("bifurcations", "training"),
)
MAX_LINES = 500
MAX_BODY = 60
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "torch"}


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
STUBS = {module_name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.pyi")}
"""Where the names of a package come from when they are first used."""


def house(module: str) -> str:
    """Return the floor's name: 'plrjax.cycles._find' lives in 'cycles'."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def targets(module: str, node: ast.AST) -> set[str]:
    """Return the modules of the package that one import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            inside = MODULES[module].name == "__init__.py"
            parts = module.split(".")
            kept = parts[: len(parts) - node.level + (1 if inside else 0)]
            base = ".".join([*kept, *([node.module] if node.module else [])])
        full = [f"{base}.{alias.name}" for alias in node.names]
        names = [name if name in MODULES else base for name in full]
    else:
        return set()
    return {name for name in names if name in MODULES} - {module}


@functools.cache
def imports(module: str) -> set[str]:
    """Return every module of the package that `module` imports, also inside functions."""
    trees = [TREES[module], *([STUBS[module]] if module in STUBS else [])]
    return set().union(*(targets(module, node) for tree in trees for node in ast.walk(tree)))


def imports_on_load(module: str) -> set[str]:
    return set().union(*(targets(module, node) for node in TREES[module].body))


def allowed(module: str, target: str) -> bool:
    own = house(target) == house(module) and house(module) != "plrjax"
    return own or FLOORS[house(target)] < FLOORS[house(module)]


def test_modules_import_lower_floors_only():
    homeless = sorted({house(module) for module in MODULES} - FLOORS.keys())
    assert not homeless, f"give them a floor in FLOORS (and in the design): {homeless}"
    found = [(m, target) for m in MODULES for target in imports(m) if not allowed(m, target)]
    assert not found, f"imports of what is not on a lower floor: {found}"


def test_no_circles():
    """Not even for types: of two modules that need each other, neither can be read alone."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]
    assert not circles({module: imports(module) for module in MODULES})


def test_functions_are_short():
    found = [(path, *one) for path, tree in trees(PACKAGE).items() for one in functions(tree)]
    assert len(found) > 1000 and not [one for one in found if one[2] > MAX_BODY]


def test_bans():
    found = [(m, t) for m in MODULES for t in imports(m) if (house(m), house(t)) in BANS]
    assert not found, f"banned imports: {found}"


def test_the_rules_find_offenders():
    """What they read is there: each floor above the lowest imports, and a bad import is seen."""
    assert {"plrjax", "plrjax.cycles", "plrjax._numerics", "plrjax._cli"} <= MODULES.keys()
    assert "plrjax._piecewise_affine" in imports("plrjax.cycles._find")
    assert not allowed("plrjax._numerics", "plrjax.cycles") and allowed("plrjax._cli", "plrjax")
    bad = ast.parse("import pickle\nimport torch.nn as t\nload(x, allow_pickle=True)")
    assert [line for line, _ in unpickling(bad)] == [1, 2, 3]
    bad = ast.parse("try:\n    f()\nexcept OSError:\n    pass\ntry:\n    f()\nexcept:\n    g()")
    assert [line for line, _ in silencing(bad)] == [3, 7]


def test_only_the_command_line_and_the_report_import_plot():
    importers = {house(module) for module in MODULES if "plrjax.plot" in imports(module)}
    assert importers <= {"_cli", "_report", "plrjax"}
    assert not imports_on_load("plrjax"), "the public API must load on first use"


def test_no_import_cycles():
    graph = {module: imports_on_load(module) for module in MODULES}
    while leaves := {module for module, needed in graph.items() if not needed & graph.keys()}:
        graph = {module: graph[module] for module in graph.keys() - leaves}
    assert not graph, f"modules in or behind an import cycle: {sorted(graph)}"


@pytest.mark.parametrize("folder", ["plrjax", "tests", "benchmarks", "notebooks"])
def test_files_are_short(folder):
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")}
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n >= MAX_LINES}
    assert not long, f"files of {MAX_LINES} lines or more: {long}"


def unpickling(tree: ast.AST) -> list[tuple[int, str]]:
    """Return the lines that import what unpickles, or ask NumPy to."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and PICKLES & {a.name.split(".")[0] for a in node.names}:
            found.append((node.lineno, "imports an unpickler"))
        if isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").split(".")[0] in PICKLES:
                found.append((node.lineno, "imports an unpickler"))
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                found.append((node.lineno, "allows pickles"))
    return sorted(found)


def silencing(tree: ast.AST) -> list[tuple[int, str]]:
    """Return the lines that swallow errors, or catch all of them."""
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    return [
        (node.lineno, "error swallowed")
        for node in sorted(handlers, key=lambda node: node.lineno)
        if node.type is None or (len(node.body) == 1 and isinstance(node.body[0], ast.Pass))
    ]


@pytest.mark.parametrize("offences", [unpickling, silencing], ids=lambda rule: rule.__name__)
def test_nothing_is_unpickled_and_nothing_is_silenced(offences):
    found = [f"{m}:{n}: {what}" for m, tree in TREES.items() for n, what in offences(tree)]
    sent = "plrjax._parcels:7: imports an unpickler"  # for other processes, never for files
    assert [one for one in found if one != sent] == [], "\n".join(found)


IMPORT_PROBE = """
import json, sys
from plrjax._cli import main
codes = [main(argv.split()) for argv in (
    "--help", "--version", "cycles --help", "odd", "cycles --odd", "cycles --periods 0",
    "lyapunov --dt=-1", "train data.npy", "evaluate run --late=-1",
)]
light = "jax" not in sys.modules
import jax
before = {name: repr(value) for name, value in jax.config.values.items()}
import plrjax
known = set(sys.modules)
plrjax.find_cycles, plrjax.fit, plrjax.lyapunov_spectrum
after = {name: repr(value) for name, value in jax.config.values.items()}
changed = sorted(name for name in before if before[name] != after.get(name))
heavy = {"flint", "matplotlib", "numba", "pandas", "torch", "h5py", "scipy.signal", "scipy.stats",
    "scipy.ndimage", "scipy.spatial", "scipy.io", "scipy.optimize"}
loaded = sorted(heavy & set(sys.modules))
eager = sorted(name for name in known if name.startswith("plrjax.") and "_cli" not in name)
print(json.dumps({"codes": codes, "light": light, "changed": changed, "loaded": loaded,
    "heavy": "plrjax.cycles" in eager}), file=sys.stderr)
"""


def test_what_is_imported_when():
    """Help, version and errors come without JAX; names load on first use, change no setting."""
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT_PROBE], capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stderr.splitlines()[-1])
    assert found == {
        "codes": [0, 0, 0, 2, 2, 2, 2, 2, 2],
        "light": True,
        "changed": [],
        "loaded": [],
        "heavy": False,
    }
    assert ran.stdout.startswith("usage: plrjax ") and "\nplrjax 0." in ran.stdout
