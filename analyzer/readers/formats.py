"""The formats of an event log, one entry each. A new one is a file beside this and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

from analyzer.readers import array, batches, delimited, har, metadata, requests, summary
from analyzer.readers.document import Document
from analyzer.readers.item import Items


@dataclass(frozen=True, slots=True)
class Format:
    """A format: how it is called, what it is, and its reader.

    `items` gives events; it is None where DuckDB reads them in the archive. Where the file `is_one_value`, that reader
    knows where it is cut off; the others are cut off in a line. `document` is there where the file is one document that
    holds no events, and `shows` knows it by its first bytes.
    """

    name: str
    description: str
    items: Items | None
    document: Document | None = None
    shows: Callable[[bytes], bool] | None = None
    is_one_value: bool = False
    hides_cuts: bool = False
    """Whether what is left of an item that is cut off looks like a whole one."""


FORMATS = {
    format_.name: format_
    for format_ in (
        Format("ndjson", "an event a line", None),
        Format("batches", "a JSON array of events a line", batches.items),
        Format("array", "one JSON array of events", array.items, is_one_value=True),
        Format("requests", "a request a line, events in its body", requests.items),
        Format("har", "HAR 1.2", har.items, is_one_value=True),
        Format("csv", "CSV with a header line", delimited.reader(","), hides_cuts=True),
        Format("tsv", "TSV with a header line", delimited.reader("\t"), hides_cuts=True),
        Format("parquet", "Parquet", None),
        Format("runs", "a run summary of turbo", None, summary.document, summary.shows),
        Format("metadata", "metadata of a cached artifact", None, metadata.document, metadata.shows),
    )
}

DOCUMENTS = tuple(one.name for one in FORMATS.values() if one.document)
"""The formats that hold no events."""


def document_of(head: bytes) -> str | None:
    """Name the format of a document that holds no events; None where the file is none."""
    return next((one.name for one in FORMATS.values() if one.shows and one.shows(head)), None)
