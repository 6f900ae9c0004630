"""The options that put money and the cost of restoring beside time."""

import re
from typing import Any

import click

from analyzer.cli.number import Number

COST_PER_MINUTE = click.option(
    "--cost-per-minute",
    type=Number(min=0),
    metavar="MONEY",
    help="Put money beside time: what a minute of a task costs.",
)

_RESTORE = re.compile(r"(local|remote)=(\d+(?:\.\d+)?)")


class RestoreCost(click.ParamType[tuple[float, float]]):
    """What restoring takes, in milliseconds: local=MS,remote=MS; either may be left out, and is 0 then."""

    name = "restore-cost"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Return the milliseconds of a local and of a remote hit."""
        if isinstance(value, tuple):
            return value
        found = [_RESTORE.fullmatch(part) for part in value.split(",")]
        costs = {one[1]: float(one[2]) for one in found if one}
        if len(costs) < len(found):
            self.fail(f"{value!r}: local=MS,remote=MS is expected, such as local=40,remote=600", param, ctx)
        return costs.get("local", 0.0), costs.get("remote", 0.0)
