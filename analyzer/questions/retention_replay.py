"""How the hit rate depends on how long artifacts are kept: the log replayed against caches that keep them for T.

Only lookups that asked the remote cache are replayed, each team's against a cache of its own. A miss uploads the
artifact, at once and always: the curve is what a cache could reach where every upload lands. *Absolute*: an artifact is
gone T after its upload. *Sliding*: T after its last use. A hash that is a hit at its first sight is older than the log:
that hit counts at every T, and the artifact as uploaded then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer.archive.selection import LookupsQuery
from analyzer.questions.cache_accesses import ASKED_REMOTELY, CacheAccesses, cache_accesses
from analyzer.questions.durations import impute_durations
from analyzer.questions.miss_classes import DAY_US

if TYPE_CHECKING:
    import polars as pl

SPAN = f"""
SELECT epoch_us(min(first_at)), epoch_us(max(first_at)), count(*), count(*) FILTER (kinds & 4 > 0),
       bool_and(epoch_us(first_at) % 1000 = 0)
FROM {{selected}} WHERE {ASKED_REMOTELY}
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """What the log holds: its span, and how often the remote cache was asked and answered.

    Times are told apart down to `tick_us`: a millisecond, unless the log is finer.
    """

    start_us: int
    span_us: int
    lookups: int
    hits: int
    tick_us: int


@dataclass(slots=True)
class PolicyResult:
    """What a cache that keeps artifacts for T would have answered; `stored_us` adds up how long they were stored."""

    hits: int = 0
    saved_ms: float = 0
    stored_us: int = 0


def observe(selected: LookupsQuery) -> Observed | None:
    """Return what the log holds; None where the remote cache was never asked at a known time."""
    start, end, lookups, hits, whole = selected.rows(SPAN)[0]
    return None if start is None else Observed(start, end - start, lookups, hits, 1000 if whole else 1)


def replay_policies(
    selected: LookupsQuery, observed: Observed, days: Sequence[float]
) -> dict[tuple[str, float], PolicyResult]:
    """Replay the lookups against caches of every policy and each T; return what they would have answered."""
    impute_durations(selected.connection)
    span = observed.span_us // observed.tick_us
    limits = [min(round(day * DAY_US) // observed.tick_us, span) for day in days]
    found = {(policy, day): PolicyResult() for policy in POLICIES for day in days}
    for some in cache_accesses(selected, observed.start_us, observed.tick_us, span, max(limits)):
        for policy, replay in POLICIES.items():
            for day, (hits, saved_ms, stored) in zip(days, replay(some, limits), strict=True):
                kept = found[policy, day]
                kept.hits += hits + int(some.first_hit.sum())
                kept.saved_ms += saved_ms + float(some.saved_ms.filter(some.first_hit).sum())
                kept.stored_us += stored * observed.tick_us
    return found


Replayed = tuple[int, float, int]
"""Hits, what they save in milliseconds, and how long artifacts were stored, added up, in ticks."""


def replay_sliding(uses: CacheAccesses, limits: Sequence[int]) -> list[Replayed]:
    """Replay against caches that keep an artifact for so long after its last use."""
    import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

    frame = pl.DataFrame({"gap": uses.since_last, "left": uses.until_next, "saved_ms": uses.saved_ms})
    answers = [
        sums
        for n, limit in enumerate(limits)
        for sums in (
            (pl.col("gap") <= limit).sum().alias(f"hits_{n}"),
            pl.col("saved_ms").filter(pl.col("gap") <= limit).sum().alias(f"saved_{n}"),
            pl.col("left").clip(upper_bound=limit).sum().alias(f"stored_{n}"),
        )
    ]
    row = frame.select(answers).row(0)
    return [(row[n], row[n + 1], row[n + 2]) for n in range(0, len(row), 3)]


def replay_absolute(uses: CacheAccesses, limits: Sequence[int]) -> list[Replayed]:
    """Replay against caches that keep an artifact for so long after its upload: what is no upload is a hit.

    An artifact that is used no longer than that is uploaded once.
    """
    import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

    first = uses.since_last.is_null().arg_true()
    left = uses.span - uses.codes.gather(first) % uses.width
    lasts = pl.concat([first.slice(1) - 1, pl.Series([uses.codes.len() - 1], dtype=first.dtype)])
    lives = uses.codes.gather(lasts) - uses.codes.gather(first)
    hits = uses.codes.len() - first.len()
    saved_ms = float(uses.saved_ms.sum()) - float(uses.saved_ms.gather(first).sum())
    found = []
    for limit in limits:
        uploads, made_ms, stored = _reuploads(uses, first.filter(lives > limit), limit)
        found.append((hits - uploads, saved_ms - made_ms, stored + int(left.clip(upper_bound=limit).sum())))
    return found


def _reuploads(uses: CacheAccesses, first: "pl.Series", limit: int) -> Replayed:
    """Return how many uses after these are uploads, what they took, and how long the artifacts were stored.

    From each upload the next is found, of all artifacts at once: the first use that comes when the artifact is gone.
    """
    uploads, made_ms, stored, last = 0, 0.0, 0, uses.codes.len() - 1
    while first.len():
        codes = uses.codes.gather(first)
        following = uses.codes.search_sorted(codes + limit, side="right").clip(upper_bound=last)
        found = uses.codes.gather(following)
        again = (found > codes + limit) & (found // uses.width == codes // uses.width)
        first, found = following.filter(again), found.filter(again)
        uploads += first.len()
        made_ms += float(uses.saved_ms.gather(first).sum())
        stored += int((uses.span - found % uses.width).clip(upper_bound=limit).sum())
    return uploads, made_ms, stored


POLICIES: dict[str, Callable[[CacheAccesses, Sequence[int]], list[Replayed]]] = {
    "absolute": replay_absolute,
    "sliding": replay_sliding,
}
"""The ways in which caches let artifacts go: some time after the upload, or after the last use."""
