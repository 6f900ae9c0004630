"""The filters that every question takes, with the names they have on the command line."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, TypedDict, get_args, get_type_hints

from analyzer.api.arguments import require_type
from analyzer.archive.selection import Selection
from analyzer.archive.view import View
from analyzer.errors import Option, UsageError
from analyzer.text import closest_match
from analyzer.times import TIME_SYNTAX, naive_utc, parse_time


class Filters(TypedDict, total=False):
    """Filters; what is left out, or None, lets everything pass. Empty text is a value, and an empty list an error.

    `since` (inclusive) and `until` (exclusive) are ISO 8601 text, `36h`, `7d` or `4w` before now, a `date` (its
    midnight) or a `datetime`; UTC where they have no offset. `team`, `ci`, `session`, `hash` and `where` take one value
    or several. `source`, `event`, `status` and `where` choose single events before lookups are formed; the others
    choose whole lookups.
    """

    since: str | date | None
    until: str | date | None
    team: str | Sequence[str] | None
    ci: str | Sequence[str] | None
    interactive: bool | None
    session: str | Sequence[str] | None
    hash: str | Sequence[str] | None
    source: Literal["LOCAL", "REMOTE"] | None
    event: Literal["HIT", "MISS"] | None
    status: Literal["ok", "failed"] | None
    where: str | Sequence[str] | None


TIMES = ("since", "until")
MANY = ("team", "ci", "session", "hash", "where")
CHOICES: dict[str, tuple[object, ...]] = {"interactive": (True, False)} | {
    name: get_args(get_args(get_type_hints(Filters)[name])[0]) for name in ("source", "event", "status")
}


def selection_of(filters: Filters, view: View) -> Selection:
    """Return the selection that filters mean.

    Raises:
        UsageError: an unknown filter, or a value that cannot be meant.
    """
    return Selection(**{name: _value(name, value) for name, value in filters.items()}, view=view)


def texts(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return one value, or several, as several."""
    return (value,) if isinstance(value, str) else tuple(value)


def _value(name: str, value: Any) -> Any:
    if name not in Filters.__annotations__:
        near = closest_match(name, Filters.__annotations__)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(Filters.__annotations__)}"
        raise UsageError(f"{name}: no such filter; {hint}")
    require_type(name, value, get_type_hints(Filters)[name])
    if name in MANY:
        return () if value is None else _texts(name, value)
    if name in TIMES:
        return _moment(name, value)
    if value is not None and value not in CHOICES[name]:
        raise UsageError(Option(name, value), f": {' or '.join(map(repr, CHOICES[name]))} is expected")
    return value


def _texts(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    found = texts(value)
    if not found:
        raise UsageError(Option(name, value), ": an empty list lets nothing pass; None is no filter")
    return found


def _moment(name: str, value: str | date | None) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_time(value, datetime.now(UTC)) if isinstance(value, str) else naive_utc(value)
    except ValueError:
        raise UsageError(Option(name, value), f" is no time: {TIME_SYNTAX}") from None
