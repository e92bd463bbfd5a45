"""All cycles: the complete search, its certificates, and proofs of single cycles."""
