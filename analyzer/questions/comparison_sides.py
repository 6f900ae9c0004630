"""One side of a comparison: what is measured of it by itself."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from analyzer.archive.selection import LookupsQuery
from analyzer.errors import UsageError
from analyzer.questions.dimensions import DIMENSIONS, UTC, Dimension
from analyzer.questions.durations import impute_durations
from analyzer.questions.rates import MOMENTS, Rate
from analyzer.text import closest_match
from analyzer.times import parse_time

COMPARED = ("task", "package", "ci", "team")
"""The dimensions by which a change is told apart."""

PER_SESSION = """
SELECT session_id, count(*) AS lookups, count(*) FILTER (kinds & 5 > 0) AS hits,
       count(*) FILTER (kinds & 12 > 0) AS asked, count(*) FILTER (kinds & 4 > 0) AS answered
FROM {selected} GROUP BY session_id
"""

RATE = f"SELECT {MOMENTS.format(n='lookups', h='hits')} FROM ({PER_SESSION})"
REMOTE_RATE = f"SELECT {MOMENTS.format(n='asked', h='answered')} FROM ({PER_SESSION}) WHERE asked > 0"

DAYS = f"""
SELECT day, {MOMENTS.format(n="lookups", h="hits")}
FROM (SELECT session_id, first_at::DATE AS day, count(*) AS lookups, count(*) FILTER (kinds & 5 > 0) AS hits
      FROM {{selected}} WHERE first_at IS NOT NULL GROUP BY ALL)
GROUP BY day ORDER BY day
"""

TIMES = """
SELECT min(first_at), max(first_at), coalesce(round(fsum(l.duration_ms), 6), 0),
       coalesce(round(fsum(d.duration_ms), 6), 0)
FROM {selected} l LEFT JOIN duration d ON kinds & 5 = 0 AND d.hash_id = l.hash_id
"""

GROUPS = """
SELECT {key}, count(*), count(*) FILTER (kinds & 5 > 0) FROM {{selected}} AS x GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class ComparisonSide:
    """A side of the comparison: its name, and the filters that make it."""

    name: str
    filters: Mapping[str, Any]

    @property
    def is_period(self) -> bool:
        """Whether only times tell it from the other side."""
        return bool(self.filters) and set(self.filters) <= {"since", "until"}


@dataclass(frozen=True, slots=True)
class SideMeasures:
    """What one side shows: rates, time saved and lost, lookups and hits by group of each dimension."""

    rate: Rate
    remote: Rate
    first_at: datetime | None
    last_at: datetime | None
    saved_ms: float
    lost_ms: float
    groups: dict[str, dict[str | None, tuple[int, int]]]


def measure_side(selected: LookupsQuery) -> SideMeasures:
    """Measure one side."""
    impute_durations(selected.connection)
    rate, remote = (Rate(*selected.rows(question)[0]) for question in (RATE, REMOTE_RATE))
    first_at, last_at, saved_ms, lost_ms = selected.rows(TIMES)[0]
    groups = {name: _group_counts(selected, DIMENSIONS[name]) for name in COMPARED}
    return SideMeasures(rate, remote, first_at, last_at, saved_ms, lost_ms, groups)


def _group_counts(selected: LookupsQuery, by: Dimension) -> dict[str | None, tuple[int, int]]:
    found = selected.rows(GROUPS.format(key=by.keyed(UTC)))
    return {group: (lookups, hits) for group, lookups, hits in found}


def daily_rates(selected: LookupsQuery) -> list[tuple[date, Rate]]:
    """Return the hit rate of each day."""
    return [(day, Rate(*moments)) for day, *moments in selected.rows(DAYS)]


FILTER_NAMES = ("team", "ci", "interactive", "session", "hash", "status")
FILTER_VALUES: dict[str, dict[str, Any]] = {
    "interactive": {"yes": True, "no": False},
    "status": {"ok": "ok", "failed": "failed"},
}
_FILTER = re.compile(r"([a-z_]+)=(.*)")


def is_side(text: str) -> bool:
    """Tell whether an argument is a side, and no source.

    >>> is_side("2026-09-01..2026-09-08"), is_side("ci=GITLAB,team=web"), is_side("../logs"), is_side("a=b.ndjson")
    (True, True, False, True)
    """
    first = text.split(",", maxsplit=1)[0]
    return not Path(text).exists() and bool(_FILTER.fullmatch(first) or (".." in first and "/" not in first))


def parse_sides(
    arguments: Sequence[str], now: datetime
) -> tuple[tuple[str, ...], tuple[ComparisonSide, ComparisonSide] | None]:
    """Part arguments into sources and the two sides; no sides where none, or two sources, are named.

    Raises:
        UsageError: there are one side, or more than two, or one that cannot be meant.
    """
    given = [argument for argument in arguments if is_side(argument)]
    sources = tuple(argument for argument in arguments if argument not in given)
    samples = [parse_side(f"{'AB'[number % 2]}: {text}", text, now) for number, text in enumerate(given)]
    if not given:
        return sources, None
    if len(samples) != 2:  # noqa: PLR2004  (A and B)
        raise UsageError(
            f"{' '.join(arguments)}: two sides are compared, such as team=web team=mobile, not {len(given)}"
        )
    return sources, (samples[0], samples[1])


def parse_side(name: str, text: str, now: datetime) -> ComparisonSide:
    """Return a side by what is written of it.

    Raises:
        UsageError: it cannot be meant.
    """
    filters: dict[str, Any] = {}
    for part in text.split(","):
        found = _FILTER.fullmatch(part)
        if found:
            _add_filter(filters, part, found[1], found[2])
        else:
            start, dots, end = part.partition("..")
            if not dots or not (start or end):
                raise UsageError(f"{part}: a side is FROM..UNTIL or NAME=VALUE, NAME one of {', '.join(FILTER_NAMES)}")
            filters |= {key: _parse_time(value, now) for key, value in (("since", start), ("until", end)) if value}
    if {"since", "until"} <= filters.keys() and filters["since"] >= filters["until"]:
        raise UsageError(f"{text}: its end is not after its start")
    return ComparisonSide(name, filters)


def _add_filter(filters: dict[str, Any], part: str, name: str, value: str) -> None:
    """Add NAME=VALUE; a name may come again, and either value is let through then."""
    if name not in FILTER_NAMES or not value:
        near = closest_match(name, FILTER_NAMES)
        hint = f"; did you mean {near}?" if near and near != name else ""
        raise UsageError(f"{part}: a side is NAME=VALUE, NAME one of {', '.join(FILTER_NAMES)}{hint}")
    if name not in FILTER_VALUES:
        filters[name] = (*filters.get(name, ()), value)
    elif value in FILTER_VALUES[name]:
        filters[name] = FILTER_VALUES[name][value]
    else:
        raise UsageError(f"{part}: {name} is {' or '.join(FILTER_VALUES[name])}")


def _parse_time(text: str, now: datetime) -> datetime:
    try:
        return parse_time(text, now)
    except ValueError as error:
        raise UsageError(str(error)) from None
