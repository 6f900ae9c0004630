"""Buckets of time as a chart and a sparkline need them: where each begins and ends, also those without lookups."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Self

from analyzer.render.values import format_value
from analyzer.table import RATIO, Chart, Table

STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
LABEL_FORMATS = {"hour": "%b %d %H:%M", "day": "%b %d", "week": "%Y-%m-%d", "month": "%b %Y"}
LABEL = re.compile(r"\d{4}-\d{2}(-\d{2}.*)?")


@dataclass(frozen=True, slots=True)
class Buckets:
    """Rows of known buckets in order, each with its start and end: milliseconds since 1970.

    They are of the clock on the wall; where summer time begins or ends, of the clock of the first bucket.
    """

    name: str
    rows: Sequence[tuple[int, int, Any]]

    @classmethod
    def of(cls, name: str, rows: Sequence[dict[str, Any]]) -> Self | None:
        """Return the buckets of rows that have their label in the column `name`.

        None where less than two labels are times: one bucket shows no course.
        """
        timed = [(_bucket_start(row[name]), row) for row in rows if LABEL.fullmatch(str(row[name]))]
        if len(timed) < 2:  # noqa: PLR2004  (a course)
            return None
        offset = timed[0][0].utcoffset() or timedelta(0)
        starts = [(start.astimezone(UTC) + offset, row) for start, row in timed]
        return cls(name, [(_ms(start), _ms(_next_start(start, name)), row) for start, row in starts])

    @property
    def span(self) -> tuple[int, int]:
        """The start of the first and the end of the last."""
        return self.rows[0][0], self.rows[-1][1]

    @property
    def format(self) -> str:
        """How a bucket is written, in the codes of strftime."""
        return LABEL_FORMATS[self.name]

    def starts(self) -> list[int]:
        """Return the starts of all buckets from the first to the last, also of those that are not there.

        >>> rows = [{"day": "2026-01-01"}, {"day": "2026-01-03"}]
        >>> len(Buckets.of("day", rows).starts())
        3
        """
        found, (at, end) = [], self.span
        while at < end:
            found.append(at)
            at = _ms(_next_start(datetime.fromtimestamp(at / 1000, UTC), self.name))
        return found

    def ticks(self, most: int) -> list[int]:
        """Return at most so many starts, evenly spread."""
        starts = self.starts()
        return starts[:: -(-len(starts) // most)]


def _bucket_start(label: str) -> datetime:
    """Return when a bucket begins; hours have their offset, the others are taken to be UTC."""
    start = datetime.fromisoformat(f"{label}-01" if len(label) == len("2026-01") else label)
    return start if start.tzinfo else start.replace(tzinfo=UTC)


def _next_start(start: datetime, name: str) -> datetime:
    if name in STEPS:
        return start + STEPS[name]
    return (start.replace(day=1) + timedelta(days=31)).replace(day=1)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


BLOCKS = "▁▂▃▄▅▆▇█"
NONE = "·"
LONGEST_LINE = 60


def sparkline(chart: Chart, table: Table) -> str:
    """Write a chart over time in blocks, the latest last, with the labels of the first and the last.

    Empty for charts of another kind and for less than two buckets; those without lookups are dots.
    """
    if chart.series or chart.kind not in ("stack", "line"):
        return ""
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    buckets = Buckets.of(chart.x, rows)
    if buckets is None:
        return ""
    unit = table.columns[names.index(chart.y[0])].unit
    values = {start: (row[chart.x], sum(_finite(row[name]) for name in chart.y)) for start, _, row in buckets.rows}
    drawn = [values.get(start) for start in buckets.starts()[-LONGEST_LINE:]]
    there = [one for one in drawn if one]
    return f"{there[0][0]} to {there[-1][0]}: {_blocks(drawn, unit)} (last {format_value(there[-1][1], unit)})"


def _finite(value: float | None) -> float:
    return value if value is not None and isfinite(value) else 0


def _blocks(drawn: list[tuple[str, Any] | None], unit: str) -> str:
    most = 1 if unit == RATIO else max([*(one[1] for one in drawn if one), 1e-9])
    return "".join(BLOCKS[min(int(one[1] / most * len(BLOCKS)), len(BLOCKS) - 1)] if one else NONE for one in drawn)
