"""Lists the input formats, and detects the format of a file by its beginning.

To add a format, write a module with its reader, and add an entry to `FORMATS` with a function that recognises it.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any, Literal

from analyzer.readers import access, array, delimited, documents, har, requests, wrapped
from analyzer.readers.item import BOM, ItemReader, close_cut_json, decoded_lines, parse_strictly, value_end

HEAD_BYTES = 1 << 20  # decompressed; enough for detection
MAX_LINES = 50  # of the head, that detection looks at
EVENT_KEYS = frozenset({"sessionId", "hash", "source", "event"})
_EMPTY_ARRAY = re.compile(r"\[\s*\]")
_ARRAY_START = re.compile(r"\[(?!\w+[/\]:])")  # not a prefix such as `[pod/cache/nginx]`
_FLAT_OBJECT = re.compile(rb"\s*\{[^{}]*\}\s*")
_RUN_SUMMARY_KEYS = (b'"execution"', b'"globalCacheInputs"', b'"tasks"')


class Sample:
    """The first bytes of a file. What is derived from them is computed when a format first asks for it.

    `renamed` gives the schema's name of each column that the file names differently.
    """

    def __init__(self, head: bytes, renamed: Mapping[str, str]) -> None:
        self.head, self.renamed = head, renamed

    @cached_property
    def is_binary(self) -> bool:
        """Whether the first line contains a NUL byte; JSON with one is still read, and the line rejected."""
        return b"\0" in self.head.split(b"\n", 1)[0] and not self.head.lstrip().startswith((b"{", b"["))

    @cached_property
    def text(self) -> str:
        """The decoded head without leading white space; empty for a binary file."""
        return "" if self.is_binary else self.head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are not blank; none for a binary file."""
        lines = () if self.is_binary else islice(decoded_lines([self.head]), MAX_LINES)
        return [line.strip() for _, line in lines]

    @cached_property
    def content(self) -> list[str]:
        """The `lines` that are not an empty array."""
        return [line for line in self.lines if not _EMPTY_ARRAY.fullmatch(line)]

    @property
    def only_empty_arrays(self) -> bool:
        """Whether there are arrays, but nothing in them."""
        return bool(self.lines) and (not self.content or bool(_EMPTY_ARRAY.fullmatch("".join(self.lines))))

    @property
    def starts_with_array(self) -> bool:
        """Whether an array begins in the first line that is not an empty array."""
        return bool(self.content) and _ARRAY_START.match(self.content[0]) is not None

    @cached_property
    def records(self) -> list[Any]:
        """For each line of `content`, its JSON value if that is an event or contains events, else None."""
        return [self._parse_record(line) for line in self.content]

    @property
    def first_record(self) -> Any:
        """The first of `records`: it decides between the formats that have one JSON value per line."""
        return next(filter(None, self.records), None)

    def is_event(self, value: Any) -> bool:
        """Return whether a JSON value is an object with at least two of the keys that every event has."""
        return isinstance(value, dict) and len(EVENT_KEYS & {self.renamed.get(key, key) for key in value}) > 1

    def _parse_record(self, line: str) -> Any:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, list):
            return value if any(map(self.is_event, value)) else None
        # In a file that starts with an array, an object on a line of its own is an item of that array.
        is_record = _is_request(value) or _is_har_document(value) or self.is_event(value)
        return value if is_record and not self.starts_with_array else None


def _is_request(value: Any) -> bool:
    return isinstance(value, dict) and requests.has_body(value)


def _is_har_document(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("log"), dict) and "entries" in value["log"]


def _is_run_summary(sample: Sample) -> bool:
    # The output of a dry run (`--dry=json`) matches too; its reader skips it.
    is_json = sample.head.removeprefix(BOM).lstrip().startswith((b"{", b"["))
    return is_json and b'"turboVersion"' in sample.head and any(key in sample.head for key in _RUN_SUMMARY_KEYS)


def _is_artifact_metadata(sample: Sample) -> bool:
    of_events = (b'"sessionId"', b'"source"', b'"event"')
    has_keys = b'"hash"' in sample.head and b'"duration"' in sample.head
    is_event = any(key in sample.head for key in of_events)
    return has_keys and not is_event and _FLAT_OBJECT.fullmatch(sample.head) is not None


def _is_delimited(delimiter: str, sample: Sample) -> bool:
    if sample.first_record is not None or not sample.content or sample.content[0].startswith(("[", "{")):
        return False
    try:
        header = next(csv.reader(sample.content[:1], delimiter=delimiter), [])
    except csv.Error:
        return False
    return {sample.renamed.get(name, name) for name in header} >= {"sessionId", "hash"}


def _is_har(sample: Sample) -> bool:
    if sample.first_record is not None and not har.HAR_START.match(sample.text):
        return _is_har_document(sample.first_record)
    # A document that spans lines, is longer than the head, or is followed by other text.
    return sample.text.startswith("{") and '"log"' in sample.text and bool(har.ENTRIES.search(sample.text))


def _is_request_log(sample: Sample) -> bool:
    if sample.first_record is not None:
        return _is_request(sample.first_record)
    # The first request may be longer than the head.
    if not sample.text.startswith("{") or "\n" in sample.text.rstrip():
        return False
    with suppress(ValueError):
        return _is_request(parse_strictly(sample.text[: value_end(sample.text, 0)]))
    with suppress(ValueError):
        return _is_request(close_cut_json(sample.text, keep_last=True))
    return any(f'"{key}"' in sample.text for key in requests.BODY_KEYS)


def _is_batches(sample: Sample) -> bool:
    if sample.only_empty_arrays:
        return "[" not in sample.lines  # an array that spans lines is the format `array`
    if isinstance(sample.first_record, list):
        return not (sample.starts_with_array and _spans_lines(sample.content))
    # Lines of single events after empty arrays: the reader of batches accepts both.
    return bool(sample.records) and sample.records[0] is not None and sample.content[0] != sample.lines[0]


def _spans_lines(lines: list[str]) -> bool:
    # The last line may be cut off, and proves nothing.
    return any(line.startswith(('"', "]", "}", ",")) or line.endswith((",", "[")) for line in lines[:-1] or lines)


def _is_array(sample: Sample) -> bool:
    keys = {*EVENT_KEYS, *sample.renamed}
    if sample.text.startswith("["):
        with suppress(ValueError):  # entries with events inside of them have the keys too, but not as their own
            items = parse_strictly(sample.text) if sample.text.endswith("]") else close_cut_json(sample.text)
            if items and all(isinstance(item, dict) for item in items):
                return any(keys & item.keys() for item in items)
    has_key = sample.starts_with_array and any(f'"{key}"' in line for line in sample.content for key in keys)
    return sample.only_empty_arrays or has_key


def _is_ndjson(sample: Sample) -> bool:
    # An empty file is a log without events; several formats would do.
    return not sample.head.strip() or sample.is_event(sample.first_record)


def _is_access_log(sample: Sample) -> bool:
    return sample.first_record is None and access.has_artifact_requests(sample.lines)


@dataclass(frozen=True, slots=True)
class Format:
    """Everything the package knows about an input format. One of `items`, `duckdb` and `document` reads it."""

    name: str  # by which the user can force the format
    content: str  # what a line or document of it is, in Markdown
    matches: Callable[[Sample], bool]  # whether a file has this format, provided that no earlier entry matches
    items: ItemReader | None = None  # reads a log of events in Python
    duckdb: Literal["ndjson", "parquet"] | None = None  # how DuckDB reads a log of events itself
    delimiter: str = ""  # of the fields of a line; DuckDB reads such a log itself if every line is a row
    document: documents.DocumentReader | None = None  # reads one JSON document that holds no events
    reports_cuts: bool = False  # its reader notices that a file is cut off; elsewhere a missing last line end shows it
    has_context: bool = False  # the time, team and CI of events stand around them, in the request that reported them
    is_derived: bool = False  # no client reported its events: they follow from requests for artifacts
    in_arrival_order: bool = False  # events are in the order in which the server received them
    hides_cuts: bool = False  # an item that is cut off can look complete, like a number without its last digits


# Detection takes the first entry that matches: formats with a signature first, then those that look at single lines.
# CSV precedes the JSON formats because it only matches where no line is a JSON record.
FORMATS = {
    entry.name: entry
    for entry in (
        Format("parquet", "Parquet with the columns of `ndjson`", lambda sample: sample.head.startswith(b"PAR1"),
               duckdb="parquet"),
        Format("runs", "run summaries that `turbo run … --summarize` writes to `.turbo/runs/*.json`, of turbo 1.9.9 and"
               " later; also several in a file, as lines or in an array", _is_run_summary,
               document=documents.read_run_summary),
        Format("metadata", "`HASH-meta.json` of turbo's local cache, which says how long the task took",
               _is_artifact_metadata, document=documents.read_artifact_metadata),
        Format("csv", "CSV with a header that has the columns of `ndjson`", partial(_is_delimited, ","),
               delimited.reader(","), delimiter=",", hides_cuts=True),
        Format("ssv", "the same, separated by semicolons", partial(_is_delimited, ";"), delimited.reader(";"),
               delimiter=";", hides_cuts=True),
        Format("tsv", "the same, separated by tabs", partial(_is_delimited, "\t"), delimited.reader("\t"),
               delimiter="\t", hides_cuts=True),
        Format("har", "HAR 1.2; its POST requests to `…/artifacts/events` are read", _is_har, har.read_har,
               has_context=True, reports_cuts=True, in_arrival_order=True),
        Format("requests", "request log: a JSON object a line for each request, with the events in its body",
               _is_request_log, requests.read_requests, has_context=True, in_arrival_order=True),
        Format("batches", "a JSON array of events a line", _is_batches, array.read_batches),
        Format("array", "one JSON array of events for the whole file", _is_array, array.read_array, reports_cuts=True),
        Format("ndjson", "a JSON object a line for each event: the fields of the API, and those that a log adds",
               _is_ndjson, duckdb="ndjson"),
        Format("access", "access log with requests such as `GET /v8/artifacts/HASH`: the combined format of nginx and"
               " Apache, JSON lines as of `requests`, AWS ALB, CloudFront and IIS", _is_access_log, access.read_access,
               is_derived=True),
    )
}  # fmt: skip
FORMAT_NAMES = tuple(FORMATS)
IN_ARRIVAL_ORDER = tuple(entry.name for entry in FORMATS.values() if entry.in_arrival_order)
DERIVED_FORMATS = tuple(entry.name for entry in FORMATS.values() if entry.is_derived)
DERIVED_FORMATS_SQL = ", ".join(f"'{name}'" for name in DERIVED_FORMATS)
DOCUMENT_FORMATS = tuple(entry.name for entry in FORMATS.values() if entry.document)  # they hold no events


def find_wrapped(head: bytes) -> str | None:
    """Return the place at which a file that starts with `head` has another log in each line; None if there is none."""
    for place in wrapped.possible_places(head):
        unwrapped = b"".join(wrapped.Unwrapper(place).lines(iter([head])))
        if unwrapped.strip() and detect_format(unwrapped, {}):
            return place
    return None


def logged_keys(head: bytes) -> list[str]:
    """Return the keys of the first JSON object in a file that starts with `head`, as paths into inner objects.

    >>> logged_keys(b'{"at": 1, "request": {"method": "POST"}, "body": []}')
    ['at', 'request.method', 'body']
    """
    record = Sample(head, {}).first_record
    return list(_paths(record)) if isinstance(record, dict) else []


def _paths(fields: Mapping[str, Any]) -> Iterator[str]:
    for key, value in fields.items():
        inner = _paths(value) if isinstance(value, dict) and value else ()
        yield from (f"{key}.{path}" for path in inner) if inner else (key,)


def detect_format(head: bytes, renamed: Mapping[str, str]) -> str | None:
    """Return the name of the format of a file that starts with `head`, decompressed; None if it is not a log.

    `renamed` gives the schema's name of each column that the file names differently.

    >>> detect_format(b'[{"sessionId": "s", "source": "LOCAL", "event": "HIT", "hash": "h"}]', {})
    'batches'
    """
    sample = Sample(head, renamed)
    return next((entry.name for entry in FORMATS.values() if entry.matches(sample)), None)
