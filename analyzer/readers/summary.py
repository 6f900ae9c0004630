"""turbo's run summaries, `.turbo/runs/<id>.json`: what `turbo run … --summarize` writes of every task of a run.

Every version since 1.10 is read. A summary says how a task was answered, not whether it was asked with `--force`: that
stands in the command where a version writes it there, and nowhere else.
"""

import json
import re
from typing import Any

from analyzer.errors import UnreadableError
from analyzer.readers.document import session_of

_KEYS = (b'"turboVersion"', b'"tasks"')

MOST = 2.0**52
"""Numbers are less: times are milliseconds since 1970."""

OUTCOMES: dict[tuple[Any, Any], int] = {("HIT", "LOCAL"): 1, ("HIT", "REMOTE"): 6, ("MISS", None): 10}
"""The events a client sends for a task, as the bits of `kinds`: LOCAL MISS and REMOTE HIT make 6, and so on."""

_FORCE = re.compile(r"(^|\s)--force(=true)?(\s|$)")


def shows(head: bytes) -> bool:
    """Tell whether a file's first bytes are of a summary; a dry run (`--dry=json`) looks the same.

    >>> shows(b'{"id": "3MUc", "version": "1", "turboVersion": "2.11.11", "tasks": []}')
    True
    """
    return head.lstrip()[:1] == b"{" and all(key in head for key in _KEYS) and b'"sessionId"' not in head


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
        "exit_code": _number(execution, "exitCode"),
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
        "exit_code": _number(execution, "exitCode"),
    }


def _text(fields: dict[str, Any], key: str, *, required: bool = False) -> str | None:
    """Return a text; None where it is empty or not there."""
    value = fields.get(key) or None
    if not isinstance(value, str) and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(fields.get(key))[:40]}, where a text is expected")
    return value


def _number(fields: dict[str, Any], key: str, *, required: bool = False) -> Any:
    """Return a number; None where it is not there."""
    value = fields.get(key)
    sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST
    if not sound and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(value)[:40]}, where a number is expected")
    return value
