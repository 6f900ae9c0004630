"""The output formats, one entry each. A new one is a function and a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from analyzer.questions.report import Report
from analyzer.render import data, html, markdown, table


@dataclass(frozen=True, slots=True)
class Output:
    """A format: how it is called, the suffixes that mean it, whether it is bytes no terminal shows, its writer."""

    name: str
    suffixes: tuple[str, ...]
    write: Callable[[Report, BinaryIO], None]
    binary: bool = False
    packages: tuple[str, ...] = ()
    """Packages of the extra `report` that the writer needs."""


OUTPUTS = {
    output.name: output
    for output in (
        Output("table", (".txt",), table.write_table),
        Output("markdown", (".md",), markdown.write_markdown),
        Output("html", (".html", ".htm"), html.write_html, packages=("altair", "jinja2", "vl_convert")),
        Output("csv", (".csv",), data.write_csv),
        Output("json", (".json",), data.write_json),
        Output("ndjson", (".ndjson", ".jsonl"), data.write_ndjson),
        Output("parquet", (".parquet",), data.write_parquet, binary=True),
    )
}
