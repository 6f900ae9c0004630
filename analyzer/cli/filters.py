"""The filters that every command has, and how times are written."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.completion import known
from analyzer.cli.options import gathered, under
from analyzer.moment import moment

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


class Moment(click.ParamType[datetime]):
    """A time: ISO 8601, UTC where it has no offset, or so long ago (36h, 7d, 4w)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return naive UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return moment(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_option = under("Filters")
_OPTIONS = (
    _option("--since", type=Moment(), help="From this time on: ISO 8601, or 36h, 7d, 4w before now."),
    _option("--until", type=Moment(), help="Before this time."),
    _option("--team", multiple=True, shell_complete=known, help="Slug or teamId. Repeatable."),
    _option("--ci", multiple=True, shell_complete=known, help="CI vendor, such as GITHUB_ACTIONS. Repeatable."),
    _option(
        "--interactive/--no-interactive",
        default=None,
        help="By what the client said of a person at the terminal; most say nothing.",
    ),
    _option("--session", multiple=True, help="sessionId. Repeatable."),
    _option("--hash", multiple=True, help="Artifact. Repeatable."),
    _option(
        "--source", type=click.Choice(["LOCAL", "REMOTE"], case_sensitive=False), help="Single events only; see below."
    ),
    _option("--event", type=click.Choice(["HIT", "MISS"], case_sensitive=False), help="Single events only."),
    _option(
        "--view",
        type=click.Choice(["auto", "events", "runs"]),
        default="auto",
        help="What answers: events, or turbo's run summaries. Default: events where there are any.",
    ),
    _option("--status", type=click.Choice(["ok", "failed"]), help="Of the request, where known. Single events only."),
    _option(
        "--where",
        multiple=True,
        metavar="SQL",
        help="Condition on columns of `events`. Single events only. Repeatable.",
    ),
)

HELP = (
    "A lookup belongs, whole, to the time of its first event. --source, --event, --status and --where choose single"
    " events before lookups are formed."
)


def _selection(**options: Any) -> "Selection":
    from analyzer.archive.selection import Selection  # noqa: PLC0415

    return Selection(**options)


NAMES = ("since", "until", "team", "ci", "interactive", "session", "hash", "source", "event", "status", "where", "view")

filter_options = gathered("selection", _OPTIONS, NAMES, _selection)
"""Adds the filters; the command gets one argument `selection`."""
