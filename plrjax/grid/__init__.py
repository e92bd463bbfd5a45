"""Cycles of many small maps side by side."""
