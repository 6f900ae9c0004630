"""How times are written wherever one is taken: ISO 8601, or so long ago."""

import re
from datetime import UTC, date, datetime, time, timedelta

_AGO = re.compile(r"(\d+)([dhw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

EXPECTED = "write 2026-08-31, 2026-08-31T12:00Z, or how long ago: 36h, 7d, 4w"


def utc(moment: date) -> datetime:
    """Return naive UTC; a time without an offset is UTC already, and a date is its midnight.

    >>> utc(date(2026, 9, 1))
    datetime.datetime(2026, 9, 1, 0, 0)
    """
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def moment(text: str, now: datetime) -> datetime:
    """Return the time that a text means, as naive UTC.

    >>> moment("36h", datetime(2026, 9, 2, 12)), moment("2026-08-31T14:00+02:00", datetime(2026, 9, 2))
    (datetime.datetime(2026, 9, 1, 0, 0), datetime.datetime(2026, 8, 31, 12, 0))

    Raises:
        ValueError: the text is no time.
    """
    ago = _AGO.fullmatch(text)
    try:
        return utc(now) - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: {EXPECTED}") from None
