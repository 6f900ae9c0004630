"""Order the time buckets of a table, including empty ones, and draw them as sparklines."""

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Self

from analyzer.render.values import format_value
from analyzer.table import RATIO, Chart, Table

STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
LABEL_FORMATS = {"hour": "%b %d %H:%M", "day": "%b %d", "week": "%Y-%m-%d", "month": "%b %Y"}
LABEL = re.compile(r"(?!0000)\d{4}-\d{2}(-\d{2}.*)?")  # a time zone may put the first day into year 0

BLOCKS = "▁▂▃▄▅▆▇█"
EMPTY_BUCKET = "·"
MAX_SPARKLINE_CHARS = 60


@dataclass(frozen=True, slots=True)
class Buckets:
    """The rows of a time series in order, each as (start, end, row).

    Starts and ends are milliseconds since 1970 in local time, with the UTC offset of the first bucket.
    """

    name: str
    rows: Sequence[tuple[int, int, Any]]

    @classmethod
    def of(cls, name: str, rows: Sequence[dict[str, Any]]) -> Self | None:
        """Return the buckets of rows whose column `name` holds the bucket's label; None for less than two buckets."""
        timed = [(_parse_start(row[name]), row) for row in rows if LABEL.fullmatch(str(row[name]))]
        if len(timed) < 2:  # noqa: PLR2004  (a single bucket is no time series)
            return None
        # One offset for all: where the clock is set back, two hours of the same label follow each other.
        offset = timed[0][0].utcoffset() or timedelta(0)
        starts = [(start.astimezone(UTC) + offset, row) for start, row in timed]
        return cls(name, [(_epoch_ms(start), _end_ms(start, name), row) for start, row in starts])

    @property
    def span(self) -> tuple[int, int]:
        """The start of the first bucket and the end of the last."""
        return self.rows[0][0], self.rows[-1][1]

    def starts(self) -> list[int]:
        """Return the starts of all buckets from the first to the last, including buckets without a row.

        >>> rows = [{"day": "2026-01-01"}, {"day": "2026-01-03"}]
        >>> len(Buckets.of("day", rows).starts())
        3
        """
        starts, (start, end) = [], self.span
        while start < end:
            starts.append(start)
            start = _end_ms(datetime.fromtimestamp(start / 1000, UTC), self.name)
        return starts

    def ticks(self, max_count: int) -> list[int]:
        """Return at most `max_count` starts, evenly spaced."""
        starts = self.starts()
        return starts[:: -(-len(starts) // max_count)]


def _parse_start(label: str) -> datetime:
    """Return the start of a bucket; labels without an offset count as UTC."""
    start = datetime.fromisoformat(f"{label}-01" if len(label) == len("2026-01") else label)
    return start if start.tzinfo else start.replace(tzinfo=UTC)


def _end_ms(start: datetime, name: str) -> int:
    """Return the end of a bucket, as a number: the last month of the calendar ends after the last datetime."""
    length = STEPS.get(name) or timedelta(days=monthrange(start.year, start.month)[1])
    return _epoch_ms(start) + round(length.total_seconds() * 1000)


def _epoch_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def sparkline(chart: Chart, table: Table) -> str:
    """Return a chart over time as a line of block characters, with its period and last value.

    Buckets without lookups are dots. The line is empty for other kinds of charts and for less than two buckets.
    """
    if chart.series or chart.kind not in ("stack", "line"):
        return ""
    buckets = Buckets.of(chart.x, table.records())
    if buckets is None:
        return ""
    unit = next(column.unit for column in table.columns if column.name == chart.y[0])
    totals = {start: (row[chart.x], sum(_finite(row[name]) for name in chart.y)) for start, _, row in buckets.rows}
    drawn = [totals.get(start) for start in buckets.starts()[-MAX_SPARKLINE_CHARS:]]
    present = [bucket for bucket in drawn if bucket]
    blocks = _blocks([bucket and bucket[1] for bucket in drawn], unit)
    return f"{present[0][0]} to {present[-1][0]}: {blocks} (last {format_value(present[-1][1], unit)})"


def _finite(value: float | None) -> float:
    return value if value is not None and isfinite(value) else 0


def _blocks(values: Sequence[float | None], unit: str) -> str:
    """Return a block for each value, in proportion to the largest; ratios in proportion to 1."""
    largest = 1 if unit == RATIO else max(*(value or 0 for value in values), 1e-9)
    heights = [None if value is None else int(value / largest * len(BLOCKS)) for value in values]
    return "".join(EMPTY_BUCKET if one is None else BLOCKS[min(one, len(BLOCKS) - 1)] for one in heights)
