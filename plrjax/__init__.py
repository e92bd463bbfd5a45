"""Dynamics of ReLU-based recurrent networks in JAX: cycles, stability, and how sure one is.

The public names are listed in `__init__.pyi`; each is imported when it is first used.
"""

import importlib.metadata

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = importlib.metadata.version("plrjax")
