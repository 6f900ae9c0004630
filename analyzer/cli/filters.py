"""The filters that every command has, and how times are written."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.completion import known
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


_OPTIONS = (
    click.option("--since", type=Moment(), help="From this time on: ISO 8601, or 36h, 7d, 4w before now."),
    click.option("--until", type=Moment(), help="Before this time."),
    click.option("--team", multiple=True, shell_complete=known, help="Slug or teamId. Repeatable."),
    click.option("--ci", multiple=True, shell_complete=known, help="CI vendor, such as GITHUB_ACTIONS. Repeatable."),
    click.option(
        "--interactive/--no-interactive",
        default=None,
        help="By what the client said of a person at the terminal; most say nothing.",
    ),
    click.option("--session", multiple=True, help="sessionId. Repeatable."),
    click.option("--hash", multiple=True, help="Artifact. Repeatable."),
    click.option(
        "--source", type=click.Choice(["LOCAL", "REMOTE"], case_sensitive=False), help="Single events only; see below."
    ),
    click.option("--event", type=click.Choice(["HIT", "MISS"], case_sensitive=False), help="Single events only."),
    click.option(
        "--view",
        type=click.Choice(["auto", "events", "runs"]),
        default="auto",
        help="What answers: events, or turbo's run summaries. Default: events where there are any.",
    ),
    click.option(
        "--status", type=click.Choice(["ok", "failed"]), help="Of the request, where known. Single events only."
    ),
    click.option(
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


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the filters; the command gets one argument `selection`."""
    names = (
        "since",
        "until",
        "team",
        "ci",
        "interactive",
        "session",
        "hash",
        "source",
        "event",
        "status",
        "where",
        "view",
    )

    def gathered(**options: Any) -> Any:
        return function(selection=_selection({name: options.pop(name) for name in names}), **options)

    gathered.__doc__, gathered.__name__ = function.__doc__, function.__name__
    gathered.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(_OPTIONS):
        option(gathered)
    return gathered


def _selection(options: dict[str, Any]) -> "Selection":
    from analyzer.archive.selection import Selection  # noqa: PLC0415

    return Selection(**options)
