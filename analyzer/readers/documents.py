"""What a file that is one JSON document says beside events: a run summary of turbo, or an artifact's metadata."""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

from analyzer.errors import UnreadableError
from analyzer.readers.item import BOM

DocumentReader = Callable[[Any], dict[str, Any] | None]
"""A reader of a parsed document: a row for the archive, or None where the document says nothing of a run."""

RUN_NAMESPACE = uuid.UUID("3397a22a-0d9c-5c8f-8561-ee5181abb69a")
"""Of the session that stands for a run whose events are not known: that of the URL https://turborepo.dev/runs."""


def session_of_run(run: str) -> str:
    """Return the session that stands for a run: the same run has the same one on every machine.

    >>> session_of("3MUc5ZQncAXXinzZ1ZQp2BMN5Nx")
    '2e1e1aee-b6d1-576a-8c99-dcf86046f767'
    """
    return str(uuid.uuid5(RUN_NAMESPACE, run))


def parse_document(data: bytes) -> Any:
    """Parse a document.

    Raises:
        UnreadableError: it is cut off, or no JSON; the caller puts the file's name before it.
    """
    try:
        return json.loads(data.removeprefix(BOM))
    except (ValueError, RecursionError) as error:
        if "Extra data" in str(error):
            raise UnreadableError("several JSON documents in one file; a run summary is a file of its own") from None
        raise UnreadableError(f"no whole JSON document ({error}); fetch the file again") from None


MAX_DURATION_MS = 2.0**52
_FLAT_OBJECT = re.compile(rb"\s*\{[^{}]*\}\s*")
_METADATA_KEYS = (b'"hash"', b'"duration"')


def is_artifact_metadata(head: bytes) -> bool:
    """Tell whether a file is such metadata: one flat object.

    >>> shows(b'{"hash":"0ba89839d91df5f6","duration":789}')
    True
    """
    return (
        _FLAT_OBJECT.fullmatch(head) is not None
        and all(key in head for key in _METADATA_KEYS)
        and b'"sessionId"' not in head
    )


def read_artifact_metadata(found: Any) -> dict[str, Any] | None:
    """Return the hash and its duration; 0 means unknown.

    Raises:
        UnreadableError: it is no such metadata.
    """
    fields = found if isinstance(found, dict) else {}
    artifact, duration_ms = fields.get("hash"), fields.get("duration")
    sound = (
        isinstance(duration_ms, int | float)
        and not isinstance(duration_ms, bool)
        and abs(duration_ms) < MAX_DURATION_MS
    )
    if not isinstance(artifact, str) or not sound:
        raise UnreadableError("no metadata of an artifact: hash is a string and duration a number there")
    return {"hash": artifact.encode("utf-8", "replace").decode(), "duration_ms": duration_ms}


_SUMMARY_KEY, _SUMMARY_KEYS = b'"turboVersion"', (b'"execution"', b'"globalCacheInputs"', b'"tasks"')

MAX_EPOCH_MS = 253_402_214_400_000
"""Numbers are less: times are milliseconds since 1970, and end with the year 9999."""

OUTCOMES: dict[tuple[Any, Any], int] = {("HIT", "LOCAL"): 1, ("HIT", "REMOTE"): 6, ("MISS", None): 10}
"""The events a client sends for a task, as the bits of `kinds`: LOCAL MISS and REMOTE HIT make 6, and so on."""

_FORCE = re.compile(r"(^|\s)--force(=true)?(\s|$)")


def is_run_summary(head: bytes) -> bool:
    """Tell whether a file's first bytes are of a summary; a dry run (`--dry=json`) looks the same.

    >>> shows(b'{"id": "3MUc", "version": "1", "turboVersion": "2.11.11", "tasks": []}')
    True
    """
    start = head.removeprefix(BOM).lstrip()[:1]
    return start == b"{" and _SUMMARY_KEY in head and any(key in head for key in _SUMMARY_KEYS)


def read_run_summary(found: Any) -> dict[str, Any] | None:
    """Return a run with its tasks; None where nothing was run.

    Raises:
        UnreadableError: it is no run summary.
    """
    try:
        execution = found.get("execution")
        return _run_row(found, execution) if execution else None
    except (AttributeError, KeyError, TypeError) as error:
        raise UnreadableError(f"no run summary that is known ({type(error).__name__}: {error})") from None


def _run_row(found: dict[str, Any], execution: dict[str, Any]) -> dict[str, Any]:
    scm, command = found.get("scm") or {}, _text(execution, "command")
    run = _text(found, "id") or f"{execution['startTime']}"
    return {
        "run": run,
        "session": session_of_run(run),
        "version": _text(found, "turboVersion"),
        "command": command,
        "branch": _text(scm, "branch"),
        "sha": _text(scm, "sha"),
        "user": _text(found, "user"),
        "started_ms": _number(execution, "startTime", required=True),
        "ended_ms": _number(execution, "endTime", required=True),
        "exit_code": _exit_code(execution),
        "forced": bool(_FORCE.search(command or "")),
        "attempted": _number(execution, "attempted"),
        "tasks": [_task_row(task) for task in found["tasks"] or ()],
    }


def _task_row(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task. One that did not run, as an earlier one failed, has neither outcome nor times."""
    cache, execution = task.get("cache") or {}, task.get("execution") or {}
    status = cache.get("status")
    kinds = OUTCOMES.get((status, cache.get("source") if status == "HIT" else None)) if execution else None
    start, end = _number(execution, "startTime"), _number(execution, "endTime")
    made = kinds == OUTCOMES["MISS", None] and start and end
    return {
        "task": _text(task, "task") or task["taskId"].rpartition("#")[2],
        "package": _text(task, "package"),
        "hash": _text(task, "hash", required=True),
        "kinds": kinds,
        "time_saved_ms": _number(cache, "timeSaved") or None,
        "execution_ms": (end - start) or None if made else None,  # a task that was stopped may end as it starts
        "cacheable": (task.get("resolvedTaskDefinition") or {}).get("cache") is not False,
        "exit_code": _exit_code(execution),
    }


def _text(fields: dict[str, Any], key: str, *, required: bool = False) -> str | None:
    """Return a text; None where it is empty or not there."""
    value = fields.get(key) or None
    if not isinstance(value, str) and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(fields.get(key))[:40]}, where a text is expected")
    return value and value.encode("utf-8", "replace").decode()


def _exit_code(execution: dict[str, Any]) -> int | None:
    """Return the exit code; on Windows it may be negative, or beyond 31 bits."""
    value = execution.get("exitCode")
    return value if type(value) is int and abs(value) < MAX_EPOCH_MS else None


def _number(fields: dict[str, Any], key: str, *, required: bool = False) -> Any:
    """Return a number; None where it is not there."""
    value = fields.get(key)
    sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAX_EPOCH_MS
    if not sound and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(value)[:40]}, where a number is expected")
    return value
