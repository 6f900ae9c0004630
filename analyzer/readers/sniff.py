"""What format a file's first bytes show, whatever its name."""

import csv
import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from analyzer.readers.formats import document_of
from analyzer.readers.har import ENTRIES
from analyzer.readers.item import lines
from analyzer.readers.requests import BODY_KEYS

HEAD_BYTES = 1 << 20
LINES_LOOKED_AT = 50
_EMPTY = re.compile(r"\[\s*\]")
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
    if b"\0" in head.split(b"\n", 1)[0] and not head.lstrip().startswith((b"{", b"[")):
        return None
    every = [line.strip() for _, line in islice(lines([head]), LINES_LOOKED_AT)]
    if not every:
        return "ndjson"
    text = [line for line in every if not _EMPTY.fullmatch(line)]
    if not text or _EMPTY.fullmatch("".join(every)):
        return "batches" if "[" not in every else "array"
    found = [_of_line(line, renamed) for line in text]
    if text[0].startswith("["):
        return _of_arrays(text, found, renamed)
    if found[0] == "ndjson" and text[0] != every[0]:
        return "batches"
    return next(filter(None, found), None) or _of_start(text, renamed) or _of_head(head)


def _of_arrays(text: list[str], found: list[str | None], renamed: Mapping[str, str]) -> str | None:
    """Tell batches, an array a line, from arrays over several lines; the last line may be cut off."""
    is_spread = any(line[0] in '"]},' or line.endswith((",", "[")) for line in text[:-1] or text)
    return "batches" if "batches" in found and not is_spread else _of_start(text, renamed)


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
    start = text[0]
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
