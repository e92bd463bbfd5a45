"""One thread for everything here, and no benchmark unless `--benchmark-only` asks for it."""

from pathlib import Path

import pytest

from benchmarks import timing

timing.single_thread()


def pytest_collection_modifyitems(config, items):
    if config.getoption("--benchmark-only", default=False):
        return
    skip = pytest.mark.skip(reason="a benchmark: run with --benchmark-only")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(skip)
