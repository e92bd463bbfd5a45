"""The command `plrjax report FILE | RUN`."""

import dataclasses
from typing import Annotated, Any

import tyro

from ._common import (
    EXIT,
    check_target,
    complain,
    exit_code,
    is_run,
    key_of,
    numbers_of,
    readable,
    say,
)
from ._cycles import parse_periods

_SUFFIX = (".html",)


@dataclasses.dataclass(frozen=True)
class Report:
    """Write one page about a network: attractors, cycles, exponents, words, scores, an audit.

    The page is one .html file that needs nothing else; the same numbers are in a .json file beside.
    Of a run, training is described, too. Exit codes: 0 finished, 1 failure (also of a single part,
    which the page names), 2 bad input, 3 the time ran out before every part had begun, 130 Ctrl-C,
    143 SIGTERM; after the last three, the page has what was found.
    """

    file: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[FILE | RUN]")] = None
    """Network file, or the folder of a training run (also of a killed one); without it, the
    embedded example."""
    out: Annotated[str, tyro.conf.arg(metavar="PATH")] = "report.html"
    """The page; its numbers are written beside, to a .json file."""
    data: Annotated[str | None, tyro.conf.arg(metavar="TEST")] = None
    """Series to hold the network against, in its units (of a run, in those of its training data);
    by default the TEST of the run."""
    periods: Annotated[str, tyro.conf.arg(metavar="LIST")] = "1:8"
    """Periods to search: '3', '1,2,5', '1:10' (both ends included)."""
    minutes: Annotated[float, tyro.conf.arg(metavar="FLOAT")] = 2.0
    """Limit for all computations; each part has a share, and says where it was cut."""
    snapshots: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Follow all snapshots of the one file given; the last one is described."""
    seed: int = 0
    """Seed of all random numbers; the same seed gives the same result."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Model family, where the file does not say: plrnn, shallow, clipped-shallow, ..."""
    num_relu: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of ReLU units of an almost-linear network."""
    index: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Which snapshot, where the file holds several."""
    leak: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Leak of a ReLU network, where the file does not say."""
    input: Annotated[str | None, tyro.conf.arg(metavar="LIST")] = None
    """Constant input of the network, such as '0.5,1'."""

    def run(self) -> EXIT:
        check_target("--out", self.out, _SUFFIX)
        if self.minutes <= 0 or self.minutes != self.minutes:
            raise ValueError(f"--minutes: expected a positive number, got {self.minutes}")
        periods, key = parse_periods(self.periods), key_of(self.seed)
        inputs = numbers_of(self.input, "--input")
        from .. import report

        given, code = self._load()
        with readable(self.data, "--data"):
            page = self._made(report, given, code, key, periods, inputs)
        say(str(page))
        try:
            page.save(self.out)
        except OSError as error:
            complain(error)
            return EXIT.failure
        numbers = self.out.removesuffix(".html") + ".json"
        say(f"written: {self.out} ({len(page.html) / 1e6:.1f} MB), {numbers}")
        code = exit_code(page.result)
        for name in page.failed:
            complain(f"part {name}: {page.facts['parts'][name]['why']}")
        return EXIT.failure if page.failed and code == EXIT.finished else code

    def _made(self, report, given, code, key, periods, inputs):
        """Return the page; errors name options."""
        try:
            return report(
                given, key=key, data=self.data, inputs=inputs, periods=periods,
                minutes=self.minutes, name=self.file or "the embedded example network", code=code,
            )  # fmt: skip
        except ValueError as error:
            text = str(error)
            for argument in ("data", "inputs"):
                option = "--" + argument.removesuffix("s")
                text = text.replace(f"{argument}:", f"{option}:", 1)
            raise ValueError(text) from error

    def _load(self) -> tuple[Any, list[str]]:
        """Return a network, several, or a run, and the lines that load it."""
        from .. import RunFolder, describe, example_network, load

        options = {name: getattr(self, name) for name in ("kind", "num_relu", "index", "leak")}
        options = {name: value for name, value in options.items() if value is not None}
        if self.file is None:
            for name in (*options, *(["snapshots"] if self.snapshots else [])):
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag}: only meaningful together with FILE")
            return example_network(), ["model = plr.example_network()"]
        if is_run(self.file):
            for name in options:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag}: leave it out, {self.file} is a run")
            return RunFolder(self.file), []
        with readable(self.file):
            if self.snapshots:
                count = describe(self.file)["snapshots"]
                if count is None or count < 2:
                    raise ValueError(f"--snapshots: {self.file} has {count or 'none'}")
                options.pop("index", None)
                models = [load(self.file, index=i, **options) for i in range(count)]
                text = "".join(f", {name}={value!r}" for name, value in options.items())
                loaded = f'plr.load("{self.file}", index=i{text})'
                return models, [
                    f"models = [{loaded} for i in range({count})]",
                    "model = models[-1]",
                ]
            text = "".join(f", {name}={value!r}" for name, value in options.items())
            return load(self.file, **options), [f'model = plr.load("{self.file}"{text})']
