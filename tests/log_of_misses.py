"""Logs of lookups that miss, an event a line, and what `misses` answers of them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import brute_misses as slow
from conftest import Cli, event, report_of

START = datetime(2026, 3, 1, tzinfo=UTC)
MS, US = timedelta(milliseconds=1), timedelta(microseconds=1)
NO_TIME = timedelta(0)

Events = list[dict[str, Any]]


def at(days: float = 0, more: timedelta = NO_TIME) -> str:
    """So many days after the log's start, and a little more; microseconds are written only where there are some."""
    moment = START + timedelta(days=days) + more
    return (
        moment.replace(tzinfo=None).isoformat(timespec="microseconds" if moment.microsecond % 1000 else "milliseconds")
        + "Z"
    )


def asked(session: str, answer: str, name: str, time: str | None, **more: Any) -> dict[str, Any]:
    """The remote cache was asked for a hash. A hit takes 1 s unless another duration is given."""
    envelope = {"timestamp": time, **more}
    default = 1000 if answer == "HIT" else 0
    return event(
        sessionId=session, source="REMOTE", event=answer, hash=name, duration=envelope.pop("duration", default),
        **{key: value for key, value in envelope.items() if value is not None},
    )  # fmt: skip


def local(session: str, answer: str, name: str, time: str | None, **more: Any) -> dict[str, Any]:
    return asked(session, answer, name, time, **more) | {"source": "LOCAL"}


def nowhere(session: str, name: str, time: str | None, **more: Any) -> Events:
    """What a client sends for a task that is in neither cache."""
    return [local(session, "MISS", name, time, **more), asked(session, "MISS", name, time, **more)]


def answered(cli: Cli, *arguments: object) -> Any:
    return report_of(cli, "misses", *arguments)


def classes(cli: Cli, *arguments: object) -> dict[str, int]:
    return {row["class"]: row["misses"] for row in answered(cli, *arguments).table("classes")}


# The first event of the log, of another team, hash and cache: from it the log's first days are counted.
BEGIN = local("begin", "HIT", "other", at(), slug="elsewhere", duration=5)


def task(name: str, package: str, **changes: Any) -> dict[str, Any]:
    """A task of a run summary that missed and took 700 ms."""
    took, exit_code = changes.get("took", 700), changes.get("exit_code", 0)
    saved = changes.get("saved")
    cache = {"status": "MISS", "timeSaved": 0}
    if saved is not None:
        cache = {"status": "HIT", "source": "REMOTE", "timeSaved": saved}
    return {
        "taskId": f"{package}#build",
        "task": "build",
        "package": package,
        "hash": name,
        "cache": cache,
        "execution": {"startTime": 1000, "endTime": 1000 + took, "exitCode": exit_code},
        "resolvedTaskDefinition": {"cache": True},
    }


def run_of(number: int, tasks: Sequence[dict[str, Any]], ended_ms: int | None = None) -> str:
    """A run summary; without a time of long before any log, so that it is no session's."""
    end = 1_700_000_000_000 + number * 60_000 if ended_ms is None else ended_ms
    execution = {
        "startTime": end - 1000,
        "endTime": end,
        "exitCode": 0,
        "attempted": len(tasks),
        "command": "turbo run",
    }
    return json.dumps(
        {"id": f"run{number}", "version": "1", "turboVersion": "2.5.8", "execution": execution, "tasks": tasks}
    )


def assert_as_the_oracle_says(result: Any, events: Events, misses: list[slow.Miss], keep: Any) -> None:
    assert result.table("misses")[0] == slow.summary(events, misses, keep)
    shown = [{k: v for k, v in row.items() if k != "definition"} for row in result.table("classes")]
    assert shown == slow.by_class(misses, keep)
    costliest = slow.top(misses, keep)
    by_hash = {row["hash"]: {k: row[k] for k in next(iter(costliest.values()))} for row in result.table("top")}
    assert by_hash == costliest
    sums = [row["avoidable_time_ms"] for row in result.table("top")]
    assert sums == sorted(sums, reverse=True)
