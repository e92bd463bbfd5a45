"""Proofs: cycles and their stability, in rationals and balls, and certificates that check them."""
