"""How durations are written on the command line."""

import re
from typing import Any

import click

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


class Seconds(click.ParamType[float]):
    """A duration: 30s, 5m, 2h, 1d, or plain seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = _WRITTEN.fullmatch(value)
        if not found:
            self.fail(f"{value!r} is no duration: 30s, 5m, 2h or 1d is expected", param, ctx)
        seconds = float(found[1]) * _UNITS[found[2]]
        if not seconds:
            self.fail("must be longer than nothing", param, ctx)
        return seconds
