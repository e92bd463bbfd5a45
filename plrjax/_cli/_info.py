"""The command `plrjax info [FILE]`."""

import dataclasses
import json
from typing import Annotated

import tyro

from .._json import plain
from .._tables import aligned
from ._common import EMBEDDED, EXIT, is_run, readable, say


@dataclasses.dataclass(frozen=True)
class Info:
    """Say what a file holds: the model, its shapes, where it came from."""

    file: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[FILE]")] = None
    """Network or result file, or the folder of a training run; without it, the embedded example."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the description as JSON."""

    def run(self) -> EXIT:
        from .._io import describe
        from .._io._example import EXAMPLE

        if self.file is not None and is_run(self.file):
            facts = plain(_run_facts(self.file))
            say(json.dumps(facts, allow_nan=False) if self.json else _listing(facts))
            return EXIT.finished
        with readable(self.file):
            facts = plain(describe(EXAMPLE if self.file is None else self.file))
        if self.file is None:
            facts["path"] = EMBEDDED
        say(json.dumps(facts, allow_nan=False) if self.json else _listing(facts))
        return EXIT.finished


def _run_facts(path: str) -> dict:
    """Return what the folder of a training run holds."""
    from .. import RunFolder
    from .._io._run_folder import MODEL, TABLE

    run = RunFolder(path)
    facts = {"path": path, "type": "run", "network": run.setting("networks")}
    facts |= {"updates": run.num_steps, "finished": (run.path / MODEL).is_file()}
    facts |= {"snapshots": len(run.steps), "data": run.setting("data"), "test": run.setting("test")}
    facts["settings"] = run.setting("settings")
    if (run.path / TABLE).is_file():
        facts["last row"] = {
            name: column[-1] for name, column in run.metrics.items() if len(column)
        }
    return facts


def _listing(facts: dict) -> str:
    """Return a description as aligned lines, without what is empty."""
    provenance = (facts.get("header") or {}).get("provenance")
    facts = {**facts, "header": None, "provenance": provenance}
    if facts.get("type") not in (None, "model"):
        facts["ignored"] = None
    if isinstance(facts.get("arrays"), dict):
        facts["arrays"] = {
            name: " x ".join(map(str, array["shape"])) + " " + array["dtype"]
            for name, array in sorted(facts["arrays"].items())
        }
    shown = {key: value for key, value in facts.items() if value not in (None, [], {})}
    return "\n".join(aligned([(key, _inline(value)) for key, value in shown.items()], {0, 1}))


def _inline(value) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_inline(entry)}" for key, entry in value.items())
    return ", ".join(map(_inline, value)) if isinstance(value, list) else str(value)
