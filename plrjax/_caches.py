"""Where compiled programs are kept between processes. Nothing here imports JAX before it must."""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
import stat
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import platformdirs

MAX_BYTES = 2**29
"""Most that is kept, of all processors and versions together; a session adds a few megabytes."""
_PROBE = 2**16
"""Bytes that must find room on the disk, about those of one compiled loop."""
_KEPT = 0.75
"""Share of it that is left when it is too much, so that the next sessions find room."""


def enable_compilation_cache() -> Path | None:
    """Keep compiled XLA programs on disk, in the user's cache folder, for the processes to come.

    Sets `jax_compilation_cache_dir`, where neither `jax.config` nor the environment variable
    `JAX_COMPILATION_CACHE_DIR` has it set, and `jax_persistent_cache_min_compile_time_secs` to 0,
    where the environment has not. Each type of processor and version of jaxlib has a folder of its
    own; together they take 512 MiB at most, and what was not used for longest goes first. Where the
    user's cache folder cannot be written, a private temporary folder is taken. The command line
    calls this, the library never does by itself.

    **Returns:** the folder, or None where the environment variable `PLRJAX_CACHE` is 0, or nothing
    can be written anywhere: then nothing is changed.
    """
    import jax

    options = {} if _switched_off() else _options(_folder_in_use())
    for name, value in options.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    return Path(str(options["jax_compilation_cache_dir"])) if options else None


def _folder_in_use() -> str | None:
    import jax

    return jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]


def enable_compilation_cache_by_environment() -> None:
    """Do the same for this process, where JAX is not imported yet, and for those it starts."""
    if not _switched_off():
        for name, value in _options(os.environ.get("JAX_COMPILATION_CACHE_DIR")).items():
            os.environ.setdefault(name.upper(), str(value))


def _switched_off() -> bool:
    return os.environ.get("PLRJAX_CACHE") == "0"


def _options(given: str | None) -> dict[str, str | float]:
    """Return the settings of JAX; a folder is made, and room in it, unless one is given."""
    folder = given or _folder_of_programs()
    if folder is None:
        return {}
    return {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }


def _folder_of_programs() -> Path | None:
    """Return the folder for this processor and jaxlib, after old programs of all were removed."""
    root = _roomy("xla")
    return root and root / f"jaxlib-{importlib.metadata.version('jaxlib')}-{processor()}"


@functools.cache
def folder_of_loops() -> Path | None:
    """Return the folder for compiled loops: one for each state of the modules that hold them.

    numba looks at the file of a function only, not at those that it calls into, so code in another
    state could be taken for it. The folder lies in the user's cache folder or, where that cannot be
    written, in a private temporary one, or nowhere (None), which is said; `NUMBA_CACHE_DIR` wins.
    numba itself keeps processors and its versions apart.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    root = Path(given) if given else _roomy("numba")
    if not given and root != _usual("numba"):
        place = f"kept in {root}" if root else "not kept: no folder can be written"
        text = f"plrjax: compiled code is {place}; NUMBA_CACHE_DIR says where else"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    if root is None:
        return None
    sources = (path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py")))
    state = hashlib.sha256(b"".join(text for text in sources if b"_compiled import" in text))
    return root / state.hexdigest()[:16]


_beside: dict[str, subprocess.Popen] = {}
"""Modules of loops, and the processes that compile them."""


def compile_beside(module: str) -> None:
    """Begin to compile a module of loops in a process of its own, if it is not on disk.

    For the command line, while it imports JAX. That process ends with this one. Where it fails,
    whoever imports the module compiles it, as always.
    """
    folder = folder_of_loops()
    if folder is None:
        return
    if next(folder.rglob(f"{module.rpartition('.')[2]}.*.nbi"), None) is None:
        watch = f"from plrjax._interrupts import end_with; end_with({os.getpid()})"
        with contextlib.suppress(OSError):  # no room for another process
            _beside[module] = subprocess.Popen(
                [sys.executable, "-P", "-c", f"{watch}; import {module}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "NUMBA_CACHE_DIR": str(folder.parent)},
            )


def await_compiled(module: str) -> None:
    """Wait for the process that compiles a module, if there is one."""
    if module in _beside:
        _beside.pop(module).wait()


def _usual(name: str) -> Path:
    return platformdirs.user_cache_path("plrjax", appauthor=False) / name


def _roomy(name: str) -> Path | None:
    """Return a folder in the user's cache folder, or a private temporary one, and make room."""
    folder = _writable(_usual(name))
    if folder is None:
        with contextlib.suppress(OSError):  # there is no temporary folder, or it is full
            folder = _writable(private_temporary_folder("plrjax") / name)
    if folder is not None:
        make_room(folder, MAX_BYTES)
    return folder


def _writable(folder: Path) -> Path | None:
    """Return a folder that is there or was made, this user's own and writable; otherwise None."""
    if not folder.is_absolute():  # nobody's home is known: "~" was left as it is
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE))
    except OSError:
        return None
    return folder if _is_mine(folder, 0o022) else None


def _is_mine(folder: Path, forbidden: int) -> bool:
    """Return whether this is a folder of the user's own without the forbidden permissions."""
    facts = folder.lstat()
    mine = not hasattr(os, "getuid") or facts.st_uid == os.getuid()
    allowed = not hasattr(os, "getuid") or not facts.st_mode & forbidden
    return stat.S_ISDIR(facts.st_mode) and mine and allowed


def processor() -> str:
    """Return a short name for the type of processor and its features: machine code needs them."""
    facts = [platform.system(), platform.machine(), platform.processor()]
    about = Path("/proc/cpuinfo")
    if about.exists():
        first = about.read_text(errors="replace").split("\n\n")[0]
        told = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU ", "isa", "uarch")
        facts += [line for line in first.splitlines() if line.startswith(told)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def make_room(folder: Path, most: int) -> None:
    """Delete the files that were not used for longest where a folder holds more bytes than `most`.

    Empty files go as well: they are what a process leaves that was killed while it wrote one.
    """
    files = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process makes room, too
            facts = path.lstat()
            if stat.S_ISREG(facts.st_mode):
                last = max(facts.st_atime, facts.st_mtime) if facts.st_size else 0.0
                files.append((last, facts.st_size, path))
    total = sum(size for _, size, _ in files)
    goal = total if total <= most else _KEPT * most
    for _, size, path in sorted(files):
        if size and total <= goal:
            break
        with contextlib.suppress(OSError):  # in use, on some systems
            path.unlink(missing_ok=True)
            total -= size


def private_temporary_folder(name: str) -> Path:
    """Return a temporary folder that nobody else can write to: this user's, or a new one.

    What is cached is executed, so a folder that another user made is never taken.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"{name}-{user}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    return folder if _is_mine(folder, 0o077) else Path(tempfile.mkdtemp(prefix=f"{name}-"))
