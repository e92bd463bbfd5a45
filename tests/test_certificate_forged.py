"""Forged certificates: refused, unless what they say is true all the same."""

import copy
import itertools

import numpy as np
import pytest
from forgery import (
    BOTH,
    CASES,
    COUNTS,
    DEAD,
    OFF_EMPTY,
    ON_EMPTY,
    accepted,
    all_integers,
    certificate,
    integers,
    refused,
    verified,
)


@pytest.mark.parametrize("name", CASES)
def test_true_certificate_is_accepted(name):
    map, data = certificate(name)
    proven = verified(map, data)
    counts = {k: sum(len(c["word"]) == k for c in proven["cycles"]) for k in proven["periods"]}
    assert counts == COUNTS.get(name, counts)
    assert proven["everywhere"] == ("box" not in name)
    assert proven["degenerate"] == ([2] if name == "family" else [])


# the cycles


@pytest.mark.parametrize("name", CASES)
def test_wrong_lists_of_cycles_are_refused(name):
    map, data = certificate(name)
    cycles, different = data["cycles"], "not those of the proof"
    for i, cycle in enumerate(cycles):
        refused(map, {**data, "cycles": cycles[:i] + cycles[i + 1 :]}, different)
        refused(map, {**data, "cycles": [*cycles, cycle]}, different)
        for change in changes_of(cycle):
            changed = [*cycles[:i], {**cycle, **change}, *cycles[i + 1 :]]
            if changed != cycles:  # a family's word may be the same from each of its letters on
                refused(map, {**data, "cycles": changed}, different)
        missing = {key: value for key, value in cycle.items() if key != "stability"}
        refused(map, {**data, "cycles": [*cycles[:i], missing, *cycles[i + 1 :]]}, different)
    if len(cycles) > 1:
        refused(map, {**data, "cycles": cycles[::-1]}, different)
    refused(map, {**data, "cycles": []}, different)


def changes_of(cycle):
    """Yield one wrong entry after the other: last digits, kinds, signs, words."""
    for name in ("points", "multipliers"):
        for i, j in np.ndindex(np.shape(cycle[name])):
            changed = copy.deepcopy(cycle[name])
            changed[i][j] = float(np.nextafter(changed[i][j], np.inf))
            yield {name: changed}
    for kind in {"stable", "unstable", "saddle", "nonhyperbolic"} - {cycle["stability"]}:
        yield {"stability": kind}
    yield from ({"index": i} for i in {-1, 0, 1} - {cycle["index"]})
    word = cycle["word"]
    yield {"word": [word[0][:-1] + "10"[int(word[0][-1])], *word[1:]]}
    yield {"word": [*word, *word]}
    if len(word) > 1:
        yield {"word": word[1:] + word[:1]}
        yield {"points": cycle["points"][1:] + cycle["points"][:1]}


def test_empty_list_of_degenerate_periods_is_refused():
    map, data = certificate("family")
    for other in ([], [1], [3], [1, 2], [2, 2], [2, 3], ["2"], None):
        refused(map, {**data, "degenerate": other}, "not those of the proof")
    map, data = certificate("lozi")
    refused(map, {**data, "degenerate": [2]}, "not those of the proof")


# the tree


@pytest.mark.parametrize("name", CASES)
def test_damaged_subtrees_are_refused(name):
    map, data = certificate(name)
    draw = np.random.default_rng(0)
    for prefix, chunk in data["tree"].items():
        tree = {key: value for key, value in data["tree"].items() if key != prefix}
        refused(map, {**data, "tree": tree}, "not decided")
        refused(map, {**data, "tree": {**tree, prefix: [DEAD, 0]}}, "not decided")
        refused(map, {**data, "tree": {**tree, prefix + "0": chunk}}, "not decided")
        refused(map, {**data, "tree": {**tree, prefix: []}}, "ends before")
        for end in {len(chunk) - 1, *draw.integers(len(chunk), size=5).tolist()}:
            proven = accepted(map, {**data, "tree": {**tree, prefix: chunk[:end]}})
            # behind a pruning that is not proven, other chunks go on
            assert proven is None or (proven["cycles"] == data["cycles"] and len(data["tree"]) > 1)
    refused(map, {**data, "tree": {}}, "not decided")


@pytest.mark.parametrize("tries", [30, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_any_changed_integer_is_refused_or_changes_nothing(name, tries):
    """The statement stays the same, and is true: if the proof still proves it, so be it."""
    map, honest = certificate(name)
    draw, told = np.random.default_rng(1), 0
    for _ in range(tries):
        data = copy.deepcopy(honest)
        places = all_integers(data)
        chunk, i = places[draw.integers(len(places))]
        old = chunk[i]
        others = [old + 1, old - 1, -1, *range(4), *draw.integers(0, 99, 3).tolist(), 10**12]
        chunk[i] = [x for x in others if x != old][draw.integers(9)]
        proven = accepted(map, data)
        told += proven is None
        if proven:
            assert all(proven[key] == honest[key] for key in ("periods", "box", "cycles"))
    assert told > 0


@pytest.mark.parametrize("tries", [40, pytest.param(2_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_no_change_of_the_tree_hides_a_cycle(name, tries):
    map, honest = certificate(name)
    draw = np.random.default_rng(2)
    for _ in range(tries):
        data = copy.deepcopy(honest)
        del data["cycles"][draw.integers(len(data["cycles"]))]
        places = integers(data["tree"])
        for _ in range(draw.integers(1, 4)):
            chunk, i = places[draw.integers(len(places))]
            chunk[i] = int(draw.integers(0, (4, 30)[draw.integers(2)]))
        refused(map, data)


def open_tree(bits, length, units, target, claim):
    """Return a chunk that decides all words, but makes a claim at one prefix."""
    if bits == target:
        left = {DEAD: "", OFF_EMPTY: "1", ON_EMPTY: "0"}[claim[0]]
        return claim + below(bits, left, length, units)
    if len(bits) == length * units:
        return []
    return [BOTH, *below(bits, "01", length, units, target, claim)]


def below(bits, choices, length, units, *claim):
    """Return the chunks of the children that begin a least rotation: no suffix is below them."""
    found = []
    for word in (bits + bit for bit in choices):
        if all(word[d:] >= word[: len(word) - d] for d in range(0, len(word), units)):
            found += open_tree(word, length, units, *(claim or (None, None)))
    return found


@pytest.mark.parametrize("name", ["lozi", "border", "kink", "tent, to five", "family"])
def test_no_chunk_written_by_hand_hides_a_cycle(name):
    """All words are decided one by one, but those behind a prefix of a cycle's are called empty."""
    map, honest = certificate(name)
    draw, units, longest = np.random.default_rng(3), map.num_units, max(honest["periods"])
    stride = 2 * map.state_size + units
    whole = {"": open_tree("", longest, units, None, None)}
    assert verified(map, {**honest, "tree": whole})["cycles"] == honest["cycles"]
    for i, cycle in enumerate(honest["cycles"]):
        cycles, word = honest["cycles"][:i] + honest["cycles"][i + 1 :], "".join(cycle["word"])
        for pos, bit in enumerate(word):
            rows = draw.integers(0, stride * (pos // units + 1), map.state_size + 1).tolist()
            for kind in (DEAD, ON_EMPTY if bit == "1" else OFF_EMPTY):
                for claim in ([kind, 0], [kind, len(rows), *rows]):
                    tree = {"": open_tree("", longest, units, word[:pos], claim)}
                    refused(map, {**honest, "cycles": cycles, "tree": tree})


def test_records_swapped():
    map, honest = certificate("border")
    for chunk in honest["tree"]:
        for i, kind in enumerate(honest["tree"][chunk]):
            data = copy.deepcopy(honest)
            data["tree"][chunk][i] = {BOTH: OFF_EMPTY, OFF_EMPTY: BOTH}.get(kind, ON_EMPTY)
            proven = accepted(map, data)
            assert proven is None or proven["cycles"] == honest["cycles"]


# box, periods, everywhere


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.99, 1.01, 2.0, 1e3])
@pytest.mark.parametrize("name", CASES)
def test_another_box_is_refused_or_holds_the_same_cycles(name, factor):
    map, data = certificate(name)
    data["box"] = (factor * np.array(data["box"])).tolist()
    proven = accepted(map, data)
    whole = certificate("lozi" if "lozi" in name else name)[1]["cycles"]
    upper = np.array(data["box"][1])
    true = [c for c in whole if (np.abs(c["points"]) <= upper).all()]
    assert proven is None or proven["cycles"] == true


def test_box_that_loses_a_cycle_is_refused():
    map, data = certificate("lozi")
    refused(map, {**data, "box": [[-1.0, -1.0], [1.0, 1.0]]})
    inside = [c for c in data["cycles"] if np.abs(c["points"]).max() <= 1]
    assert len(inside) == 3
    small = {**data, "box": [[-1.0, -1.0], [1.0, 1.0]], "cycles": inside}
    refused(map, small, "everywhere: a 4-cycle leaves the box|not decided")
    assert verified(map, {**small, "everywhere": None})["cycles"] == inside


@pytest.mark.parametrize("name", COUNTS)
def test_other_periods_are_refused_or_true(name):
    map, data = certificate(name)
    longest = max(data["periods"])
    for k in range(longest + 1, longest + 4):
        refused(map, {**data, "periods": [*data["periods"], k]})
    for size in range(1, longest + 1):
        for periods in itertools.combinations(range(1, longest + 1), size):
            proven = accepted(map, {**data, "periods": list(periods)})
            if proven is None:
                continue
            for k in periods:
                assert sum(len(c["word"]) == k for c in proven["cycles"]) == COUNTS[name][k]
            assert {len(c["word"]) for c in proven["cycles"]} <= set(periods)


@pytest.mark.parametrize("name", ["lozi, small box", "tent, cycle on the box"])
def test_everywhere_cannot_be_forged(name):
    map, data = certificate(name)
    refused(map, {**data, "everywhere": "bounded"}, "not excluded")
    proofs = [certificate(n)[1]["everywhere"] for n in ("lozi", "border", "tent", "kink")]
    for proof in (*proofs, [], [[0, {"": [DEAD, 0]}]] * 2 * map.state_size):
        refused(map, {**data, "everywhere": proof})
    for other in (True, False, 0, 1, "", "Bounded", "radius", {}, {"bounded": 1}, [0, 1], [[]]):
        refused(map, {**data, "everywhere": other})
