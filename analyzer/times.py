"""Parses times that users write, ISO 8601 or relative to now, and keeps time arithmetic within the calendar."""

import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta

_RELATIVE = re.compile(r"(\d+)([dhw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

TIME_SYNTAX = "write 2026-08-31, 2026-08-31T12:00Z, or how long ago: 36h, 7d, 4w"
FIRST_CLIENT_AT = datetime(2021, 12, 1)  # noqa: DTZ001  (naive UTC; before it, no build client reported events)
MAX_RETENTION_DAYS = 3650  # for which a cache can be assumed to keep artifacts


def add_clamped(moment: datetime, by: timedelta) -> datetime:
    """Return `moment + by`, or the first or last time of the calendar if the sum is outside it.

    >>> add_clamped(datetime(9999, 12, 31), timedelta(weeks=1)), add_clamped(datetime(1, 1, 2), -timedelta(weeks=1))
    (datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), datetime.datetime(1, 1, 1, 0, 0))
    """
    try:
        return moment + by
    except OverflowError:
        return datetime.max if by > timedelta() else datetime.min  # noqa: DTZ901  (naive UTC)


def naive_utc(moment: date) -> datetime:
    """Return a time as naive UTC. A time without an offset is UTC already; a date means its midnight.

    >>> naive_utc(date(2026, 9, 1))
    datetime.datetime(2026, 9, 1, 0, 0)
    """
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    return add_clamped(moment.replace(tzinfo=None), -(moment.utcoffset() or timedelta()))


def parse_age(text: str) -> timedelta:
    """Return a length of time written as `36h`, `7d` or `4w`, or raise a ValueError.

    >>> parse_age("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    match = _RELATIVE.fullmatch(text)
    if match:
        with suppress(OverflowError):
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
    raise ValueError(f"{text!r} is not a length of time: write 36h, 7d or 4w")


def parse_time(text: str, now: datetime) -> datetime:
    """Return a time written as in `TIME_SYNTAX` as naive UTC, or raise a ValueError.

    >>> parse_time("36h", datetime(2026, 9, 2, 12)), parse_time("2026-08-31T14:00+02:00", datetime(2026, 9, 2))
    (datetime.datetime(2026, 9, 1, 0, 0), datetime.datetime(2026, 8, 31, 12, 0))
    """
    try:
        if _RELATIVE.fullmatch(text):
            return add_clamped(naive_utc(now), -parse_age(text))
        return naive_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time: {TIME_SYNTAX}") from None
