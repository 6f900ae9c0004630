"""The totals by their definitions, slowly: one lookup a (session, hash), looked at by itself."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any


def lookups(events: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    found = defaultdict(list)
    for event in events:
        found[event["sessionId"], event["hash"]].append(event)
    return list(found.values())


def has(lookup: list[dict[str, Any]], source: str, kind: str | None = None) -> bool:
    return any(e["source"] == source and kind in (None, e["event"]) for e in lookup)


def saved_ms(lookup: list[dict[str, Any]]) -> float | None:
    """The duration of the lookup's HIT, once, where known; the longest where a log has several."""
    return max((e.get("duration") or 0 for e in lookup if e["event"] == "HIT"), default=0) or None


def time_of(event: dict[str, Any]) -> datetime | None:
    value = event.get("timestamp")
    if value is None:
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000, UTC)
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def first_at(lookup: list[dict[str, Any]]) -> datetime | None:
    return min((at for e in lookup if (at := time_of(e))), default=None)


def rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def known_sum(known: list[float], counted: int) -> float | None:
    """The sum of what is known of the times that count: unknown if some count and none is known."""
    return None if counted and not known else sum(known)


def totals(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Everything `stats` answers but the times."""
    return totals_of(lookups(events))


def totals_of(all_lookups: list[list[dict[str, Any]]]) -> dict[str, Any]:
    local = [x for x in all_lookups if has(x, "LOCAL", "HIT")]
    remote = [x for x in all_lookups if has(x, "REMOTE", "HIT") and x not in local]
    misses = [x for x in all_lookups if not has(x, "LOCAL", "HIT") and not has(x, "REMOTE", "HIT")]
    known = [s for x in all_lookups if (s := saved_ms(x)) is not None]
    hits = len(local) + len(remote)
    return {
        "events": sum(map(len, all_lookups)),
        "sessions": len({x[0]["sessionId"] for x in all_lookups}),
        "lookups": len(all_lookups),
        "hits": hits,
        "local_hits": len(local),
        "remote_hits": len(remote),
        "misses": len(misses),
        "local_only_misses": sum(not has(x, "REMOTE") for x in misses),
        "hit_rate": rate(hits, len(all_lookups)),
        "local_hit_rate": rate(len(local), sum(has(x, "LOCAL") for x in all_lookups)),
        "remote_hit_rate": rate(
            sum(has(x, "REMOTE", "HIT") for x in all_lookups), sum(has(x, "REMOTE") for x in all_lookups)
        ),
        "time_saved_ms": known_sum(known, hits),
        "duration_coverage": rate(len(known), hits),
    }
