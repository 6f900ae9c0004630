"""Validates the option values that the command line and the Python API share."""

from collections.abc import Collection
from sys import float_info

from analyzer.errors import Option, UsageError
from analyzer.text import closest_match, is_utf8, replace_surrogates

MIN_MEMORY_MB, MAX_MEMORY_MB = 100, 10**9
MAX_INTEGER = 2**63 - 1  # the largest that DuckDB accepts as a query parameter


def require_count(name: str, value: int | None, *, minimum: int = 1, maximum: int = MAX_INTEGER) -> None:
    """Raise UsageError unless `value` is None or a whole number from `minimum` to `maximum`."""
    # In Python, True and False are integers.
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (is_whole and minimum <= value <= maximum):
        raise UsageError(Option(name, value), f": a whole number from {minimum} to {maximum} is expected")


def require_number(
    name: str, value: float | None, *, minimum: float = 0, maximum: float | None = None, exclusive: bool = False
) -> None:
    """Raise UsageError unless `value` is None or a finite number within the bounds; `exclusive` excludes `minimum`."""
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_number = is_number and abs(value) <= float_info.max  # false for NaN, and for integers too large for a float
    too_low = is_number and (value <= minimum if exclusive else value < minimum)
    too_high = is_number and maximum is not None and value > maximum
    if not is_number or too_low or too_high:
        bounds = f"{'more than' if exclusive else 'at least'} {minimum:g}"
        bounds += "" if maximum is None else f" and at most {maximum:g}"
        raise UsageError(Option(name, value), f": a number of {bounds} is expected")


def require_choice(name: str, value: str | None, choices: Collection[str]) -> None:
    """Raise UsageError unless `value` is None or one of `choices`; the message suggests the closest one."""
    if value is not None and value not in choices:
        match = closest_match(value, choices) if isinstance(value, str) else None
        hint = f"did you mean {match}?" if match else f"expected one of {', '.join(choices)}"
        raise UsageError(Option(name, value), f": {hint}")


def require_utf8(name: str, *values: str) -> None:
    """Raise UsageError unless each of `values` is valid UTF-8. All text in a log is: no other value could match."""
    for value in values:
        if not isinstance(value, str):
            raise UsageError(Option(name, value), ": a text is expected")
        if not is_utf8(value):
            raise UsageError(Option(name, replace_surrogates(value)), ": not valid UTF-8")
