"""PyTorch checkpoints (`torch.save`, zip format) without PyTorch and without executing anything.

The pickle inside is walked opcode by opcode with a stack machine that can build dictionaries,
lists, tuples, numbers, text and tensors over the archive's own storages. Any other opcode or
class is refused; nothing is ever imported or called by name.
"""

import pickletools

import numpy as np

from .._zip import read_zip

MAX_OPCODES = 1_000_000
MAX_ENTRIES = 100_000
MAX_DEPTH = 8
MAX_CHARACTERS = 1 << 22
"""Of all keys and texts together: a text that the pickle holds once may be named many times."""

_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
_CALLS = {
    "collections OrderedDict": "dict",
    "torch._utils _rebuild_tensor_v2": "tensor",
    "torch._utils _rebuild_parameter": "parameter",
}
_LITERALS = set("BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE".split())
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


class _Name(str):
    """A class named in the pickle: "module name", never imported."""


def read_torch(data: bytes, max_bytes: int) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Return (arrays, settings): tensors by dotted key, and the other values beside them.

    **Raises:** `ValueError` for a damaged file, an older format, or one that holds a whole module.
    """
    if data[:2] != b"PK":
        raise ValueError(
            "not a zip file: save it again with PyTorch >= 1.6, torch.save(state_dict)"
        )
    entries = read_zip(data, max_bytes)
    root = next((name[:-8] for name in entries if name.endswith("data.pkl")), None)
    if root is None:
        raise ValueError("a zip archive without data.pkl, so no PyTorch checkpoint")
    if any(name.startswith(root + "code/") for name in entries):
        raise ValueError("a TorchScript program; save model.state_dict() with torch.save instead")
    if entries.get(root + "byteorder", b"little") != b"little":
        raise ValueError("big-endian tensors are not supported")
    tree = _Machine(entries, root).run(entries[root + "data.pkl"])
    if not isinstance(tree, dict):
        tree = {"value": tree}
    arrays: dict[str, np.ndarray] = {}
    settings: dict[str, object] = {}
    characters = 0
    for count, (name, value) in enumerate(_leaves(tree, "", 0)):
        characters += len(name) + (len(value) if isinstance(value, str) else 0)
        if count >= MAX_ENTRIES or characters > MAX_CHARACTERS:
            raise ValueError(f"more than {MAX_ENTRIES} entries, or names and texts too long")
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif value is None or isinstance(value, bool | int | float | str):
            settings[name] = value
        elif not isinstance(value, dict):
            settings[name] = f"a {type(value).__name__}"
    return arrays, settings


def _leaves(tree: dict, prefix: str, depth: int):
    """Yield (dotted key, value) of nested dictionaries, the dictionaries themselves included."""
    if depth > MAX_DEPTH:
        raise ValueError(f"dictionaries are nested more than {MAX_DEPTH} deep")
    for key, value in tree.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.", depth + 1)


class _Machine:
    """The stack machine: just enough of the pickle language for a state_dict."""

    def __init__(self, entries: dict[str, bytearray], root: str):
        self.entries, self.root = entries, root
        self.stack: list = []
        self.memo: dict[int, object] = {}
        self.storages: dict[tuple[str, str], np.ndarray] = {}

    def run(self, program: bytes | bytearray):
        """Return the object that the pickle describes."""
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(program)):
                if count > MAX_OPCODES:
                    raise ValueError("the pickle is too long")
                if opcode.name == "STOP":
                    return self.stack.pop()
                self._execute(opcode.name, argument)
        except (IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"the pickle is damaged ({type(error).__name__}: {error})") from error
        raise ValueError("the pickle is cut off")

    def _execute(self, name: str, argument) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            stack.append(tuple(stack.pop() for _ in range(_TUPLES[name]))[::-1])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name == "GLOBAL":
            stack.append(_Name(argument))
        elif name == "STACK_GLOBAL":
            stack.append(_Name(" ".join([stack.pop(), stack.pop()][::-1])))
        elif name not in ("PROTO", "FRAME"):
            self._build(name)

    def _build(self, name: str) -> None:
        """Execute the opcodes that make or fill containers and tensors."""
        stack = self.stack
        if name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self._to_mark()
            if not all(isinstance(key, str | int) for key in items[::2]):
                raise ValueError("a dictionary has keys that are neither text nor integers")
            self._top(dict).update(zip(items[::2], items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._to_mark()
            self._top(list).extend(items)
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._call(function, arguments))
        elif name == "BUILD":  # the _metadata of a state_dict; it has no arrays
            stack.pop()
            self._top(dict)
        else:
            names = [item for item in stack if isinstance(item, _Name)]
            held = names[-1].replace(" ", ".") if names else f"an object ({name})"
            raise ValueError(f"refused: the file holds {held}; {_ADVICE}")

    def _to_mark(self) -> list:
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _top(self, kind: type):
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"the pickle is damaged (expected a {kind.__name__} to fill)")
        return self.stack[-1]

    def _call(self, function, arguments):
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise ValueError("the pickle is damaged (a call of something that is not a class)")
        if function not in _CALLS:
            raise ValueError(f"refused: the file holds {function.replace(' ', '.')}; {_ADVICE}")
        if _CALLS[function] == "dict":
            if arguments:
                raise ValueError("the pickle is damaged (a dictionary with arguments)")
            return {}
        if _CALLS[function] == "parameter":
            return arguments[0]
        return _tensor(*arguments[:4])

    def _storage(self, reference) -> np.ndarray:
        """Return the numbers of a storage, a view of the archive's bytes."""
        tag, kind, key, _, count = reference
        name = kind.removeprefix("torch ") if isinstance(kind, _Name) else ""
        if tag != "storage" or name not in _STORAGES or not isinstance(key, str):
            raise ValueError(f"refused: an unknown kind of storage {name!r}")
        if (name, key) not in self.storages:
            self.storages[name, key] = self._read_storage(name, key)
        values = self.storages[name, key]
        if not isinstance(count, int) or not 0 <= count <= values.size:
            raise ValueError(f"the storage {key!r} holds only {values.size} numbers")
        return values[:count]

    def _read_storage(self, name: str, key: str) -> np.ndarray:
        raw = self.entries.get(f"{self.root}data/{key}")
        if raw is None:
            raise ValueError(f"the storage {key!r} is missing")
        if _STORAGES[name] != "bfloat16":
            return np.frombuffer(raw, _STORAGES[name]) if raw else np.zeros(0, _STORAGES[name])
        halves = np.frombuffer(raw, "<u2") if raw else np.zeros(0, "<u2")
        wide = halves.astype(np.uint32)
        wide <<= np.uint32(16)
        return wide.view(np.float32)  # exact


_ADVICE = "save the parameters alone, torch.save(model.state_dict(), ...), and load that file"


def _tensor(storage, offset, size, stride) -> np.ndarray:
    """Return a strided view of a storage, refusing one that reaches outside or repeats numbers."""
    whole = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= 16
    if not isinstance(storage, np.ndarray) or not whole:
        raise ValueError("the pickle is damaged (tensor)")
    if not all(isinstance(n, int) and 0 <= n < 1 << 40 for n in (offset, *size, *stride)):
        raise ValueError("the pickle is damaged (tensor shape)")
    count = int(np.prod([1, *size], dtype=object))
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if count == 0:
        return np.zeros(tuple(min(n, 1) for n in size), storage.dtype)
    if last >= storage.size or count > storage.size:
        raise ValueError("a tensor reaches outside its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)
