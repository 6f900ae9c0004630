"""Numbers on the command line: finite ones."""

from math import isfinite
from typing import Any

import click


class Count(click.IntRange):
    """A number from 1 on; its bounds are told where it is wrong, and not in help."""

    def _describe_range(self) -> str:
        return ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no whole number from {self.min} to {self.max}", param, ctx)


COUNTED = Count(min=1, max=10**9)


class Number(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; NaN lies in every range, and no threshold is missed by it."""
        found = super().convert(value, param, ctx)
        if not isfinite(found):
            self.fail(f"{value!r} is no number that can be reached", param, ctx)
        return found


class Rate(Number):
    """A rate from 0 to 1."""

    name = "rate"

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the rate, and say how a percentage is written."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            text = str(value).strip().removesuffix("%")
            if text.replace(".", "", 1).isdigit() and float(text) <= 100:  # noqa: PLR2004  (percent)
                self.fail(f"{value!r} is no rate from 0 to 1; did you mean {float(text) / 100:g}?", param, ctx)
            raise
