"""The formats of an event log, one entry each. A new one is a file beside this and a line here."""

from dataclasses import dataclass

from analyzer.readers import array, batches, delimited, har, requests
from analyzer.readers.item import Items


@dataclass(frozen=True, slots=True)
class Format:
    """A format: how it is called, what it is, and its reader; None where DuckDB reads it in the archive."""

    name: str
    description: str
    items: Items | None


FORMATS = {
    format_.name: format_
    for format_ in (
        Format("ndjson", "an event a line", None),
        Format("batches", "a JSON array of events a line", batches.items),
        Format("array", "one JSON array of events", array.items),
        Format("requests", "a request a line, events in its body", requests.items),
        Format("har", "HAR 1.2", har.items),
        Format("csv", "CSV with a header line", delimited.reader(",")),
        Format("tsv", "TSV with a header line", delimited.reader("\t")),
        Format("parquet", "Parquet", None),
    )
}
