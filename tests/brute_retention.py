"""Brute-force oracle of `retention`: simulates a cache lookup by lookup, for each policy and retention."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from brute_misses import DAY_US, Lookup, durations, everything, lookups

DAYS = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90)
POLICIES = ("absolute", "sliding")
WEEK_US = 7 * DAY_US

Event = dict[str, Any]


@dataclass
class Walk:
    """The result of one cache; `stored` has a period (from, until) for each time that an artifact was stored."""

    hits: int = 0
    saved_ms: float = 0
    stored: list[tuple[int, int]] = field(default_factory=list)


def walk(asked: Sequence[Lookup], policy: str, kept_us: int, end_us: int, known: Mapping[str, float]) -> Walk:
    of_key = defaultdict(list)
    for lookup in asked:
        of_key[lookup.team, lookup.hash].append((lookup.at_us or 0, lookup.has("REMOTE", "HIT")))
    done = Walk()
    for (_, name), uses in of_key.items():
        gone_us: int | None = None
        first = True
        for at_us, was_hit in sorted(uses):
            present = was_hit if first else gone_us is not None and at_us <= gone_us
            if present:
                done.hits += 1
                done.saved_ms += known.get(name, 0)
            if first or not present or policy == "sliding":
                gone_us = at_us + kept_us
                done.stored.append((at_us, min(gone_us, end_us)))
                if present and not first:  # the span before this use ends here
                    begin_us, _ = done.stored[-2]
                    done.stored[-2] = (begin_us, at_us)
            first = False
    return done


def replayed_lookups(events: Sequence[Event], keep: Callable[[Lookup], bool] = everything) -> list[Lookup]:
    return [one for one in lookups(events) if one.has("REMOTE") and one.at_us is not None and keep(one)]


def curve(
    events: Sequence[Event],
    retention_days: float = 7,
    keep: Callable[[Lookup], bool] = everything,
    known: Mapping[str, float] | None = None,
) -> list[Event]:
    asked = replayed_lookups(events, keep)
    if not asked:
        return []
    known = durations(events) if known is None else known
    times = [one.at_us or 0 for one in asked]
    span_us, end_us = max(times) - min(times), max(times)
    rows = []
    for policy in POLICIES:
        for days in sorted({*DAYS, retention_days}):
            done = walk(asked, policy, round(days * DAY_US), end_us, known)
            stored_us = sum(until - begin for begin, until in done.stored)
            saved_ms = None if done.hits and not any(one.hash in known for one in asked) else done.saved_ms
            is_week = span_us >= WEEK_US and saved_ms is not None
            rows.append(
                {
                    "policy": policy,
                    "days": days,
                    "remote_hit_rate": done.hits / len(asked),
                    "hits": done.hits,
                    "time_saved_ms": saved_ms,
                    "time_saved_a_week_ms": done.saved_ms * WEEK_US / span_us if is_week else None,
                    "artifacts": round(Fraction(stored_us, span_us)) if span_us else None,
                    "extrapolated": 2 * Fraction(days) * DAY_US > span_us,
                    "stored_us": stored_us,
                }
            )
    return rows


def steps(rows: Sequence[Event], retention_days: float, asked: int) -> list[Event]:
    """Return the rows of `steps`, from the rows of the curve; `asked` is the number of lookups."""
    found = []
    for policy in POLICIES:
        of = [row for row in rows if row["policy"] == policy]
        for row in of:
            base = next(one for one in of if one["days"] == retention_days)
            if row is base:
                continue
            weekly = (row["time_saved_a_week_ms"], base["time_saved_a_week_ms"])
            found.append(
                {
                    "policy": policy,
                    "step": f"{base['days']:g} d → {row['days']:g} d",
                    "hit_rate_change": (row["hits"] - base["hits"]) / asked,
                    "saved_a_week_change_ms": None if None in weekly else weekly[0] - weekly[1],
                    "artifacts_factor": row["stored_us"] / base["stored_us"] if base["stored_us"] else None,
                    "extrapolated": row["extrapolated"] or base["extrapolated"],
                }
            )
    return found
