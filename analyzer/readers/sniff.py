"""What format a file's first bytes show, whatever its name."""

import csv
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from analyzer.readers.formats import document_of
from analyzer.readers.har import ENTRIES
from analyzer.readers.item import lines
from analyzer.readers.requests import BODY_KEYS

HEAD_BYTES = 1 << 20
LINES_LOOKED_AT = 50
EVENT_KEYS = frozenset({"sessionId", "hash", "source", "event"})


def sniff(head: bytes, renamed: Mapping[str, str]) -> str | None:
    """Name the format of a log by its first plain bytes; None where it is no event log.

    `renamed` gives the schema's name of a column that the file names otherwise.

    >>> sniff(b'[{"sessionId": "s", "source": "LOCAL", "event": "HIT", "hash": "h"}]', {})
    'batches'
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    document = document_of(head)
    if document:
        return document
    if b"\0" in head[:4096] and not head.lstrip().startswith((b"{", b"[")):
        return None
    text = [line for _, line in islice(lines([head]), LINES_LOOKED_AT)]
    if not text:
        return "ndjson"
    if all(line.strip() == "[]" for line in text):
        return "batches"
    found = [_of_line(line, renamed) for line in text]
    # A line of an array that is written an event a line looks like NDJSON; an array of its own is a batch.
    if text[0].lstrip().startswith("[") and "batches" not in found:
        return _of_start(text, renamed)
    return next(filter(None, found), None) or _of_start(text, renamed) or _of_head(head)


def _of_line(line: str, renamed: Mapping[str, str]) -> str | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list):
        return "batches" if any(_is_event(item, renamed) for item in value) else None
    if isinstance(value, dict) and isinstance(value.get("log"), dict) and "entries" in value["log"]:
        return "har"
    if isinstance(value, dict) and any(key in value for key in BODY_KEYS):
        return "requests"
    return "ndjson" if _is_event(value, renamed) else None


def _is_event(value: Any, renamed: Mapping[str, str]) -> bool:
    return isinstance(value, dict) and len(EVENT_KEYS & {renamed.get(key, key) for key in value}) > 1


def _of_start(text: list[str], renamed: Mapping[str, str]) -> str | None:
    start = text[0].lstrip()
    if start.startswith("["):
        return "array" if any(f'"{key}"' in line for line in text for key in (*EVENT_KEYS, *renamed)) else None
    if start.startswith("{"):
        return None
    return next((name for name, sign in (("csv", ","), ("tsv", "\t")) if _is_header(text[0], sign, renamed)), None)


def _is_header(line: str, delimiter: str, renamed: Mapping[str, str]) -> bool:
    try:
        header = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return False
    return {renamed.get(name, name) for name in header} >= {"sessionId", "hash"}


def _of_head(head: bytes) -> str | None:
    """Look at a JSON document, or at a line, that is longer than the head."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text.startswith("{"):
        return None
    if '"log"' in text and ENTRIES.search(text):
        return "har"
    return "requests" if "\n" not in text.rstrip() and any(f'"{key}"' in text for key in BODY_KEYS) else None
