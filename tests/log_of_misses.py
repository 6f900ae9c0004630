"""Builds logs and run summaries for the tests of `misses`, and runs the command on them."""

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
    """Return the time `days` and `more` after the log's start, in microseconds only if needed."""
    moment = START + timedelta(days=days) + more
    return (
        moment.replace(tzinfo=None).isoformat(timespec="microseconds" if moment.microsecond % 1000 else "milliseconds")
        + "Z"
    )


def remote(session: str, answer: str, name: str, time: str | None, **more: Any) -> dict[str, Any]:
    """Return a REMOTE event. A hit has a duration of 1 s unless another one is given."""
    envelope = {"timestamp": time, **more}
    default = 1000 if answer == "HIT" else 0
    return event(
        sessionId=session, source="REMOTE", event=answer, hash=name, duration=envelope.pop("duration", default),
        **{key: value for key, value in envelope.items() if value is not None},
    )  # fmt: skip


def local(session: str, answer: str, name: str, time: str | None, **more: Any) -> dict[str, Any]:
    return remote(session, answer, name, time, **more) | {"source": "LOCAL"}


def missed(session: str, name: str, time: str | None, **more: Any) -> Events:
    """Return the events of a task that is in neither cache."""
    return [local(session, "MISS", name, time, **more), remote(session, "MISS", name, time, **more)]


def run_misses(cli: Cli, *arguments: object) -> Any:
    return report_of(cli, "misses", *arguments)


def classes(cli: Cli, *arguments: object) -> dict[str, int]:
    return {row["class"]: row["misses"] for row in run_misses(cli, *arguments).table("classes")}


# The first event of the log, of another team, hash and cache: from it the log's first days are counted.
BEGIN = local("begin", "HIT", "other", at(), slug="elsewhere", duration=5)


def task(name: str, package: str, **changes: Any) -> dict[str, Any]:
    """Return a task of a run summary; by default it missed and took 700 ms."""
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
    """Return a run summary; without `ended_ms` it is too old to match a session of a log."""
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


def assert_matches_oracle(result: Any, events: Events, misses: list[slow.Miss], keep: Any) -> None:
    assert result.table("misses")[0] == slow.summary(events, misses, keep)
    shown = [{k: v for k, v in row.items() if k != "definition"} for row in result.table("classes")]
    assert shown == slow.by_class(misses, keep)
    costliest = slow.top(misses, keep)
    by_hash = {row["hash"]: {k: row[k] for k in next(iter(costliest.values()))} for row in result.table("top")}
    assert by_hash == costliest
    sums = [row["avoidable_time_ms"] for row in result.table("top")]
    assert sums == sorted(sums, key=lambda sum_ms: -1 if sum_ms is None else sum_ms, reverse=True)
