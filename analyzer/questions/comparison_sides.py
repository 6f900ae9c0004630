"""Defines the two sides of a comparison: their filters, how text describes them, and the default of two weeks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection, count_reads
from analyzer.errors import Option, UsageError
from analyzer.questions.scope import Given, Rows, Scope, Step, select_scope
from analyzer.text import closest_match
from analyzer.times import add_clamped, parse_time

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ComparisonSide:
    """One side of a comparison: its name, and the filters of `Selection` that choose its lookups."""

    name: str
    filters: Mapping[str, Any]


Sides = tuple[ComparisonSide, ComparisonSide]


def last_two_weeks(log: OpenLog, selection: Selection) -> Sides:
    """Return the 7 days before the last 7 days of the selected lookups as A, and the last 7 days as B."""
    scope = select_scope(log, selection)
    gathered = scope.gather([Step("session_id", _last_lookup, count_reads(scope.selection))])
    ((last_at,),) = gathered.rows("last", "SELECT max(last_lookup_at) FROM {parts}")
    # `until` is exclusive: one microsecond later, so that the last lookup is in B.
    until = add_clamped(last_at or datetime(1970, 1, 1), timedelta(microseconds=1))  # noqa: DTZ001  (naive UTC)
    start, middle = add_clamped(until, -2 * WEEK), add_clamped(until, -WEEK)
    return (
        ComparisonSide("A: the 7 days before", {"since": start, "until": middle}),
        ComparisonSide("B: the last 7 days", {"since": middle, "until": until}),
    )


def _last_lookup(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"last": Rows(scope.selected, "SELECT max(last_lookup_at) AS last_lookup_at FROM {counted}")})


def narrow_selection(selection: Selection, side: ComparisonSide) -> Selection:
    """Return the selection with the filters of a side added; of two time limits the narrower one applies."""
    filters = dict(side.filters)
    for name, narrower in (("since", max), ("until", min)):
        limits = [limit for limit in (getattr(selection, name), filters.pop(name, None)) if limit]
        filters |= {name: narrower(limits)} if limits else {}
    for name in filters.keys() - {"since", "until"}:
        if getattr(selection, name) not in ((), None):
            raise UsageError(f"{side.name}: ", Option(name), " is also given for both sides; give it only once")
    return replace(selection, **filters)


FILTER_NAMES = ("team", "ci", "interactive", "session", "hash", "status")
# The filters that accept only some values; the others accept any text.
FILTER_VALUES: dict[str, dict[str, Any]] = {
    "interactive": {"yes": True, "no": False}, "status": {"ok": "ok", "failed": "failed"}
}  # fmt: skip

_FILTER = re.compile(r"([a-z_]+)=(.*)")


def is_side(text: str) -> bool:
    """Return whether a command line argument is a side rather than a source.

    >>> is_side("2026-09-01..2026-09-08"), is_side("ci=GITLAB,team=web"), is_side("../logs"), is_side("a=b.ndjson")
    (True, True, False, True)
    """
    first = text.split(",", maxsplit=1)[0]
    # A file of that name wins: `a=b.ndjson` is a source where it exists.
    return not Path(text).exists() and bool(_FILTER.fullmatch(first) or (".." in first and "/" not in first))


def parse_sides(arguments: Sequence[str], now: datetime) -> tuple[tuple[str, ...], Sides | None]:
    """Split command line arguments into sources and sides A and B; None where no argument is a side."""
    texts = [argument for argument in arguments if is_side(argument)]
    sources = tuple(argument for argument in arguments if argument not in texts)
    if not texts:
        return sources, None
    if len(texts) != 2:  # noqa: PLR2004  (A and B)
        found = f"got {len(texts)}, and as source: {' '.join(sources) or 'none'}"
        raise UsageError(f"{' '.join(texts)}: expected two sides, such as team=web team=mobile; {found}")
    a, b = texts
    return sources, (parse_side(f"A: {a}", a, now), parse_side(f"B: {b}", b, now))


def parse_side(name: str, text: str, now: datetime) -> ComparisonSide:
    """Return the side that `text` describes: FROM..UNTIL and NAME=VALUE, separated by commas."""
    filters: dict[str, Any] = {}
    for part in text.split(","):
        if match := _FILTER.fullmatch(part):
            _add_filter(filters, part, match[1], match[2])
        else:
            filters |= _parse_period(part, now)
    if {"since", "until"} <= filters.keys() and filters["since"] >= filters["until"]:
        raise UsageError(f"{text}: a period must end after it starts")
    return ComparisonSide(name, filters)


def _add_filter(filters: dict[str, Any], part: str, name: str, value: str) -> None:
    """Add the filter NAME=VALUE. A name may be repeated: a lookup with any of its values is selected."""
    if name not in FILTER_NAMES or not value:
        near = closest_match(name, FILTER_NAMES)
        hint = f"; did you mean {near}?" if near and near != name else ""
        raise UsageError(f"{part}: expected NAME=VALUE with NAME one of {', '.join(FILTER_NAMES)}{hint}")
    if name not in FILTER_VALUES:
        filters[name] = (*filters.get(name, ()), value)
    elif value in FILTER_VALUES[name]:
        filters[name] = FILTER_VALUES[name][value]
    else:
        raise UsageError(f"{part}: {name} must be {' or '.join(FILTER_VALUES[name])}")


def _parse_period(text: str, now: datetime) -> dict[str, datetime]:
    """Return `since` and `until` of FROM..UNTIL; either end may be left out."""
    start, dots, end = text.partition("..")
    if not dots or not (start or end):
        raise UsageError(f"{text}: expected FROM..UNTIL or NAME=VALUE with NAME one of {', '.join(FILTER_NAMES)}")
    try:
        return {name: parse_time(value, now) for name, value in (("since", start), ("until", end)) if value}
    except ValueError as error:
        raise UsageError(str(error)) from None
