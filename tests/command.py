"""The command line as users reach it: the console script that is installed, in this process."""

import importlib.metadata

(_script,) = importlib.metadata.entry_points(group="console_scripts", name="plrjax")
main = _script.load()
