"""turbo's run summaries, `.turbo/runs/<id>.json`: what `turbo run … --summarize` writes of every task of a run.

Every version since 1.10 is read. A summary says how a task was answered, not whether it was asked with `--force`: that
stands in the command where a version writes it there, and nowhere else.
"""

import re
from typing import Any

from analyzer.errors import UnreadableError
from analyzer.readers.document import session_of

_KEYS = (b'"turboVersion"', b'"tasks"')

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
        if not execution:
            return None
        scm = found.get("scm") or {}
        run = found.get("id") or f"{execution['startTime']}"
        return {
            "run": run,
            "session": session_of(run),
            "version": found.get("turboVersion"),
            "command": execution.get("command") or None,
            "branch": scm.get("branch") or None,
            "sha": scm.get("sha") or None,
            "user": found.get("user") or None,
            "started_ms": execution["startTime"],
            "ended_ms": execution["endTime"],
            "exit_code": execution.get("exitCode"),
            "forced": bool(_FORCE.search(execution.get("command") or "")),
            "attempted": execution.get("attempted"),
            "tasks": [_task(task) for task in found["tasks"] or () if task.get("hash")],
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise UnreadableError(f"no run summary that is known ({type(error).__name__}: {error})") from None


def _task(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task. One that did not run, as an earlier one failed, has neither outcome nor times."""
    cache, execution = task.get("cache") or {}, task.get("execution") or {}
    key = (cache.get("status"), cache.get("source") if cache.get("status") == "HIT" else None)
    kinds = OUTCOMES.get(key)
    return {
        "task": task.get("task") or task["taskId"].rpartition("#")[2],
        "package": task.get("package") or None,
        "hash": task["hash"],
        "kinds": kinds if execution else None,
        "time_saved_ms": cache.get("timeSaved") or None,
        "execution_ms": _length(execution) if kinds == OUTCOMES["MISS", None] else None,
        "cacheable": (task.get("resolvedTaskDefinition") or {}).get("cache") is not False,
        "exit_code": execution.get("exitCode"),
    }


def _length(execution: dict[str, Any]) -> float | None:
    start, end = execution.get("startTime"), execution.get("endTime")
    return (end - start) or None if start and end else None  # a stopped task may end as it starts
