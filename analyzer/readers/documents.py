"""Reads files that are one JSON document without events: turbo's run summaries, and metadata of cached artifacts.

Readers raise UnreadableError for an unsupported document; the caller adds the name of the file.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from analyzer.errors import UnreadableError
from analyzer.readers.array import Window
from analyzer.readers.item import parse_strictly

# Returns the archive's row for a parsed document; None if the document records no run (a dry run).
DocumentReader = Callable[[Any], dict[str, Any] | None]

RUN_NAMESPACE = uuid.UUID("3397a22a-0d9c-5c8f-8561-ee5181abb69a")  # the UUID of the URL https://turborepo.dev/runs
MAX_EPOCH_MS = 253_402_214_400_000  # the last day of the year 9999; bounds all numbers of a summary
MAX_DURATION_MS = 2.0**52
MAX_TASKS = 100_000  # of a run; more than any repository has

# The archive's `kinds` of a task by its (status, source): the bits of the events that a client sends for it.
KINDS: dict[tuple[Any, Any], int] = {("HIT", "LOCAL"): 1, ("HIT", "REMOTE"): 6, ("MISS", None): 10}

_FORCE = re.compile(r"(^|\s)--force(=true)?(\s|$)")


def parse_documents(chunks: Iterator[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of each JSON document of a file: one, several in a row, or an array of them.

    Raises:
        UnreadableError: the next document is not complete, or too long; those before were yielded.
    """
    window = Window(chunks)
    if window.peek() == "[":
        window.advance(window.position + 1)
    while window.peek(",") not in ("", "]"):
        line, (text, problem) = window.line, window.take()
        value = None
        try:
            value = None if problem else parse_strictly(text)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise UnreadableError(f"not a complete JSON document ({problem}); fetch the file again")
        yield line, value


def read_run_summary(document: Any) -> dict[str, Any] | None:
    """Return a run with its tasks; None for a dry run."""
    try:
        if document.get("version") == "0" or "executionSummary" in document:
            raise UnreadableError("a run summary of turbo 1.8 (version 0), which is not read; turbo 1.9.9 or later is")
        execution = document.get("execution")
        return _run_row(document, execution) if execution else None
    except (AttributeError, KeyError, TypeError) as error:
        raise UnreadableError(f"not a supported run summary ({type(error).__name__}: {error})") from None


def _run_row(summary: dict[str, Any], execution: dict[str, Any]) -> dict[str, Any]:
    scm, command = summary.get("scm") or {}, _text(execution, "command")
    run = _text(summary, "id") or f"{execution['startTime']}"
    tasks = summary["tasks"] or ()
    attempted = _number(execution, "attempted") or 0
    if type(attempted) is not int or attempted > MAX_TASKS:
        raise TypeError(f"attempted is {attempted}, expected a number of tasks")
    return {
        "run": run,
        "session": str(uuid.uuid5(RUN_NAMESPACE, run)),  # stands for the unknown session, the same on every machine
        "version": _text(summary, "turboVersion"),
        "command": command,
        "branch": _text(scm, "branch"),
        "sha": _text(scm, "sha"),
        "user": _text(summary, "user"),
        "started_ms": _number(execution, "startTime", required=True),
        "ended_ms": _number(execution, "endTime", required=True),
        "exit_code": _exit_code(execution),
        "forced": bool(_FORCE.search(command or "")),
        # A run that is cut short lists only the tasks that it started.
        "unlisted": max(attempted - sum(bool(task.get("execution")) for task in tasks), 0),
        "tasks": [_task_row(task) for task in tasks],
    }


def _task_row(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task. If it did not run because an earlier one failed, it has neither `kinds` nor times."""
    cache, execution = task.get("cache") or {}, task.get("execution") or {}
    status = cache.get("status")
    kinds = KINDS.get((status, cache.get("source") if status == "HIT" else None)) if execution else None
    start, end = _number(execution, "startTime"), _number(execution, "endTime")
    # The execution of a hit is the restore of its outputs, not the task.
    was_executed = status == "MISS" and start and end
    return {
        "task": _text(task, "task") or task["taskId"].rpartition("#")[2],
        "package": _text(task, "package"),
        "hash": _text(task, "hash", required=True),
        "kinds": kinds,
        "time_saved_ms": _number(cache, "timeSaved") or None,
        "execution_ms": (end - start) or None if was_executed else None,  # an interrupted task may end when it starts
        "cacheable": (task.get("resolvedTaskDefinition") or {}).get("cache") is not False,
        "exit_code": _exit_code(execution),
    }


def _text(fields: dict[str, Any], key: str, *, required: bool = False) -> str | None:
    """Return a string as valid UTF-8; None if it is absent or empty."""
    value = fields.get(key) or None
    if not isinstance(value, str) and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(fields.get(key))[:40]}, expected a string")
    return value and value.encode("utf-8", "replace").decode()


def _number(fields: dict[str, Any], key: str, *, required: bool = False) -> Any:
    """Return a number; None if it is absent."""
    value = fields.get(key)
    is_valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAX_EPOCH_MS
    if not is_valid and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(value)[:40]}, expected a number")
    return value


def _exit_code(execution: dict[str, Any]) -> int | None:
    """Return the exit code; on Windows it may be negative, or need more than 31 bits."""
    value = execution.get("exitCode")
    return value if type(value) is int and abs(value) < MAX_EPOCH_MS else None


def read_artifact_metadata(document: Any) -> dict[str, Any]:
    """Return the hash and duration of an artifact; a duration of 0 means unknown."""
    fields = document if isinstance(document, dict) else {}
    artifact: Any = fields.get("hash")
    duration_ms: Any = fields.get("duration")
    is_number = isinstance(duration_ms, int | float) and not isinstance(duration_ms, bool)
    if not (isinstance(artifact, str) and is_number and abs(duration_ms) < MAX_DURATION_MS):
        raise UnreadableError("not the metadata of an artifact: expected hash as a string and duration as a number")
    return {"hash": artifact.encode("utf-8", "replace").decode(), "duration_ms": duration_ms}
