"""Many networks in one call: in order, each as alone, whatever the others are."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from systems import QUIET, PressesCtrlC, tent

import plrjax as plr

NETWORKS = [plr.PLRNN(3, key=jr.key(seed)) for seed in range(3)]


def search(networks, periods=(1, 2), seed=0, **options):
    options = {"progress": QUIET, **options}
    return plr.find_cycles(networks, periods, key=jr.key(seed), **options)


def test_each_is_searched_as_alone_with_its_number_folded_into_the_key():
    together = search(NETWORKS)
    for number, network in enumerate(NETWORKS):
        key = jr.fold_in(jr.key(0), number)
        assert together[number] == plr.find_cycles(network, (1, 2), key=key, progress=QUIET)
    assert together[2] == search([*NETWORKS, tent(2.0)])[2]
    assert [len(one) for one in together[1:]] == [len(together[1]), len(together[2])]


def test_a_stack_is_a_list():
    stack = eqx.filter_vmap(lambda key: plr.PLRNN(3, key=key))(jr.split(jr.key(5), 3))
    single = [jax.tree.map(lambda array, i=i: array[i], stack) for i in range(3)]
    assert list(search(stack)) == list(search(single))
    assert plr.find_cycles(NETWORKS[0], 1, key=jr.key(0), progress=QUIET).state_size == 3


def test_networks_may_differ_in_kind_and_size():
    tents = search([tent(2.0), tent(1.5), NETWORKS[0]], range(1, 5))
    assert tents[0].counts() == {1: 2, 2: 1, 3: 2, 4: 3}
    lines = repr(tents).splitlines()
    assert lines[0].startswith("3 networks, ")
    assert lines[1].split()[:4] == ["network", "k=1", "k=2", "k=3"]
    assert lines[2].split()[:5] == ["0", "2", "1", "2", "3"]
    assert "<table>" in tents._repr_html_()


def test_long_tables_are_shortened():
    text = repr(search([NETWORKS[0]] * 60, 1))
    assert len(text.splitlines()) == 43 and "..." in text


def test_no_program_is_compiled_for_a_second_network():
    search(NETWORKS[:1], range(1, 9), solver=plr.SCYFI())
    again = search(NETWORKS[1:], range(1, 9), solver=plr.SCYFI())
    assert [one.stats["traces"] for one in again] == [0, 0]


def test_one_that_fails_does_not_end_the_others():
    singular = plr.PiecewiseAffineMap([[1.0]], [[0.0]], [[1.0]], [1.0], [0.0])  # z' = z + 1
    options = {"solver": plr.PathFollowing(), "num_searches": 16}
    found = search([singular, tent(2.0)], 1, **options)
    assert found[0].result is plr.RESULTS.not_finite and len(found[1]) == 2
    assert "not_finite" in repr(found)


def test_a_time_limit_and_ctrl_c_keep_what_is_done():
    cut = search(NETWORKS * 400, range(1, 10), max_seconds=1.0)
    assert cut.result is plr.RESULTS.budget_exhausted and 0 < len(cut) < 1200
    stopped = search(NETWORKS, progress=PressesCtrlC(2))
    assert stopped.result is plr.RESULTS.interrupted and len(stopped) < 3
    assert "analyzed" in repr(stopped)


@pytest.mark.parametrize(
    "networks, text",
    [([], "model: expected networks"), ([NETWORKS[0], 3], r"model\[1\]: expected")],
)
def test_what_is_no_network_is_named(networks, text):
    with pytest.raises(ValueError, match=text):
        search(networks)


def test_spectra_of_many():
    scales = jnp.array([0.2, 0.5])
    states = np.zeros(3)
    models = [
        plr.from_arrays("plrnn", A=np.full(3, a), W=np.zeros((3, 3)), h=np.ones(3)) for a in scales
    ]
    spectra = plr.lyapunov_spectrum(models, states, key=jr.key(0), num_steps=200, progress=QUIET)
    for scale, one in zip(scales, spectra):
        np.testing.assert_allclose(one.exponents, np.log(float(scale)), rtol=1e-6)
    assert repr(spectra).splitlines()[1].split()[:2] == ["network", "exponent"]
