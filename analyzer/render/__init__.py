"""Writes reports in the output formats; no format knows a measure by name.

A new format is a function and an entry in `OUTPUTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from analyzer.questions.report import Report
from analyzer.render import data, html, markdown, table


@dataclass(frozen=True, slots=True)
class Output:
    """An output format: its name, the file suffixes that select it, and its writer."""

    name: str
    suffixes: tuple[str, ...]
    write: Callable[[Report, BinaryIO], None]
    # Whether a terminal cannot display it.
    binary: bool = False
    # The packages that the writer needs from the extra `report`.
    packages: tuple[str, ...] = ()


OUTPUTS = {
    output.name: output
    for output in (
        Output("table", (".txt",), table.write_table),
        Output("markdown", (".md",), markdown.write_markdown),
        Output("html", (".html", ".htm"), html.write_html, packages=("jinja2", "vl_convert")),
        Output("csv", (".csv",), data.write_csv),
        Output("json", (".json",), data.write_json),
        Output("ndjson", (".ndjson", ".jsonl"), data.write_ndjson),
        Output("parquet", (".parquet",), data.write_parquet, binary=True),
    )
}
