"""How the two sides of a comparison are written: FROM..UNTIL, NAME=VALUE, or both with commas."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.filters import Moment
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.report.compare import Sample

NAMES = ("team", "ci", "interactive", "session", "hash", "status")
_FILTER = re.compile(r"([a-z]+)=(.+)")
_FLAGS = {"yes": True, "no": False}


def is_side(text: str) -> bool:
    """Tell whether an argument is a side, and no source.

    >>> is_side("2026-09-01..2026-09-08"), is_side("ci=GITLAB,team=web"), is_side("../logs"), is_side("a=b.ndjson")
    (True, True, False, False)
    """
    return not Path(text).exists() and all(map(_is_part, text.split(",")))


def _is_part(part: str) -> bool:
    found = _FILTER.fullmatch(part)
    return found[1] in NAMES if found else ".." in part and "/" not in part and part != ".."


def sides(arguments: Sequence[str]) -> "tuple[tuple[str, ...], tuple[Sample, Sample] | None]":
    """Part arguments into sources and the two sides; no sides where none, or two sources, are named.

    Raises:
        UsageError: there are one side, or more than two.
    """
    given = [argument for argument in arguments if is_side(argument)]
    sources = tuple(argument for argument in arguments if argument not in given)
    if not given:
        return sources, None
    if len(given) != 2:  # noqa: PLR2004  (A and B)
        raise UsageError(f"{' '.join(given)}: two sides are compared, such as team=web team=mobile")
    first, second = (_sample(f"{name}: {text}", text) for name, text in zip("AB", given, strict=True))
    return sources, (first, second)


def _sample(name: str, text: str) -> "Sample":
    from analyzer.report.compare import Sample  # noqa: PLC0415

    filters: dict[str, Any] = {}
    for part in text.split(","):
        found = _FILTER.fullmatch(part)
        if not found:
            start, _, end = part.partition("..")
            moments = {key: _moment(value) for key, value in (("since", start), ("until", end)) if value}
            filters |= moments
        elif found[1] == "interactive":
            if found[2] not in _FLAGS:
                raise UsageError(f"{part}: interactive=yes or interactive=no")
            filters["interactive"] = _FLAGS[found[2]]
        else:
            filters[found[1]] = found[2] if found[1] == "status" else (*filters.get(found[1], ()), found[2])
    return Sample(name, filters)


def _moment(text: str) -> Any:
    try:
        return Moment().convert(text, None, None)
    except click.BadParameter as error:
        raise UsageError(error.message) from None
