"""Validates the arguments that functions of the Python API share: sources, and the filters of questions."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from os import PathLike
from typing import Any, Literal, TypedDict, get_args, get_type_hints

from analyzer.archive.selection import Selection, View
from analyzer.errors import Option, UsageError
from analyzer.text import closest_match
from analyzer.times import TIME_SYNTAX, naive_utc, parse_age, parse_time
from analyzer.validation import require_utf8


class Filters(TypedDict, total=False):
    """The filters of a question. One that is left out, or None, does not filter.

    `since` (inclusive) and `until` (exclusive) are ISO 8601 text, `36h`, `7d` or `4w` for a time before now, a `date`
    (its midnight) or a `datetime`; they are UTC unless they have an offset. `last` is `36h`, `7d`, `4w` or a
    `timedelta`: that long before the last lookup of the log, not before now. `team`, `ci`, `session`, `hash`, `where`
    (SQL conditions on the columns of `events`) take one value or several: an empty string is a value, an empty list is
    an error. `source`, `event`, `status` and `where` choose single events before they are combined into lookups; the
    others choose whole lookups.
    """

    since: str | date | None
    until: str | date | None
    last: str | timedelta | None
    team: str | Sequence[str] | None
    ci: str | Sequence[str] | None
    interactive: bool | None
    session: str | Sequence[str] | None
    hash: str | Sequence[str] | None
    source: Literal["LOCAL", "REMOTE"] | None
    event: Literal["HIT", "MISS"] | None
    status: Literal["ok", "failed"] | None
    where: str | Sequence[str] | None


TIME_FILTERS = ("since", "until")
LIST_FILTERS = ("team", "ci", "session", "hash", "where")
CHOICES: dict[str, tuple[object, ...]] = {"interactive": (True, False)} | {
    name: get_args(get_args(get_type_hints(Filters)[name])[0]) for name in ("source", "event", "status")
}


def require_sources(sources: Sequence[Any], call: str) -> list[str]:
    """Return the names of sources. `call` shows in the error how to pass several."""
    for source in sources:
        if not isinstance(source, str | PathLike):
            raise UsageError(f"{source!r} is not a path; unpack a list of sources: {call}")
    names = [str(source) for source in sources]
    if not names or "" in names:
        raise UsageError("no source: name a log, a directory, a glob or an archive (*.duckdb)")
    return names


def selection_of(filters: Filters, view: View) -> Selection:
    """Return the selection for `filters`."""
    return Selection(**{name: _filter_value(name, value) for name, value in filters.items()}, view=view)


def as_tuple(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """Return the value of the argument `name`, a single text or several, as a tuple."""
    values = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    require_utf8(name, *values)
    return values


def _filter_value(name: str, value: Any) -> Any:
    if name not in Filters.__annotations__:
        near = closest_match(name, Filters.__annotations__)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(Filters.__annotations__)}"
        raise UsageError(f"{name}: no such filter; {hint}")
    if value is None:
        return () if name in LIST_FILTERS else None
    if name in TIME_FILTERS:
        return _time(name, value)
    if name == "last":
        return _age(value)
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise UsageError(Option(name, value), f": {' or '.join(map(repr, CHOICES[name]))} is expected")
        return value
    values = as_tuple(name, value)
    if not values:
        raise UsageError(Option(name, value), ": an empty list matches nothing; pass None for no filter")
    return values


def _age(value: str | timedelta) -> timedelta:
    try:
        age = parse_age(value) if isinstance(value, str) else value
        if age > timedelta():
            return age
    except (ValueError, TypeError):
        pass
    raise UsageError(
        Option("last", value), " is not a length of time: write '36h', '7d', '4w' or a timedelta"
    ) from None


def _time(name: str, value: str | date) -> datetime:
    try:
        return parse_time(value, datetime.now(UTC)) if isinstance(value, str) else naive_utc(value)
    except (ValueError, TypeError):
        raise UsageError(Option(name, value), f" is not a time: {TIME_SYNTAX}") from None
