"""Dynamics of ReLU-based recurrent networks: cycles, stability, coverage (public API only)."""
