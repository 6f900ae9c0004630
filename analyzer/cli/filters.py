"""The filter options, the same in every command, gathered into one `Selection`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.completion import complete_names
from analyzer.cli.options import option_group, titled_option
from analyzer.errors import Option, UsageError
from analyzer.times import parse_age, parse_time

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


class Time(click.ParamType[datetime]):
    """A time: ISO 8601, in UTC where it has no offset, or an age such as 36h, 7d or 4w."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return naive UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_time(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Age(click.ParamType[timedelta]):
    """A length of time: 36h, 7d or 4w."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the length."""
        if isinstance(value, timedelta):
            return value
        try:
            age = parse_age(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not age:
            self.fail(f"{value!r} is not longer than zero", param, ctx)
        return age


_option = titled_option("Filters")
_VIEW = _option(
    "--view", type=click.Choice(["auto", "events", "runs"]), default="auto",
    help="Answer from events or from turbo's run summaries. Default: events, where there are any.",
)  # fmt: skip
_OPTIONS = (
    _option("--since", type=Time(), help="From this time on: ISO 8601, or 36h, 7d, 4w before now."),
    _option("--until", type=Time(), help="Before this time."),
    _option("--last", type=Age(), help="The last 36h, 7d or 4w of the log, however old that is."),
    _option("--team", multiple=True, shell_complete=complete_names, help="Slug or teamId. Repeatable."),
    _option("--ci", multiple=True, shell_complete=complete_names, help="CI vendor: GITHUB_ACTIONS. Repeatable."),
    _option(
        "--interactive/--no-interactive", default=None,
        help="Whether the client reported a person at the terminal; most report nothing.",
    ),
    _option("--session", multiple=True, help="Id of a session. Repeatable."),
    _option("--hash", multiple=True, help="Hash of an artifact. Repeatable."),
    _option(
        "--source", type=click.Choice(["LOCAL", "REMOTE"], case_sensitive=False),
        help="Selects single events; see below.",
    ),
    _option(
        "--event", type=click.Choice(["HIT", "MISS"], case_sensitive=False), help="Selects single events; see below."
    ),
    _option("--status", type=click.Choice(["ok", "failed"]), help="Status of the request. Selects single events."),
    _option(
        "--where", multiple=True, metavar="SQL",
        help="SQL condition on columns of `events`. Selects single events. Repeatable.",
    ),
)  # fmt: skip

FILTERS_HELP = (
    "A lookup belongs to the time of its first event as a whole. --source, --event, --status and --where select single"
    " events before lookups are formed."
)

_NAMES = (
    "since",
    "until",
    "last",
    "team",
    "ci",
    "interactive",
    "session",
    "hash",
    "source",
    "event",
    "status",
    "where",
)


def _selection(**options: Any) -> "Selection":
    from analyzer.archive.selection import Selection  # noqa: PLC0415

    selection = Selection(**options)
    if selection.since and selection.until and selection.since >= selection.until:
        raise UsageError(Option("since"), " is not before ", Option("until"), ": no time is between them")
    return selection


# Adds the filters; the command gets one argument `selection`.
filter_options = option_group("selection", (*_OPTIONS, _VIEW), (*_NAMES, "view"), _selection)

# Adds the filters without `--view`, for commands that are about logged events only.
event_filter_options = option_group("selection", _OPTIONS, _NAMES, _selection)
