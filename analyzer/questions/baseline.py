"""Defines the baseline of `check`: the measures of a log, saved as JSON, with which later logs are compared."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import TIME_FILTERS, Selection
from analyzer.errors import InputError
from analyzer.questions.compare import measure_totals
from analyzer.questions.scope import select_scope

FORMAT, VERSION = "cache-event-analyzer baseline", 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a log is compared with: a hit rate, of how many lookups, and which lookups these were.

    Args:
        name: the file, for messages.
        hit_rate: hits / lookups.
        lookups: distinct (session, hash).
        view: whether events or run summaries were counted.
        filters: the filters, without those by time.
    """

    name: str
    hit_rate: float
    lookups: int
    view: str
    filters: Mapping[str, Any]


def measure_baseline(log: OpenLog, selection: Selection) -> dict[str, Any]:
    """Return the measures of the selected lookups as a JSON document, which `parse_baseline` reads.

    Raises:
        InputError: there are no lookups.
    """
    totals = measure_totals(select_scope(log, selection))
    if not totals.rate.lookups:
        raise InputError("no baseline was saved: there are no lookups")
    return {
        "format": FORMAT, "version": VERSION,
        "hit_rate": totals.rate.value, "lookups": totals.rate.lookups, "hits": totals.rate.hits,
        "remote_hit_rate": totals.remote_rate.value, "remote_lookups": totals.remote_rate.lookups,
        "local_only_misses": totals.local_only_misses,
        "time_saved_ms": totals.time_saved_ms, "duration_coverage": totals.duration_coverage,
        "sessions": totals.rate.sessions, "first_at": _iso(totals.first_at), "last_at": _iso(totals.last_at),
        "view": log.view, "filters": _filters(selection),
    }  # fmt: skip


def parse_baseline(name: str, data: bytes) -> Baseline:
    """Return the baseline in a document of `measure_baseline`.

    Raises:
        InputError: the document is not a baseline, or is one of another version.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError(f"{name}: not a baseline (not JSON)") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{name}: not a baseline")
    if document.get("version") != VERSION:
        version = document.get("version")
        raise InputError(f"{name}: a baseline of version {version}, expected {VERSION}; save it again")
    match document:
        case {"lookups": 0}:
            raise InputError(f"{name}: a baseline without lookups; save it again from a log that has some")
        case {"hit_rate": int() | float() as rate, "lookups": int() as lookups, "view": str(), "filters": dict()} if (
            lookups > 0 and 0 <= rate <= 1 and not isinstance(rate, bool) and not isinstance(lookups, bool)
        ):
            return Baseline(name, rate, lookups, document["view"], document["filters"])
    raise InputError(f"{name}: a damaged baseline; save it again")


def baseline_notes(baseline: Baseline, log: OpenLog, selection: Selection) -> Iterator[str]:
    """Yield notes on what the hit rate is compared with, and on whether the baseline has other lookups than the log."""
    rate = f"{baseline.hit_rate * 100:.1f} % of {baseline.lookups:,} lookups"
    yield f"the change of the hit rate is that from the baseline {baseline.name}: {rate}"
    if baseline.filters != _filters(selection):
        filters = ", ".join(f"{name} {json.dumps(value)}" for name, value in baseline.filters.items()) or "none"
        yield f"the baseline {baseline.name} was saved with other filters ({filters}): part of the change may be theirs"
    if baseline.view != log.view:
        sources = {"events": "events", "runs": "run summaries"}
        theirs, ours = sources.get(baseline.view, baseline.view), sources.get(log.view, log.view)
        yield f"the baseline {baseline.name} counts {theirs}, and this answer {ours}: part of the change may be theirs"


def _filters(selection: Selection) -> dict[str, Any]:
    """Return the filters that are set, as JSON has them, without those by time."""
    values = {one.name: getattr(selection, one.name) for one in fields(selection)}
    return {
        name: sorted(value) if isinstance(value, list | tuple) else value  # in any order, they select the same
        for name, value in values.items()
        if name not in (*TIME_FILTERS, "view") and value not in (None, (), [])
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds") + "Z"
