"""Modules of users that register models and readers, in this process and in workers."""

import importlib
import os


def import_plugins() -> None:
    """Import the modules named in PLRJAX_PLUGINS; those that are imported cost nothing.

    **Raises:** `ImportError` naming the variable.
    """
    for name in filter(None, os.environ.get("PLRJAX_PLUGINS", "").split(",")):
        try:
            importlib.import_module(name.strip())
        except ImportError as error:
            raise ImportError(f"PLRJAX_PLUGINS: {name.strip()}: {error}") from error
