"""Optional dependencies: asked for where they are used, with an error that names the extra."""

import importlib
from types import ModuleType


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Return an optional module.

    **Raises:** `ImportError` that names what needs it and what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {module}: pip install 'plrjax[{extra}]'") from error
