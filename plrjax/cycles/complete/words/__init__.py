"""The search of words bit by bit, with a linear program for every branch."""
