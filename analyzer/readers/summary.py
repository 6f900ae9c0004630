"""turbo's run summaries, `.turbo/runs/<id>.json`: what `turbo run … --summarize` writes of every task of a run.

Every version since 1.10 is read. A summary says how a task was answered, not whether it was asked with `--force`: that
stands in the command where a version writes it there, and nowhere else.
"""

import json
import re
from typing import Any

from analyzer.errors import UnreadableError
from analyzer.readers.document import session_of
from analyzer.readers.item import BOM

_KEY, _BESIDE = b'"turboVersion"', (b'"execution"', b'"globalCacheInputs"', b'"tasks"')

MOST = 253_402_214_400_000
"""Numbers are less: times are milliseconds since 1970, and end with the year 9999."""

OUTCOMES: dict[tuple[Any, Any], int] = {("HIT", "LOCAL"): 1, ("HIT", "REMOTE"): 6, ("MISS", None): 10}
"""The events a client sends for a task, as the bits of `kinds`: LOCAL MISS and REMOTE HIT make 6, and so on."""

_FORCE = re.compile(r"(^|\s)--force(=true)?(\s|$)")


def shows(head: bytes) -> bool:
    """Tell whether a file's first bytes are of a summary; a dry run (`--dry=json`) looks the same.

    >>> shows(b'{"id": "3MUc", "version": "1", "turboVersion": "2.11.11", "tasks": []}')
    True
    """
    start = head.removeprefix(BOM).lstrip()[:1]
    return start == b"{" and _KEY in head and any(key in head for key in _BESIDE)


def document(found: Any) -> dict[str, Any] | None:
    """Return a run with its tasks; None where nothing was run.

    Raises:
        UnreadableError: it is no run summary.
    """
    try:
        execution = found.get("execution")
        return _run(found, execution) if execution else None
    except (AttributeError, KeyError, TypeError) as error:
        raise UnreadableError(f"no run summary that is known ({type(error).__name__}: {error})") from None


def _run(found: dict[str, Any], execution: dict[str, Any]) -> dict[str, Any]:
    scm, command = found.get("scm") or {}, _text(execution, "command")
    run = _text(found, "id") or f"{execution['startTime']}"
    return {
        "run": run,
        "session": session_of(run),
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
        "tasks": [_task(task) for task in found["tasks"] or ()],
    }


def _task(task: dict[str, Any]) -> dict[str, Any]:
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
    return value if type(value) is int and abs(value) < MOST else None


def _number(fields: dict[str, Any], key: str, *, required: bool = False) -> Any:
    """Return a number; None where it is not there."""
    value = fields.get(key)
    sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST
    if not sound and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(value)[:40]}, where a number is expected")
    return value
