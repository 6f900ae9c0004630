"""Exact percentiles of values that are in many parts: the parts count values by bucket, then list a few buckets.

Rows may be in groups, whose `keys` are columns of theirs; each group has percentiles of its own.

Ratios and counts have few different values, which are buckets of their own. Times have many: their buckets are about
0.07 % wide. Between two values a percentile is interpolated, as SQL's percentile_cont does; of counts it is the first
value that so large a part is at or below (percentile_disc).
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import ceil, floor
from typing import Any

LEVELS = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
COUNTS = ("lookups",)

_BUCKET = "floor(1024 * log2(1 + {value}))"


def _is_time(measure: str) -> bool:
    return measure.endswith("_ms")


def bucket_counts(measures: Mapping[str, str], relation: str, keys: Sequence[str] = ()) -> str:
    """Return the SQL of the number of rows by bucket; `measures` are names with the SQL of the values, none negative.

    Values that are null are not counted.
    """
    buckets = {name: _BUCKET.format(value=sql) if _is_time(name) else sql for name, sql in measures.items()}
    return " UNION ALL ".join(_counts(name, sql, relation, keys, "true") for name, sql in buckets.items())


def value_counts(
    measures: Mapping[str, str], relation: str, buckets: Mapping[str, Sequence[float]], keys: Sequence[str] = ()
) -> str:
    """Return the SQL of the number of rows by value in these buckets of times."""
    wanted = "list_contains({buckets}::DOUBLE[], {bucket})"
    return " UNION ALL ".join(
        _counts(name, sql, relation, keys,
                wanted.format(buckets=list(buckets.get(name, [])), bucket=_BUCKET.format(value=sql)))
        for name, sql in measures.items()
        if _is_time(name)
    )  # fmt: skip


def _counts(name: str, sql: str, relation: str, keys: Sequence[str], condition: str) -> str:
    return (
        f"SELECT {''.join(f'{key}, ' for key in keys)}'{name}' AS measure, ({sql})::DOUBLE AS value, count(*) AS n"
        f" FROM {relation} WHERE ({sql}) IS NOT NULL AND {condition} GROUP BY ALL"
    )


def merged_counts(keys: Sequence[str] = ()) -> str:
    """Return the SQL that adds up the counts of all parts, sorted, each with the values of `keys` first."""
    columns = ", ".join((*keys, "measure", "value"))
    order = columns.replace(",", " NULLS LAST,")
    return f"SELECT {columns}, sum(n)::BIGINT FROM {{parts}} GROUP BY ALL ORDER BY {order}"


def by_group(counts: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    """Return the rows (measure, value, number) of each group, by the values of its keys, in the order of the rows."""
    groups = defaultdict[tuple[Any, ...], list[tuple[Any, ...]]](list)
    for *key, measure, value, number in counts:
        groups[tuple(key)].append((measure, value, number))
    return dict(groups)


def all_buckets(groups: Iterable["Percentiles"]) -> dict[str, list[float]]:
    """Return the buckets of times that have to be listed for any of the groups."""
    merged = defaultdict[str, set[float]](set)
    for group in groups:
        for name, buckets in group.buckets.items():
            merged[name].update(buckets)
    return {name: sorted(buckets) for name, buckets in merged.items()}


class Percentiles:
    """The percentiles of measures, from the rows (measure, value, number) of all parts, sorted."""

    def __init__(self, counts: Iterable[tuple[Any, ...]]) -> None:
        self._counts = _by_measure(counts)
        # What has to be listed: the buckets of times that a percentile lies in or between.
        self.buckets = dict[str, list[float]]()
        for name in filter(_is_time, self._counts):
            values, ends = self._counts[name]
            ranks = {rank for level in LEVELS.values() for rank in _ranks(name, level, ends[-1])[:2]}
            self.buckets[name] = sorted({values[_place(ends, rank)] for rank in ranks})

    def rows(
        self, measures: Sequence[str], listed: Iterable[tuple[Any, ...]], buckets: Mapping[str, Sequence[float]]
    ) -> list[tuple[Any, ...]]:
        """Return a row for each level, with the percentile of each measure; `listed` has all values in `buckets`."""
        exact = _by_measure(listed)
        if not self._counts:
            return []
        return [
            (name, *(self._value(one, level, exact, buckets) for one in measures)) for name, level in LEVELS.items()
        ]

    @property
    def count(self) -> int:
        """The number of rows, of which none lacks its `lookups`."""
        return self._counts["lookups"][1][-1]

    def _value(
        self, measure: str, level: float, exact: Mapping[str, Any], buckets: Mapping[str, Sequence[float]]
    ) -> float | int | None:
        if measure not in self._counts:
            return None
        values, ends = self._counts[measure]
        low, high, weight = _ranks(measure, level, ends[-1])
        found = []
        for rank in (low, high):
            place = _place(ends, rank)
            value = values[place]
            if _is_time(measure):
                listed, counted = exact[measure]
                # Values of the bucket follow those of the listed buckets before it.
                before = sum(self._size(measure, one) for one in buckets[measure] if one < value)
                value = listed[_place(counted, before + rank - (ends[place - 1] if place else 0))]
            found.append(value)
        return int(found[0]) if measure in COUNTS else found[0] + (found[1] - found[0]) * weight

    def _size(self, measure: str, bucket: float) -> int:
        values, ends = self._counts[measure]
        place = bisect_left(values, bucket)
        if place == len(values) or values[place] != bucket:
            return 0  # a bucket of another group
        return ends[place] - (ends[place - 1] if place else 0)


def _by_measure(rows: Iterable[tuple[Any, ...]]) -> dict[str, tuple[list[float], list[int]]]:
    """Return the values of each measure, and how many rows there are up to each."""
    found = defaultdict[str, list[tuple[float, int]]](list)
    for measure, value, number in rows:
        found[measure].append((value, number))
    return {name: ([value for value, _ in one], list(accumulate(n for _, n in one))) for name, one in found.items()}


def _ranks(measure: str, level: float, count: int) -> tuple[int, int, float]:
    """Return the ranks, from 0, between which a percentile lies, and how far."""
    if measure in COUNTS:
        rank = max(ceil(level * count) - 1, 0)
        return rank, rank, 0.0
    exact = (count - 1) * level
    return floor(exact), ceil(exact), exact - floor(exact)


def _place(ends: Sequence[int], rank: int) -> int:
    return bisect_left(ends, rank + 1)
