"""Curves in a plane of parameters on which cycles bifurcate."""
