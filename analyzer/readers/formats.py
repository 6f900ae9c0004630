"""Lists the input formats. To add one, write its module and add an entry to `FORMATS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from analyzer.readers import array, delimited, documents, har, requests
from analyzer.readers.documents import DocumentReader
from analyzer.readers.item import ItemReader
from analyzer.readers.sample import Sample

HEAD_BYTES = 1 << 20  # decompressed; enough for detection


@dataclass(frozen=True, slots=True)
class Format:
    """Everything the package knows about an input format. One of `items`, `duckdb` and `document` reads it."""

    name: str  # by which the user can force the format
    description: str
    matches: Callable[[Sample], bool]  # whether a file has this format, provided that no earlier entry matches
    items: ItemReader | None = None  # reads a log of events in Python
    duckdb: Literal["ndjson", "parquet"] | None = None  # how DuckDB reads a log of events itself
    document: DocumentReader | None = None  # reads one JSON document that holds no events
    is_one_value: bool = False  # its reader reports that a file is cut off; elsewhere that shows in the last line
    hides_cuts: bool = False  # an item that is cut off can look complete, like a number without its last digits


def _is_parquet(sample: Sample) -> bool:
    return sample.head.startswith(b"PAR1")


def _is_ndjson(sample: Sample) -> bool:
    # An empty file is a log without events; several formats would do.
    return not sample.head.strip() or sample.is_event(sample.first_record)


# Detection takes the first entry that matches: formats with a signature first, then those that look at single lines.
# CSV precedes the JSON formats because it only matches where no line is a JSON record.
FORMATS = {
    entry.name: entry
    for entry in (
        Format("parquet", "Parquet", _is_parquet, duckdb="parquet"),
        Format("runs", "a run summary of turbo", documents.is_run_summary, document=documents.read_run_summary),
        Format(
            "metadata",
            "metadata of a cached artifact",
            documents.is_artifact_metadata,
            document=documents.read_artifact_metadata,
        ),
        Format("csv", "CSV with a header line", delimited.matcher(","), delimited.reader(","), hides_cuts=True),
        Format("tsv", "TSV with a header line", delimited.matcher("\t"), delimited.reader("\t"), hides_cuts=True),
        Format("har", "HAR 1.2", har.is_har_log, har.read_har, is_one_value=True),
        Format("requests", "a request per line, events in its body", requests.is_request_log, requests.read_requests),
        Format("batches", "a JSON array of events per line", array.is_batches, array.read_batches),
        Format("array", "one JSON array of events", array.is_array, array.read_array, is_one_value=True),
        Format("ndjson", "an event per line", _is_ndjson, duckdb="ndjson"),
    )
}

FORMAT_NAMES = tuple(FORMATS)

DOCUMENT_FORMATS = tuple(entry.name for entry in FORMATS.values() if entry.document)
"""Formats that hold no events."""


def detect_format(head: bytes, renamed: Mapping[str, str]) -> str | None:
    """Return the name of the format of a file that starts with `head`, decompressed; None if it is not a log.

    `renamed` gives the schema's name of each column that the file names differently.

    >>> detect_format(b'[{"sessionId": "s", "source": "LOCAL", "event": "HIT", "hash": "h"}]', {})
    'batches'
    """
    sample = Sample(head, renamed)
    return next((entry.name for entry in FORMATS.values() if entry.matches(sample)), None)


def document_format(head: bytes) -> str | None:
    """Return the name of the format if a file that starts with `head` is a document without events, else None."""
    sample = Sample(head)
    return next((name for name in DOCUMENT_FORMATS if FORMATS[name].matches(sample)), None)
