"""The table of `throughput.py` as benchmarks: `pytest benchmarks --benchmark-only`."""

import pytest

pytest.importorskip("numba")
pytest.importorskip("pytest_benchmark")

from benchmarks import throughput, timing
from benchmarks.reference import VARIANTS

LARGEST_GESV_RATIO = 10.0
"""lapack at (50,10) over one 50 x 50 solve; 6.8 where the published table was taken, plus 30 %."""

sizes = pytest.mark.parametrize("size, period", throughput.SIZES)


def run(benchmark, call, count):
    benchmark.extra_info["candidates_per_call"] = count
    timing.block(call())
    benchmark(lambda: timing.block(call()))
    benchmark.extra_info["us_per_candidate"] = benchmark.stats.stats.min / count * 1e6


@sizes
@pytest.mark.parametrize("variant", VARIANTS)
def test_reference(benchmark, variant, size, period):
    benchmark.group = f"M={size}, k={period}"
    run(benchmark, *throughput.reference_call(variant, size, period))


@sizes
def test_reference_walk(benchmark, size, period):
    benchmark.group = f"M={size}, k={period}"
    run(benchmark, *throughput.reference_walk_call("loops", size, period))


@sizes
def test_kernel(benchmark, size, period):
    benchmark.group = f"M={size}, k={period}"
    try:
        call, count = throughput.kernel_call(throughput.piecewise_affine_map(size), period)
    except ImportError as error:
        pytest.skip(str(error))
    run(benchmark, call, count)


@sizes
def test_search(benchmark, size, period):
    benchmark.group = f"M={size}, k={period}"
    try:
        call, count = throughput.search_call(throughput.piecewise_affine_map(size), period)
    except (ImportError, KeyError) as error:
        pytest.skip(str(error))
    run(benchmark, call, count)


def test_the_reference_is_not_a_straw_man(benchmark):
    call, count = throughput.reference_call("lapack", 50, 10)
    benchmark.pedantic(call, rounds=9, warmup_rounds=1)
    ratio = timing.measure(call).best / count / throughput.gesv_seconds(50)
    benchmark.extra_info["ratio_to_gesv"] = ratio
    assert ratio < LARGEST_GESV_RATIO
