"""Optional dependencies: asked for where they are used, with an error that names the extra."""

import importlib
import importlib.util
from types import ModuleType


def installed(*modules: str) -> bool:
    """Return whether optional modules can be imported."""
    return all(importlib.util.find_spec(module) is not None for module in modules)


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Return an optional module.

    **Raises:** `ImportError` that names what needs it and what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = {"flint": "python-flint"}.get(module, module)
        raise ImportError(f"{purpose} needs {name}: pip install 'plrjax[{extra}]'") from error
