"""JSON texts of unknown origin: bounded in memory, every fault a `ValueError`; values for JSON."""

import json
import math
from typing import Any

_WEIGHTS = {b"[": 96, b"{": 240, b":": 104, b",": 48, b'"': 36}
"""Bytes of memory, at most, that stand behind one character in CPython: of a list, a dictionary,
its entry, a number with its place, and half a text."""
_TEXT = {True: 3, False: 12}
"""Bytes for each byte of the text itself, and of the texts in it; if not ASCII, four for each."""


def check_weight(data: bytes | bytearray, max_bytes: int) -> None:
    """Refuse a JSON text that may take more than `max_bytes` of memory once it is parsed.

    **Raises:** `ValueError`.
    """
    total = _TEXT[data.isascii()] * len(data)
    total += sum(weight * data.count(mark) for mark, weight in _WEIGHTS.items())
    if total > max_bytes:
        raise ValueError(
            f"a JSON text of {len(data)} bytes may take {total} of memory, which exceeds the limit "
            f"{max_bytes=}"
        )


def parse_json(data: Any, max_bytes: int) -> Any:
    """Return what a JSON text holds, if that takes at most `max_bytes` of memory.

    **Raises:** `ValueError` for a text that is damaged, too deeply nested or too large.
    """
    if not isinstance(data, bytes | bytearray | str):
        raise ValueError(f"expected a JSON text, got a {type(data).__name__}")
    data = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    check_weight(data, max_bytes)
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("a JSON text that is nested too deeply") from error


def plain(value) -> Any:
    """Return `value` as strict JSON knows it: lists, text keys, null for NaN and infinities."""
    import numpy as np

    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
