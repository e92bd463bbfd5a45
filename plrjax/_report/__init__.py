"""One page about a network."""

from ._report import Report as Report
from ._report import report as report
