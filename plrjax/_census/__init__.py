"""Analyses of many networks: one table, any executor."""

from ._networks import Network as Network
from ._networks import networks_from as networks_from
from ._result import Census as Census
from ._result import collected as collected
from ._run import census as census
from ._run import with_tables as with_tables
from ._work import Store as Store
