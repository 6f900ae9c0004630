"""Reads files that are one JSON document without events: turbo's run summaries, and metadata of cached artifacts.

Readers raise UnreadableError for an unsupported document; the caller adds the name of the file.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

import msgspec

from analyzer.errors import UnreadableError
from analyzer.readers.array import Window
from analyzer.readers.item import parse_strictly
from analyzer.readers.run_inputs import MISSING, RawTask, Sets, global_set

# Returns the archive's row for the text of a document; None if the document records no run (a dry run).
DocumentReader = Callable[[bytes], dict[str, Any] | None]

RUN_NAMESPACE = uuid.UUID("3397a22a-0d9c-5c8f-8561-ee5181abb69a")  # the UUID of the URL https://turborepo.dev/runs
MAX_EPOCH_MS = 253_402_214_400_000  # the last day of the year 9999; bounds all numbers of a summary
MAX_DURATION_MS = 2.0**52
MAX_TASKS = 100_000  # of a run; more than any repository has
MAX_DOCUMENT_BYTES = 1 << 26  # of a file that is read as one document

# The archive's `kinds` of a task by its (status, source): the bits of the events that a client sends for it.
KINDS: dict[tuple[Any, Any], int] = {("HIT", "LOCAL"): 1, ("HIT", "REMOTE"): 6, ("MISS", None): 10}

_FORCE = re.compile(r"(^|\s)--force(=true)?(\s|$)")


class RawSummary(msgspec.Struct):
    """What is read of a run summary."""

    id: Any = None
    turboVersion: Any = None  # noqa: N815  (turbo's names)
    user: Any = None
    scm: dict[str, Any] | None = None
    execution: dict[str, Any] | None = None
    tasks: list[RawTask] | None = None
    globalCacheInputs: msgspec.Raw = MISSING  # noqa: N815
    executionSummary: Any = None  # noqa: N815  (of turbo 1.8, as is the next)
    globalHashSummary: Any = None  # noqa: N815


_decode_summary = msgspec.json.Decoder(RawSummary).decode


def read_documents(chunks: Iterator[bytes], read: DocumentReader) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield (line, row) of each JSON document of a file: one, several in a row, or an array of them.

    Raises:
        UnreadableError: the next document is not complete, too long, or not supported; those before were yielded.
    """
    head, size = list[bytes](), 0
    for chunk in chunks:
        head.append(chunk)
        size += len(chunk)
        if size > MAX_DOCUMENT_BYTES:
            break
    if size <= MAX_DOCUMENT_BYTES:
        # Nearly always the file is one document, or one in each line, which is read ten times as fast.
        whole = b"".join(head)
        for texts in ([whole], whole.split(b"\n")) if whole.lstrip().startswith(b"{") else ():
            with suppress(msgspec.MsgspecError, RecursionError):
                rows = [(line, read(text)) for line, text in enumerate(texts, start=1) if text.strip()]
                yield from rows
                return
    for line, text in _split_documents(chain(head, chunks)):
        yield line, read(text)


def _split_documents(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (line, text) of each document, as valid UTF-8."""
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
        yield line, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def read_run_summary(text: bytes) -> dict[str, Any] | None:
    """Return a run with its tasks; None for a dry run."""
    try:
        summary = _decode_summary(text)
    except msgspec.ValidationError as error:
        raise UnreadableError(f"not a supported run summary ({error})") from None
    if summary.executionSummary is not None or summary.globalHashSummary is not None:
        raise UnreadableError("a run summary of turbo 1.8, which is not read; turbo 1.9.9 or later is")
    try:
        return _run_row(summary, summary.execution) if summary.execution else None
    except (AttributeError, KeyError, TypeError) as error:
        raise UnreadableError(f"not a supported run summary ({type(error).__name__}: {error})") from None


def _run_row(summary: RawSummary, execution: dict[str, Any]) -> dict[str, Any]:
    scm, command = summary.scm or {}, _text(execution, "command")
    head = {"id": summary.id, "turboVersion": summary.turboVersion, "user": summary.user}
    run = _text(head, "id") or f"{execution['startTime']}"
    if summary.tasks is None:
        raise KeyError("tasks")
    attempted = _number(execution, "attempted") or 0
    if type(attempted) is not int or attempted > MAX_TASKS:
        raise TypeError(f"attempted is {attempted}, expected a number of tasks")
    number, sets = global_set(summary.globalCacheInputs)
    return {
        "run": run,
        "session": str(uuid.uuid5(RUN_NAMESPACE, run)),  # stands for the unknown session, the same on every machine
        "version": _text(head, "turboVersion"),
        "command": command,
        "branch": _text(scm, "branch"),
        "sha": _text(scm, "sha"),
        "user": _text(head, "user"),
        "started_ms": _number(execution, "startTime", required=True),
        "ended_ms": _number(execution, "endTime", required=True),
        "exit_code": _exit_code(execution),
        "forced": bool(_FORCE.search(command or "")),
        # A run that is cut short lists only the tasks that it started.
        "unlisted": max(attempted - sum(bool(task.execution) for task in summary.tasks), 0),
        "global_set": number,
        "tasks": [_task_row(task, sets) for task in summary.tasks],
        "sets": sets,
    }


def _task_row(task: RawTask, sets: Sets) -> dict[str, Any]:
    """Return a task, and add its inputs to `sets`.

    If it did not run because an earlier one failed, it has neither `kinds` nor times.
    """
    cache, execution = task.cache or {}, task.execution or {}
    status = cache.get("status")
    kinds = KINDS.get((status, cache.get("source") if status == "HIT" else None)) if execution else None
    start, end = _number(execution, "startTime"), _number(execution, "endTime")
    # The execution of a hit is the restore of its outputs, not the task.
    was_executed = status == "MISS" and start and end
    fields = msgspec.structs.asdict(task)
    name = _text(fields, "task") or task.taskId.rpartition("#")[2]
    files_set, settings_set, task_sets = task.sets(name)
    sets.update(task_sets)
    return {
        "task": name,
        "package": _text(fields, "package") or _text({"of": str(task.taskId).rpartition("#")[0]}, "of"),
        "hash": _text(fields, "hash", required=True),
        "kinds": kinds,
        "time_saved_ms": _number(cache, "timeSaved") or None,
        "execution_ms": (end - start) or None if was_executed else None,  # an interrupted task may end when it starts
        "cacheable": task.is_cacheable(),
        "exit_code": _exit_code(execution),
        "files_set": files_set,
        "settings_set": settings_set,
    }


def _text(fields: Mapping[str, Any], key: str, *, required: bool = False) -> str | None:
    """Return a string as valid UTF-8; None if it is absent or empty."""
    value = fields.get(key) or None
    if not isinstance(value, str) and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(fields.get(key))[:40]}, expected a string")
    return value and value.encode("utf-8", "replace").decode()


def _number(fields: Mapping[str, Any], key: str, *, required: bool = False) -> Any:
    """Return a number; None if it is absent."""
    value = fields.get(key)
    is_valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAX_EPOCH_MS
    if not is_valid and (required or value is not None):
        raise TypeError(f"{key} is {json.dumps(value)[:40]}, expected a number")
    return value


def _exit_code(execution: Mapping[str, Any]) -> int | None:
    """Return the exit code; on Windows it may be negative, or need more than 31 bits."""
    value = execution.get("exitCode")
    return value if type(value) is int and abs(value) < MAX_EPOCH_MS else None


def read_artifact_metadata(text: bytes) -> dict[str, Any]:
    """Return the hash and duration of an artifact; a duration of 0 means unknown."""
    document = msgspec.json.decode(text)
    fields = document if isinstance(document, dict) else {}
    artifact: Any = fields.get("hash")
    duration_ms: Any = fields.get("duration")
    is_number = isinstance(duration_ms, int | float) and not isinstance(duration_ms, bool)
    if not (isinstance(artifact, str) and is_number and abs(duration_ms) < MAX_DURATION_MS):
        raise UnreadableError("not the metadata of an artifact: expected hash as a string and duration as a number")
    return {"hash": artifact.encode("utf-8", "replace").decode(), "duration_ms": duration_ms}
