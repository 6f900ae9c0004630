"""How the two sides of a comparison are written: FROM..UNTIL, NAME=VALUE, or both with commas."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from analyzer.errors import UsageError
from analyzer.moment import moment
from analyzer.report.compare import Sample
from analyzer.text import nearest

NAMES = ("team", "ci", "interactive", "session", "hash", "status")
VALUES: dict[str, dict[str, Any]] = {
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


def sides(arguments: Sequence[str], now: datetime) -> tuple[tuple[str, ...], tuple[Sample, Sample] | None]:
    """Part arguments into sources and the two sides; no sides where none, or two sources, are named.

    Raises:
        UsageError: there are one side, or more than two, or one that cannot be meant.
    """
    given = [argument for argument in arguments if is_side(argument)]
    sources = tuple(argument for argument in arguments if argument not in given)
    samples = [sample(f"{'AB'[number % 2]}: {text}", text, now) for number, text in enumerate(given)]
    if not given:
        return sources, None
    if len(samples) != 2:  # noqa: PLR2004  (A and B)
        raise UsageError(
            f"{' '.join(arguments)}: two sides are compared, such as team=web team=mobile, not {len(given)}"
        )
    return sources, (samples[0], samples[1])


def sample(name: str, text: str, now: datetime) -> Sample:
    """Return a side by what is written of it.

    Raises:
        UsageError: it cannot be meant.
    """
    filters: dict[str, Any] = {}
    for part in text.split(","):
        found = _FILTER.fullmatch(part)
        if found:
            _add(filters, part, found[1], found[2])
        else:
            start, dots, end = part.partition("..")
            if not dots or not (start or end):
                raise UsageError(f"{part}: a side is FROM..UNTIL or NAME=VALUE, NAME one of {', '.join(NAMES)}")
            filters |= {key: _moment(value, now) for key, value in (("since", start), ("until", end)) if value}
    if {"since", "until"} <= filters.keys() and filters["since"] >= filters["until"]:
        raise UsageError(f"{text}: its end is not after its start")
    return Sample(name, filters)


def _add(filters: dict[str, Any], part: str, name: str, value: str) -> None:
    """Add NAME=VALUE; a name may come again, and either value is let through then."""
    if name not in NAMES or not value:
        near = nearest(name, NAMES)
        hint = f"; did you mean {near}?" if near and near != name else ""
        raise UsageError(f"{part}: a side is NAME=VALUE, NAME one of {', '.join(NAMES)}{hint}")
    if name not in VALUES:
        filters[name] = (*filters.get(name, ()), value)
    elif value in VALUES[name]:
        filters[name] = VALUES[name][value]
    else:
        raise UsageError(f"{part}: {name} is {' or '.join(VALUES[name])}")


def _moment(text: str, now: datetime) -> datetime:
    try:
        return moment(text, now)
    except ValueError as error:
        raise UsageError(str(error)) from None
