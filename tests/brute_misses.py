"""Brute-force oracle of `misses`: compares every miss with every lookup, as the definitions say.

Its input is raw events; `tasks` are those of run summaries as turbo writes them, `metadata` is {hash: milliseconds}.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import brute

AVOIDABLE = ("repeat", "concurrent", "expired", "evicted")
ORDER = ("cold", "unknown_cold", "repeat", "concurrent", "expired", "evicted", "local_only", "untimed")
DAY_US = 86_400_000_000
NEVER = 2**62

Event = dict[str, Any]
Task = dict[str, Any]


@dataclass(frozen=True)
class Lookup:
    session: str
    hash: str
    team: str | None
    team_id: str | None
    ci: str | None
    at_us: int | None
    events: tuple[Event, ...]

    def has(self, source: str, kind: str | None = None) -> bool:
        return brute.has(list(self.events), source, kind)

    @property
    def is_miss(self) -> bool:
        return not self.has("LOCAL", "HIT") and not self.has("REMOTE", "HIT")

    @property
    def saved_ms(self) -> float | None:
        return brute.saved_ms(list(self.events))


@dataclass(frozen=True)
class Miss:
    lookup: Lookup
    kind: str
    imputed_ms: float | None


def microseconds(event: Event) -> int | None:
    """Return the time of an event in microseconds since 1970."""
    at = brute.time_of(event)
    return None if at is None else (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def lookups(events: Iterable[Event]) -> list[Lookup]:
    """Return the lookups of events; each has the time and the team of its first event."""
    return [_lookup(found) for found in brute.lookups(events)]


def _lookup(found: list[Event]) -> Lookup:
    def place(event: Event) -> tuple[Any, ...]:
        at = microseconds(event)
        names = (_team(event), event.get("teamId"), event.get("ci"))
        return (NEVER if at is None else at, *((name is None, name or "") for name in names))

    first = min(found, key=place)
    times = [at for event in found if (at := microseconds(event)) is not None]
    return Lookup(
        first["sessionId"], first["hash"], _team(first), first.get("teamId"), first.get("ci"),
        min(times, default=None), tuple(found),
    )  # fmt: skip


def _team(event: Event) -> str | None:
    return event.get("slug") or event.get("teamId")


def name_of(task: Task) -> str:
    return f"{task['package']}#{task['task']}" if task.get("package") else task["task"]


def execution_ms(task: Task) -> float:
    """Return the execution time of a task; 0 if it did not run, or failed."""
    built = task["cache"]["status"] == "MISS" and task["execution"] and not task["execution"].get("exitCode")
    return task["execution"]["endTime"] - task["execution"]["startTime"] if built else 0


def durations(
    events: Iterable[Event], tasks: Sequence[Task] = (), metadata: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the task time of each hash: of a HIT, else of another source for the hash, else the median of its task."""
    places = [
        [(event["hash"], event.get("duration") or 0) for event in events if event["event"] == "HIT"],
        [(task["hash"], task["cache"].get("timeSaved") or 0) for task in tasks],
        list((metadata or {}).items()),
        [(task["hash"], execution_ms(task)) for task in tasks],
    ]
    known: dict[str, float] = {}
    for place in places:
        for name in {name for name, took in place if took > 0} - known.keys():
            known[name] = max(took for other, took in place if other == name)
    names = {task["hash"]: name_of(task) for task in tasks}
    imputed = dict(known)
    for name, task_name in names.items():
        same = [took for other, took in known.items() if names.get(other) == task_name]
        if name not in known and same:
            imputed[name] = median(same)
    return imputed


def classified(
    events: Sequence[Event],
    retention_days: float,
    tasks: Sequence[Task] = (),
    metadata: Mapping[str, float] | None = None,
) -> list[Miss]:
    every = lookups(events)
    known = durations(events, tasks, metadata)
    begun = {
        session: min((x.at_us for x in every if x.session == session and x.at_us is not None), default=NEVER)
        for session in {x.session for x in every}
    }
    start_us = min((x.at_us for x in every if x.at_us is not None), default=0)
    retention_us = round(retention_days * DAY_US)

    def order(lookup: Lookup) -> tuple[Any, ...]:
        return (lookup.at_us, lookup.has("REMOTE", "HIT"), begun[lookup.session], lookup.session)

    def kind(miss: Lookup) -> str:
        if not miss.has("REMOTE"):
            return "local_only"
        if miss.at_us is None:
            return "untimed"
        before = sorted(
            (
                other
                for other in every
                if other.hash == miss.hash and other.team == miss.team and other.has("REMOTE")
                if other.at_us is not None and order(other) < order(miss)
            ),
            key=order,
        )
        if not before:
            return "unknown_cold" if miss.at_us - start_us <= retention_us else "cold"
        hits = [n for n, other in enumerate(before) if other.has("REMOTE", "HIT")]
        since_hit = before[hits[-1] + 1 :] if hits else before
        if since_hit:
            took_ms = known.get(miss.hash)
            gap_us = miss.at_us - (since_hit[-1].at_us or 0)
            return "concurrent" if took_ms is not None and gap_us < took_ms * 1000 else "repeat"
        return "expired" if miss.at_us - (before[-1].at_us or 0) > retention_us else "evicted"

    return [Miss(one, kind(one), known.get(one.hash)) for one in every if one.is_miss]


def imputed(misses: Sequence[Miss]) -> float | None:
    return brute.known_sum([one.imputed_ms for one in misses if one.imputed_ms is not None], len(misses))


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def everything(_: Lookup) -> bool:
    return True


def summary(events: Sequence[Event], misses: Sequence[Miss], keep: Callable[[Lookup], bool] = everything) -> Event:
    """Return the row of totals of the lookups that pass `keep`."""
    kept = [one for one in lookups(events) if keep(one)]
    found = [one for one in misses if keep(one.lookup)]
    imputed_ms = imputed(found)
    saved_ms = brute.known_sum([one.saved_ms for one in kept if one.saved_ms], len(kept) - len(found))
    known = imputed_ms is not None and saved_ms is not None
    avoidable = [one for one in found if one.kind in AVOIDABLE]
    hashes = [one.hash for one in kept]
    return {
        "lookups": len(kept),
        "misses": len(found),
        "miss_rate": share(len(found), len(kept)),
        "time_lost_ms": imputed_ms,
        "imputed_coverage": share(sum(one.imputed_ms is not None for one in found), len(found)),
        "avoidable_misses": len(avoidable),
        "avoidable_time_ms": imputed(avoidable),
        "avoidable_coverage": share(sum(one.imputed_ms is not None for one in avoidable), len(avoidable)),
        "time_saved_ms": saved_ms,
        "avoidance_ratio": share(saved_ms, saved_ms + imputed_ms) if known else None,
        "one_hit_wonders": sum(hashes.count(name) == 1 for name in set(hashes)),
        "hashes": len(set(hashes)),
    }


def by_class(misses: Sequence[Miss], keep: Callable[[Lookup], bool] = everything) -> list[Event]:
    found = [one for one in misses if keep(one.lookup)]
    rows = []
    for name in ORDER:
        of = [one for one in found if one.kind == name]
        if of:
            rows.append(
                {
                    "class": name,
                    "misses": len(of),
                    "share": len(of) / len(found),
                    "sessions": len({one.lookup.session for one in of}),
                    "time_lost_ms": imputed(of),
                    "imputed_coverage": sum(one.imputed_ms is not None for one in of) / len(of),
                    "avoidable": name in AVOIDABLE,
                }
            )
    return rows


def by_group(
    events: Sequence[Event], misses: Sequence[Miss], keep: Callable[[Lookup], bool] = everything
) -> dict[tuple[str, str | None, str], Event]:
    """Return the row of each hash, team and day."""

    def key(one: Lookup) -> tuple[str, str | None, str]:
        at = None if one.at_us is None else datetime.fromtimestamp(one.at_us // 10**6, UTC)
        return one.hash, one.team, at.date().isoformat() if at else "unknown"

    rows = {}
    for group in {key(one) for one in lookups(events) if keep(one)}:
        totals = summary(events, misses, lambda one, group=group: keep(one) and key(one) == group)  # type: ignore[misc]
        found = [one for one in misses if keep(one.lookup) and key(one.lookup) == group]
        names = ("lookups", "misses", "miss_rate", "time_lost_ms", "imputed_coverage", "avoidable_misses",
                 "avoidable_time_ms", "avoidable_coverage")  # fmt: skip
        rows[group] = (
            {name: totals[name] for name in names}
            | {"sessions": len({one.lookup.session for one in found})}
            | {name: sum(one.kind == name for one in found) for name in ORDER}
        )
    return rows


def top(misses: Sequence[Miss], keep: Callable[[Lookup], bool] = everything) -> dict[str, Event]:
    """Return the sums of the avoidable misses of each hash."""
    found = [one for one in misses if keep(one.lookup) and one.kind in AVOIDABLE]
    return {
        name: {
            "avoidable_time_ms": imputed([one for one in found if one.lookup.hash == name]),
            "avoidable_misses": sum(one.lookup.hash == name for one in found),
            "sessions": len({one.lookup.session for one in found if one.lookup.hash == name}),
            **{kind: sum((one.lookup.hash, one.kind) == (name, kind) for one in found) for kind in AVOIDABLE},
        }
        for name in {one.lookup.hash for one in found}
    }
