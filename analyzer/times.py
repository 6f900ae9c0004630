"""How times are written wherever one is taken: ISO 8601, or so long ago."""

import re
from datetime import date, datetime, time, timedelta

_AGO = re.compile(r"(\d+)([dhw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

TIME_SYNTAX = "write 2026-08-31, 2026-08-31T12:00Z, or how long ago: 36h, 7d, 4w"

FIRST_CLIENT_AT = datetime(2021, 12, 1)  # noqa: DTZ001  (times are naive UTC here)
"""No build client reported events before."""

MAX_RETENTION_DAYS = 3650
"""How long a cache may be thought to keep artifacts."""

MIN_TIME, MAX_TIME = datetime.min, datetime.max  # noqa: DTZ901  (times are naive UTC here)


def add_clamped(moment: datetime, by: timedelta) -> datetime:
    """Return the time so long after another; where that is beyond the calendar, its first time or its last.

    >>> later(datetime(9999, 12, 31), timedelta(weeks=1)), later(datetime(1, 1, 2), -timedelta(weeks=1))
    (datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), datetime.datetime(1, 1, 1, 0, 0))
    """
    try:
        return moment + by
    except OverflowError:
        return MAX_TIME if by > timedelta() else MIN_TIME


def naive_utc(moment: date) -> datetime:
    """Return naive UTC, within the calendar; a time without an offset is UTC already, and a date is its midnight.

    >>> utc(date(2026, 9, 1))
    datetime.datetime(2026, 9, 1, 0, 0)
    """
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    return add_clamped(moment.replace(tzinfo=None), -(moment.utcoffset() or timedelta()))


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time that a text means, as naive UTC.

    >>> moment("36h", datetime(2026, 9, 2, 12)), moment("2026-08-31T14:00+02:00", datetime(2026, 9, 2))
    (datetime.datetime(2026, 9, 1, 0, 0), datetime.datetime(2026, 8, 31, 12, 0))

    Raises:
        ValueError: the text is no time.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return add_clamped(naive_utc(now), -timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        return naive_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: {TIME_SYNTAX}") from None
