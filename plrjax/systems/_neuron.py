"""A bursting neuron: the flow with two time scales that the PLRNN papers use."""

import jax.numpy as jnp

from ._system import Flow, Number, Parameter


def _sigmoid(voltage, half, slope):
    return 1.0 / (1.0 + jnp.exp((half - voltage) / slope))


def _bursting_neuron(state, *, current, g_nmda, tau_n, tau_h):
    v, n, h = state
    leak = 8.0 * (v + 80.0)
    sodium = 20.0 * _sigmoid(v, -20.0, 15.0) * (v - 60.0)
    potassium = 10.0 * n * (v + 90.0)
    slow = 25.0 * h * (v + 90.0)
    nmda = g_nmda * v / (1.0 + 0.33 * jnp.exp(-0.0625 * v))
    return jnp.stack(
        [
            (current - leak - sodium - potassium - slow - nmda) / 6.0,
            (_sigmoid(v, -25.0, 5.0) - n) / tau_n,
            (_sigmoid(v, -15.0, 5.0) - h) / tau_h,
        ]
    )


def bursting_neuron(
    *,
    g_nmda: Parameter = 10.2,
    current: Parameter = 0.0,
    tau_n: Parameter = 1.0,
    tau_h: Parameter = 200.0,
    dt: Number = 0.5,
    substeps: int = 20,
) -> Flow:
    """C V' = I - g_L (V - E_L) - g_Na m(V) (V - E_Na) - (g_K n + g_M h) (V - E_K) - g_NMDA s(V) V.

    tau_n n' = n_inf(V) - n and tau_h h' = h_inf(V) - h, with m, n_inf, h_inf = 1 / (1 + exp((V_h -
    V) / k)) and s = 1 / (1 + .33 exp(-.0625 V)); time in ms, V in mV, observed V, n, h (Durstewitz
    2009). C = 6, g_L = 8, E_L = -80; g_Na = 20, E_Na = 60, V_h = -20, k = 15; g_K = 10, E_K = -90,
    V_h = -25, k = 5; g_M = 25, V_h = -15, k = 5; the NMDA current reverses at 0. These are the
    values of Schmidt et al. (2021) and Brenner et al. (2022), whose series shows the same bursts,
    one every 296 samples at dt = .5, which is recommended. A stable cycle (lambda_1 = 0), next to
    another of single spikes, one every 9.7 ms; which one is reached depends on the start.
    """
    parameters = {"current": current, "g_nmda": g_nmda, "tau_n": tau_n, "tau_h": tau_h}
    start = (-24.4694, 0.0386, 0.0231)
    return Flow("bursting_neuron", _bursting_neuron, parameters, start, dt=dt, substeps=substeps)
