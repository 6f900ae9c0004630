"""What arguments of questions can be: the bounds that the command line has for its options."""

from collections.abc import Collection, Sequence
from os import PathLike
from sys import float_info
from typing import Any

from analyzer.errors import UsageError
from analyzer.message import Option
from analyzer.moment import MOST_DAYS
from analyzer.text import nearest

MOST = 2**63 - 1
"""The largest whole number that a query takes."""


def require_number(
    name: str, value: float | None, least: float = 0, most: float | None = None, *, above: bool = False
) -> None:
    """Refuse what is no finite number of at least `least`, or `above` it, and at most `most`; None is no number given.

    Raises:
        UsageError: it is none.
    """
    if value is None:
        return
    if not least <= value <= (most or float_info.max) or (above and value == least):
        bounds = f"{'more than' if above else 'at least'} {least:g}" + (f", at most {most:g}" if most else "")
        raise UsageError(Option(name, value), f": a number is expected, {bounds}")


def require_count(name: str, value: int | None) -> None:
    """Refuse what is no whole number from 1 on that a query takes; None is none given.

    Raises:
        UsageError: it is none.
    """
    if value is not None and not 1 <= value <= MOST:
        raise UsageError(Option(name, value), f": a whole number from 1 to {MOST} is expected")


def require_choice(name: str, value: str | None, choices: Collection[str]) -> None:
    """Refuse what is none of the choices; None is none given.

    Raises:
        UsageError: it is none; the nearest is named.
    """
    if value is not None and value not in choices:
        near = nearest(value, choices)
        hint = f"did you mean {near}?" if near else f"{', '.join(choices)} are known"
        raise UsageError(Option(name, value), f": {hint}")


def require_sources(sources: Sequence[Any], call: str) -> list[str]:
    """Return the names of sources; `call` is how several are given.

    Raises:
        UsageError: there is none, or one that is no path.
    """
    for source in sources:
        if not isinstance(source, str | PathLike):
            raise UsageError(f"a source is a path, which {source!r} is not; unpack a list: {call}")
    names = [str(source) for source in sources]
    if not names or "" in names:
        raise UsageError("no source: name a log, a directory, a glob or an archive (*.duckdb)")
    return names


def require_days(days: float) -> None:
    """Refuse what is no time for which artifacts are kept.

    Raises:
        UsageError: it is none.
    """
    require_number("retention", days, most=MOST_DAYS, above=True)
