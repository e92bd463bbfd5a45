"""Benchmarks of plrjax: run by hand, never collected by the default test run (see README.md)."""
