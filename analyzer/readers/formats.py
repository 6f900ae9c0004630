"""The formats of an event log, one entry each. A new one is a file beside this and a line here."""

import csv
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from analyzer.readers import array, delimited, documents, har, requests
from analyzer.readers.documents import DocumentReader
from analyzer.readers.har import ENTRIES
from analyzer.readers.item import ItemReader, decoded_lines
from analyzer.readers.requests import BODY_KEYS


@dataclass(frozen=True, slots=True)
class Format:
    """A format: how it is called, what it is, and its reader.

    `items` gives events; it is None where DuckDB reads them in the archive. Where the file `is_one_value`, that reader
    knows where it is cut off; the others are cut off in a line. `document` is there where the file is one document that
    holds no events, and `shows` knows it by its first bytes.
    """

    name: str
    description: str
    items: ItemReader | None
    document: DocumentReader | None = None
    shows: Callable[[bytes], bool] | None = None
    is_one_value: bool = False
    hides_cuts: bool = False
    """Whether what is left of an item that is cut off looks like a whole one."""


FORMATS = {
    format_.name: format_
    for format_ in (
        Format("ndjson", "an event a line", None),
        Format("batches", "a JSON array of events a line", array.read_batches),
        Format("array", "one JSON array of events", array.read_array, is_one_value=True),
        Format("requests", "a request a line, events in its body", requests.read_requests),
        Format("har", "HAR 1.2", har.read_har, is_one_value=True),
        Format("csv", "CSV with a header line", delimited.reader(","), hides_cuts=True),
        Format("tsv", "TSV with a header line", delimited.reader("\t"), hides_cuts=True),
        Format("parquet", "Parquet", None),
        Format("runs", "a run summary of turbo", None, documents.read_run_summary, documents.is_run_summary),
        Format(
            "metadata",
            "metadata of a cached artifact",
            None,
            documents.read_artifact_metadata,
            documents.is_artifact_metadata,
        ),
    )
}

DOCUMENT_FORMATS = tuple(one.name for one in FORMATS.values() if one.document)
"""The formats that hold no events."""


def document_format(head: bytes) -> str | None:
    """Name the format of a document that holds no events; None where the file is none."""
    return next((one.name for one in FORMATS.values() if one.shows and one.shows(head)), None)


HEAD_BYTES = 1 << 20
DETECTION_LINES = 50
_EMPTY_ARRAY = re.compile(r"\[\s*\]")
EVENT_KEYS = frozenset({"sessionId", "hash", "source", "event"})


def detect_format(head: bytes, renamed: Mapping[str, str]) -> str | None:
    """Name the format of a log by its first plain bytes; None where it is no event log.

    `renamed` gives the schema's name of a column that the file names otherwise.

    >>> sniff(b'[{"sessionId": "s", "source": "LOCAL", "event": "HIT", "hash": "h"}]', {})
    'batches'
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    document = document_format(head)
    if document:
        return document
    if b"\0" in head.split(b"\n", 1)[0] and not head.lstrip().startswith((b"{", b"[")):
        return None
    every = [line.strip() for _, line in islice(decoded_lines([head]), DETECTION_LINES)]
    if not every:
        return "ndjson"
    text = [line for line in every if not _EMPTY_ARRAY.fullmatch(line)]
    if not text or _EMPTY_ARRAY.fullmatch("".join(every)):
        return "batches" if "[" not in every else "array"
    found = [_format_of_line(line, renamed) for line in text]
    if text[0].startswith("["):
        return _format_of_arrays(text, found, renamed)
    if found[0] == "ndjson" and text[0] != every[0]:
        return "batches"
    return next(filter(None, found), None) or _format_of_start(text, renamed) or _format_of_head(head)


def _format_of_arrays(text: list[str], found: list[str | None], renamed: Mapping[str, str]) -> str | None:
    """Tell batches, an array a line, from arrays over several lines; the last line may be cut off."""
    is_spread = any(line[0] in '"]},' or line.endswith((",", "[")) for line in text[:-1] or text)
    return "batches" if "batches" in found and not is_spread else _format_of_start(text, renamed)


def _format_of_line(line: str, renamed: Mapping[str, str]) -> str | None:
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


def _format_of_start(text: list[str], renamed: Mapping[str, str]) -> str | None:
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


def _format_of_head(head: bytes) -> str | None:
    """Look at a JSON document, or at a line, that is longer than the head."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text.startswith("{"):
        return None
    if '"log"' in text and ENTRIES.search(text):
        return "har"
    return "requests" if "\n" not in text.rstrip() and any(f'"{key}"' in text for key in BODY_KEYS) else None
