"""What a callback may ask of training; below the houses that callbacks come from."""

from typing import Any, NamedTuple


class Action(NamedTuple):
    """What a callback may ask for; None leaves things as they are.

    **Fields:** `revert_to`, a `TrainingRecord` whose networks and optimizer state to go back to;
    `update_scale`, a factor on all updates from now on; `forcing`, another strategy; `stop`.
    """

    revert_to: Any = None
    update_scale: float | None = None
    forcing: Any = None
    stop: bool = False
