"""Values as people read them, and as data formats write them."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from analyzer.table import (
    A_TO_B,
    BOUNDS,
    BY_ROW,
    BYTES,
    COUNT,
    FACTOR,
    MONEY,
    MONEY_CHANGE,
    MS,
    MS_CHANGE,
    NUMBER,
    RATIO,
    RATIO_CHANGE,
    Sentence,
)

NOTHING = "—"
_SPANS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))
_SIZES = ("B", "kB", "MB", "GB", "TB")


def format_value(value: Any, unit: str) -> str:
    """Write a value for people.

    >>> human(0.9337, "ratio"), human(1234567, "count"), human(273_600_000, "ms"), human(None, "ratio")
    ('93.4 %', '1,234,567', '3 d 4 h', '—')
    """
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if unit in WRITERS:
        return WRITERS[unit](value)
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)


def format_sentence(words: Sentence) -> str:
    """Write a sentence with its values.

    >>> written(Words("{} of {} lookups", [(0.5, "ratio"), (1200, "count")]))
    '50.0 % of 1,200 lookups'
    """
    return words.text.format(*(format_value(value, unit) for value, unit in words.values))


def points(change: float) -> str:
    """Write a difference of two ratios in points, signed.

    >>> points(0.031), points(-0.2), points(0)
    ('+3.1 points', '-20.0 points', '0.0 points')
    """
    written = f"{abs(change) * 100:.1f} points"
    return written if written.startswith("0.0 ") else f"{_sign(change)}{written}"


def span_change(milliseconds: float) -> str:
    """Write a difference of two lengths of time, signed.

    >>> span_change(43_200_000), span_change(-1500), span_change(0)
    ('+12 h', '-1.5 s', '0 s')
    """
    return f"{_sign(milliseconds)}{span(abs(milliseconds))}" if milliseconds else span(0)


def factor(value: float) -> str:
    """Write how many times as much.

    >>> factor(1.4), factor(0.05)
    ('1.4×', '0.05×')
    """
    return f"{value:.2g}×" if abs(value) < 1 else f"{value:,.1f}×"


def money(value: float) -> str:
    """Write an amount.

    >>> money(1234.5), money(0.004)
    ('1,234.50', '< 0.01')
    """
    return "< 0.01" if 0 < value < 0.005 else f"{value:,.2f}"  # noqa: PLR2004  (half a hundredth)


def money_change(value: float) -> str:
    """Write a difference of two amounts, signed.

    >>> money_change(12), money_change(-1234.5)
    ('+12.00', '-1,234.50')
    """
    return f"{value:+,.2f}"


def bounded(value: Any, low: Any, high: Any, unit: str) -> str:
    """Write a value and the bounds it lies between, where they are known.

    >>> bounded(0.819, 0.797, 0.841, "ratio"), bounded(0.093, -0.01, 0.158, "ratio change")
    ('81.9 % (79.7…84.1)', '+9.3 points (-1.0…+15.8)')
    >>> bounded(0.5, None, None, "ratio"), bounded(None, None, None, "ratio")
    ('50.0 %', '—')
    """
    if low is None or high is None:
        return format_value(value, unit)
    return f"{format_value(value, unit)} ({_bare(low, unit)}…{_bare(high, unit)})"


def a_to_b(a: Any, b: Any, unit: str) -> str:
    """Write what was one value in A and is another in B.

    >>> a_to_b(0.951, 0.63, "ratio"), a_to_b(0.951, None, "ratio"), a_to_b(8769, 0, "count")
    ('95.1 → 63.0 %', '95.1 % → —', '8,769 → 0')
    """
    return f"{format_value(a, unit) if b is None else _bare(a, unit)} → {format_value(b, unit)}"


def _bare(value: Any, unit: str) -> str:
    """Write a value without its unit, which stands beside it."""
    return format_value(value, unit).removesuffix({RATIO: " %", RATIO_CHANGE: " points"}.get(unit, ""))


TOGETHER: dict[str, tuple[int, Callable[..., str]]] = {"": (1, format_value), BOUNDS: (3, bounded), A_TO_B: (2, a_to_b)}
"""How many columns are read in a cell, and how it is written, by what a heading is `read_with`."""


def _sign(change: float) -> str:
    return "+" if change > 0 else "-"


def percent(ratio: float) -> str:
    """Write a ratio; only what is all or nothing is written so.

    >>> percent(1), percent(0.9998), percent(0.5), percent(0.0001)
    ('100.0 %', '> 99.9 %', '50.0 %', '< 0.1 %')
    """
    written = f"{ratio * 100:.1f} %"
    if written == "100.0 %" and ratio < 1:
        return "> 99.9 %"
    return "< 0.1 %" if written == "0.0 %" and ratio > 0 else written


def span(milliseconds: float) -> str:
    """Write a length of time: below a minute in one unit, above in its two largest.

    >>> span(0), span(850), span(1500), span(61_000), span(93_784_000)
    ('0 s', '850 ms', '1.5 s', '1 min 1 s', '1 d 2 h')
    """
    if milliseconds < 0:
        return f"-{span(-milliseconds)}"
    if 0 < milliseconds < 999.5:  # noqa: PLR2004  (a second)
        return f"{milliseconds:.3g} ms"
    if milliseconds < 59_950:  # noqa: PLR2004  (a minute)
        return f"{milliseconds / 1000:.1f} s".replace(".0 s", " s")
    rest = round(milliseconds / 1000) * 1000
    parts: list[str] = []
    for name, length in _SPANS:
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count:,} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def size(count: float) -> str:
    """Write a number of bytes.

    >>> size(999), size(2_052_000_000)
    ('999 B', '2.1 GB')
    """
    for unit in _SIZES:
        if count < 1000 or unit == _SIZES[-1]:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def to_plain_value(value: Any) -> Any:
    """Make a value one that JSON and CSV have: times are ISO 8601 in UTC, whole milliseconds integers.

    >>> plain(47614.0), plain(datetime(2026, 11, 23, 4, 33, 23, 12000))
    (47614, '2026-11-23T04:33:23.012Z')
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return moment.isoformat(timespec="milliseconds" if moment.microsecond % 1000 == 0 else "microseconds") + "Z"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [to_plain_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_plain_value(item) for key, item in value.items()}
    return str(value)


WRITERS: dict[str, Callable[[Any], str]] = {
    COUNT: "{:,}".format,
    RATIO: percent,
    MS: span,
    BYTES: size,
    RATIO_CHANGE: points,
    MS_CHANGE: span_change,
    FACTOR: factor,
    MONEY: money,
    MONEY_CHANGE: money_change,
}
"""How a number is written, by its unit."""

NUMERIC = frozenset({*WRITERS, NUMBER, BY_ROW})
"""The units of numbers."""
