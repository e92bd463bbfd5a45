"""Symbolic dynamics, against brute-force counts, closed forms and Lyapunov exponents."""

import collections
import itertools
from typing import Any

import numpy as np
import pytest
from systems import LOZI, SIXTEEN, plrnn_map, tent

import plrjax as plr

STEPS = 1_000_000


def made(name: str, request):
    """Return a map and the start of an orbit on its attractor."""
    if name == "tent":
        return tent(1.9), [0.3]
    if name == "lozi":
        return LOZI, [0.1, 0.1]
    path = request.getfixturevalue("shared") / "data/networks/alrnn_lorenz_m20_p2.pt"
    return plr.load(path, kind="almost-linear", num_relu=2), 20 * [0.1]


def counted(text: np.ndarray, length: int) -> dict[tuple[int, ...], int]:
    """Return how often each word occurs, one by one."""
    letters = text.tolist()
    return dict(collections.Counter(zip(*(letters[i:] for i in range(length)))))


def plain_text(model, start, steps: int) -> list[bytes]:
    """Return the regions of an orbit, by NumPy alone."""
    z, regions = np.asarray(start, float), []
    for _ in range(steps):
        y = model.W2 @ z + model.h2
        regions.append((y > 0).tobytes())
        z = model.A @ z + model.W1 @ np.maximum(y, 0) + model.h1
    return regions


@pytest.mark.parametrize("name", ["tent", "lozi", "almost-linear"])
def test_words_equal_brute_force_counts(name, request):
    model, start = made(name, request)
    found = plr.symbolic_dynamics(model, start, num_steps=STEPS, longest=6)
    assert len(found.text) == STEPS and (np.diff(found.visits) <= 0).all()
    np.testing.assert_array_equal(found.visits, np.bincount(found.text))
    for length in (1, 2, 3, 6):
        words, count = found.words(length)
        told = {tuple(word): number for word, number in zip(words.tolist(), count.tolist())}
        assert told == counted(found.text, length)
        assert found.num_words[length - 1] == len(told)
        share = count / count.sum()
        plain = -(share * np.log(share)).sum()
        correction = (len(count) - 1) / (2 * count.sum())
        assert found.block_entropy[length - 1] == pytest.approx(plain + correction, abs=1e-12)
    np.testing.assert_allclose(found.rate, np.diff(found.block_entropy, prepend=0.0), atol=1e-12)


@pytest.mark.parametrize("name", ["tent", "lozi"])
def test_the_text_is_the_orbit_of_another_program(name, request):
    """Rounding makes chaotic orbits part after some dozens of steps; their statistics do not."""
    model, start = made(name, request)
    found = plr.symbolic_dynamics(model, start, num_steps=STEPS, num_transient=0, longest=8)
    steps = 100_000
    regions = plain_text(model, start, steps)
    patterns = [found.pattern(region).tobytes() for region in range(len(found))]
    assert [patterns[letter] for letter in found.text[:20]] == regions[:20]
    number = {pattern: letter for letter, pattern in enumerate(patterns)}
    words = counted(np.array([number[region] for region in regions]), 8)
    share = np.array(list(words.values())) / (steps - 7)
    other = -(share * np.log(share)).sum() + (len(words) - 1) / (2 * steps)
    assert found.block_entropy[7] == pytest.approx(other, abs=0.02)


def test_entropy_of_the_tent_map_is_the_logarithm_of_its_slope():
    """Its measure of maximal entropy is its invariant density: both entropies are ln 1.9."""
    found = plr.symbolic_dynamics(tent(1.9), [0.3], num_steps=STEPS, longest=14)
    value, error, length = found.entropy
    assert length == 14 and error < 2e-3 and value == pytest.approx(np.log(1.9), abs=2e-3)
    assert found.growth[10:].mean() == pytest.approx(np.log(1.9), abs=2e-3)


def test_entropy_of_the_lozi_map_is_its_exponent():
    """Pesin's formula; .4703 is the exponent, by QR along 256 orbits."""
    found = plr.symbolic_dynamics(LOZI, [0.1, 0.1], num_steps=STEPS, longest=14)
    value, error, _ = found.entropy
    assert 0.4703 - 4 * error < value < 0.4703 + 0.004


@pytest.mark.parametrize("name", ["lozi", "almost-linear"])
def test_missing_words_are_those_that_brute_force_misses(name, request):
    found = plr.symbolic_dynamics(*made(name, request), num_steps=100_000, longest=5)
    for length in (2, 3, 5):
        shorter, there = (set(counted(found.text, n)) for n in (length - 1, length))
        pairs = itertools.product(shorter, shorter)
        expected = {(*a, b[-1]) for a, b in pairs if a[1:] == b[:-1]} - there
        words, times = found.missing(length)
        assert set(map(tuple, words.tolist())) == expected
        assert found.num_missing[length - 1] == len(expected)
        assert (np.diff(times) <= 0).all() and (times > 0).all()


def test_expected_counts_are_those_of_a_chain_without_memory():
    found = plr.symbolic_dynamics(LOZI, [0.1, 0.1], num_steps=50_000)
    words, times = found.missing(3)
    if not len(words):
        words, times = found.missing(5)
    short, middle = counted(found.text, words.shape[1] - 1), counted(found.text, words.shape[1] - 2)
    for word, expected in zip(map(tuple, words.tolist()), times.tolist()):
        inner = middle[word[1:-1]]
        assert expected == pytest.approx(short[word[:-1]] * short[word[1:]] / inner, rel=1e-3)


def test_an_orbit_on_a_cycle_has_the_words_of_its_itinerary():
    model = plrnn_map(**SIXTEEN | {"A": np.diag(SIXTEEN["A"])})
    found = plr.symbolic_dynamics(
        model, [2.0, 0.1], num_transient=5_000, num_steps=16_000, longest=14
    )
    assert found.num_words[-1] == 16 and found.growth[-1] == 0
    assert found.block_entropy[-1] == pytest.approx(np.log(16), abs=1e-3)
    assert abs(found.rate[-1]) < 1e-3


def test_the_graph_for_networkx():
    networkx = pytest.importorskip("networkx")
    found = plr.symbolic_dynamics(LOZI, [0.1, 0.1])
    graph = found.to_networkx()
    assert graph.number_of_nodes() == len(found) and networkx.is_strongly_connected(graph)
    for node in graph:
        leaving = [data["probability"] for _, _, data in graph.out_edges(node, data=True)]
        assert sum(leaving) == pytest.approx(1.0)
        assert graph.nodes[node]["pattern"] == "".join("01"[x] for x in found.pattern(node) * 1)
    total = sum(data["count"] for *_, data in graph.edges(data=True))
    assert total == len(found.text) - 1


def test_it_is_saved_and_read(tmp_path):
    found = plr.symbolic_dynamics(LOZI, [0.1, 0.1], num_steps=2_000)
    found.save(tmp_path / "words.npz")
    assert plr.load(tmp_path / "words.npz") == found
    assert "2 linear subregions" in str(found) and "no proof" in str(found)


def test_a_time_limit_shortens_the_text():
    found = plr.symbolic_dynamics(LOZI, [0.1, 0.1], num_steps=10**8, longest=2, max_seconds=0.2)
    assert found.result is plr.RESULTS.budget_exhausted and 0 < len(found.text) < 10**8


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"start": [0.1]}, "start: expected shape"),
        ({"start": [np.nan, 0.1]}, "start: expected finite"),
        ({"start": [50.0, 50.0]}, "start: expected a state whose orbit stays finite"),
        ({"num_steps": 0}, "num_steps: expected an integer of at least 1"),
        ({"longest": 0}, "longest: expected an integer of at least 1"),
    ],
)
def test_misuse_names_the_argument(changes, message):
    arguments = {"start": [0.1, 0.1], **changes}
    with pytest.raises(ValueError, match=message):
        plr.symbolic_dynamics(LOZI, arguments.pop("start"), **arguments)


def test_plots():
    import matplotlib.pyplot as plt

    found = plr.symbolic_dynamics(LOZI, [0.1, 0.1], num_steps=20_000)
    ax = plr.plot.word_graph(found)
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["0", "1"]
    ax: Any = plr.plot.word_entropies(found)
    assert [text.get_text() for text in ax.get_legend().get_texts()][0] == "growth of words"
    plt.close("all")
