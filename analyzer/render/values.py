"""Format values: for people by their unit, and for data formats as plain JSON types."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from analyzer.table import (
    A_TO_B,
    BOUNDS,
    BY_ROW,
    BYTES,
    COUNT,
    COVERAGE,
    FACTOR,
    MONEY,
    MONEY_CHANGE,
    MS,
    MS_CHANGE,
    NUMBER,
    POINTS,
    RATIO,
    RATIO_CHANGE,
    Sentence,
)

NO_VALUE = "—"
_DURATION_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))


def format_value(value: Any, unit: str) -> str:
    """Format a value for people; a dash for null, NaN and infinity.

    >>> format_value(0.9337, "ratio"), format_value(1234567, "count"), format_value(None, "ratio")
    ('93.4 %', '1,234,567', '—')
    """
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if unit in FORMATTERS:
        return FORMATTERS[unit](value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(to_json_value(value), ensure_ascii=False)
    if isinstance(value, bytes):
        return str(to_plain_value(value))
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)


def format_sentence(sentence: Sentence) -> str:
    """Return a sentence with its values filled in.

    >>> format_sentence(Sentence("{} of {} lookups", [(0.5, "ratio"), (1200, "count")]))
    '50.0 % of 1,200 lookups'
    """
    return sentence.text.format(*(escape_controls(format_value(value, unit)) for value, unit in sentence.values))


def format_sentences(sentences: Iterable[Sentence]) -> str:
    """Return sentences as one text."""
    return " ".join(map(format_sentence, sentences))


def escape_controls(text: str) -> str:
    r"""Replace control and other unprintable characters by visible escapes, except line ends; tabs become spaces.

    Names in a log must not be able to move the cursor or set the colors of a terminal.

    >>> escape_controls("a\x1b[31m\tb")
    'a\\x1b[31m    b'
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\t", "    ")
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def format_ratio(ratio: float) -> str:
    """Format a ratio as a percentage; only exactly 0 and 1 are rounded to 0 % and 100 %.

    >>> format_ratio(1), format_ratio(0.9998), format_ratio(0.5), format_ratio(0.0001)
    ('100.0 %', '> 99.9 %', '50.0 %', '< 0.1 %')
    """
    text = f"{ratio * 100:.1f} %"
    if text == "100.0 %" and ratio < 1:
        return "> 99.9 %"
    return "< 0.1 %" if text == "0.0 %" and ratio > 0 else text


def format_points(change: float) -> str:
    """Format the difference of two ratios in percentage points, signed.

    >>> format_points(0.031), format_points(-0.2), format_points(0)
    ('+3.1 points', '-20.0 points', '0.0 points')
    """
    text = f"{change * 100:+.1f} points"
    return text[1:] if text[1:] == "0.0 points" else text


def format_duration(milliseconds: float) -> str:
    """Format milliseconds: below a minute in one unit, above in the two largest.

    >>> format_duration(0), format_duration(850), format_duration(1500)
    ('0 s', '850 ms', '1.5 s')
    >>> format_duration(61_000), format_duration(93_784_000)
    ('1 min 1 s', '1 d 2 h')
    """
    if milliseconds < 0:
        return f"-{format_duration(-milliseconds)}"
    if 0 < milliseconds < 999.5:  # noqa: PLR2004  (from there on it rounds to 1 s)
        return f"{milliseconds:.3g} ms"
    if milliseconds < 59_950:  # noqa: PLR2004  (from there on it rounds to 60.0 s)
        return f"{milliseconds / 1000:.1f} s".replace(".0 s", " s")
    rest = round(milliseconds / 1000) * 1000
    parts: list[str] = []
    for name, length in _DURATION_UNITS:
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count:,} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def format_duration_change(milliseconds: float) -> str:
    """Format the difference of two durations in milliseconds, signed.

    >>> format_duration_change(43_200_000), format_duration_change(-1500), format_duration_change(0)
    ('+12 h', '-1.5 s', '0 s')
    """
    return f"+{format_duration(milliseconds)}" if milliseconds > 0 else format_duration(milliseconds or 0)


def format_factor(value: float) -> str:
    """Format the ratio of two amounts.

    >>> format_factor(1.4), format_factor(0.05)
    ('1.4×', '0.05×')
    """
    return f"{value:.2g}×" if abs(value) < 1 else f"{value:,.1f}×"


def format_money(amount: float) -> str:
    """Format an amount of money.

    >>> format_money(1234.5), format_money(0.004)
    ('1,234.50', '< 0.01')
    """
    return "< 0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"  # noqa: PLR2004  (from there on it rounds to 0.01)


def format_bytes(count: float) -> str:
    """Format a number of bytes in decimal units.

    >>> format_bytes(999), format_bytes(2_052_000_000)
    ('999 B', '2.1 GB')
    """
    if count < 1000:  # noqa: PLR2004  (a kB)
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:  # noqa: PLR2004
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def format_with_bounds(value: Any, low: Any, high: Any, unit: str) -> str:
    """Format a value with the bounds of its interval, where they are known.

    >>> format_with_bounds(0.819, 0.797, 0.841, "ratio"), format_with_bounds(0.5, None, None, "ratio")
    ('81.9 % (79.7…84.1)', '50.0 %')
    """
    if low is None or high is None:
        return format_value(value, unit)
    return f"{format_value(value, unit)} ({_without_unit(low, unit)}…{_without_unit(high, unit)})"


def format_a_to_b(a: Any, b: Any, unit: str) -> str:
    """Format the values of both sides of a comparison.

    >>> format_a_to_b(0.951, 0.63, "ratio"), format_a_to_b(0.951, None, "ratio"), format_a_to_b(8769, 0, "count")
    ('95.1 → 63.0 %', '95.1 % → —', '8,769 → 0')
    """
    return f"{format_value(a, unit) if b is None else _without_unit(a, unit)} → {format_value(b, unit)}"


def _without_unit(value: Any, unit: str) -> str:
    return format_value(value, unit).removesuffix({RATIO: " %", RATIO_CHANGE: " points"}.get(unit, ""))


def to_plain_value(value: Any) -> Any:
    """Convert a single value to what JSON and CSV can hold: times become ISO 8601 in UTC, whole floats integers.

    >>> to_plain_value(47614.0), to_plain_value(datetime(2026, 11, 23, 4, 33, 23, 12000))
    (47614, '2026-11-23T04:33:23.012Z')
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return moment.isoformat(timespec="milliseconds" if moment.microsecond % 1000 == 0 else "microseconds") + "Z"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        printable = range(32, 127)
        return "".join(chr(byte) if byte in printable else f"\\x{byte:02X}" for byte in value)
    return str(value)


def to_json_value(value: Any) -> Any:
    """Return a value as JSON has it: null for NaN and infinity, a number for a decimal that a double can hold."""
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(to_plain_value(key)): to_json_value(item) for key, item in value.items()}
    if isinstance(value, Decimal):
        number = int(value) if value == value.to_integral_value() else float(value)
        return number if Decimal(str(number)) == value else str(value)
    plain = to_plain_value(value)
    return None if isinstance(plain, float) and not isfinite(plain) else plain


# The formatter of a number, by its unit.
FORMATTERS: dict[str, Callable[[Any], str]] = {
    COUNT: "{:,}".format, FACTOR: format_factor, BYTES: format_bytes,
    RATIO: format_ratio, RATIO_CHANGE: format_points, POINTS: lambda difference: f"{difference * 100:.1f} points",
    MS: format_duration, MS_CHANGE: format_duration_change,
    MONEY: format_money, MONEY_CHANGE: "{:+,.2f}".format,
}  # fmt: skip

# By a column's `read_with`: how many columns share its cell, and the formatter of their values.
CELL_FORMATTERS: dict[str, tuple[int, Callable[..., str]]] = {
    "": (1, format_value), BOUNDS: (3, format_with_bounds), A_TO_B: (2, format_a_to_b),
    COVERAGE: (1, format_value),
}  # fmt: skip

NUMERIC_UNITS = frozenset({*FORMATTERS, NUMBER, BY_ROW})
