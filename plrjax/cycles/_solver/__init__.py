"""Solvers: ways to search for cycles, and the plan that combines them."""
