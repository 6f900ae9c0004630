"""The output options, and the one place that writes a report: to stdout or a file, with its notes on stderr."""

import errno
import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli import console
from analyzer.cli.files import atomic_write, require_writable
from analyzer.cli.options import Decorator, option_group, titled_option
from analyzer.cli.source import SourceOptions
from analyzer.errors import Message, UsageError

if TYPE_CHECKING:
    from analyzer.questions.report import Report
    from analyzer.render import Output
    from analyzer.table import Table

INSTALL_REPORT = "pip install 'cache-event-analyzer[report]' (from a checkout: pip install -e '.[report]')"
FORMAT_NAMES = ("table", "markdown", "html", "csv", "json", "ndjson", "parquet")

_option = titled_option("Output")
_DESTINATION = (
    _option(
        "-o", "--output", "output_path", type=click.Path(path_type=Path, dir_okay=False),
        help="Write to this file; its suffix gives the format.",
    ),
    _option("--force", is_flag=True, help="Overwrite files that exist, such as that of -o."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """The format of a report and its file; without a path, stdout."""

    format: "Output"
    path: Path | None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The output options of a command line; `default` is the format where neither --format nor -o gives one."""

    format_name: str | None
    output_path: Path | None
    force: bool
    default: str

    @property
    def format(self) -> "Output":
        """The output format.

        Raises:
            UsageError: no format has the suffix of the file.
        """
        return _output_format(self.format_name, self.output_path, self.default)

    def target(self, inputs: SourceOptions | None = None, *in_use: Path, also: Path | None = None) -> Target:
        """Return format and file, before any work is done.

        `in_use` are other files that the command reads or writes. `also` is one more that it was asked to write.

        Raises:
            UsageError: a file exists or is in use, the format is unknown, or its packages are not installed.
        """
        paths = [path for path in (self.output_path, inputs and inputs.rejects, also) if path]
        is_source = inputs.includes if inputs else lambda _path: False
        require_writable(paths, is_source, in_use, force=self.force)
        output = self.format
        if output.binary and not self.output_path and sys.stdout.isatty():
            raise UsageError(f"--format {output.name} is binary; write it to a file with -o")
        if any(find_spec(package) is None for package in output.packages):
            raise UsageError(f"--format {output.name}: the packages that draw charts are missing; {INSTALL_REPORT}")
        return Target(output, self.output_path)


def output_options_with(default: str) -> Decorator:
    """Return a decorator that adds --format, -o and --force; the command gets one argument `output`."""
    help_text = f"Default: {default}, or by the suffix of -o."
    options = (_option("--format", "format_name", type=click.Choice(FORMAT_NAMES), help=help_text), *_DESTINATION)
    return option_group(
        "output", options, ["format_name", "output_path", "force"], partial(OutputOptions, default=default)
    )


output_options = output_options_with(default="table")


def _output_format(name: str | None, path: Path | None, default: str) -> "Output":
    from analyzer.render import OUTPUTS  # noqa: PLC0415

    by_suffix = next((name for name, output in OUTPUTS.items() if path and path.suffix in output.suffixes), None)
    if path and not name and not by_suffix:
        formats = "|".join(FORMAT_NAMES)
        raise UsageError(f"{path}: no format has the suffix {path.suffix!r}; choose one with --format {formats}")
    return OUTPUTS[name or by_suffix or default]


def write(report: "Report", target: Target) -> None:
    """Write a report to its file or to stdout, and its notes to stderr."""
    from analyzer.questions.verdicts import with_verdict  # noqa: PLC0415

    report = with_verdict(_spell_options(report))
    if target.path:
        with atomic_write(target.path) as file:
            target.format.write(report, file)
    else:
        _print(report, target.format)
    for text in report.notes:
        console.note(text)
    counts = report.accounting
    if counts.read != counts.kept:
        console.note(
            f"{counts.read:,} events read = {counts.kept:,} kept + {counts.rejected:,} rejected"
            f" + {counts.filtered:,} filtered + {counts.duplicate:,} duplicate"
        )


def _spell_options(report: "Report") -> "Report":
    """Return the report with the options in its notes and cells spelled as on the command line."""
    tables = [_spell_cells(table) for table in report.tables]
    primary = tables[list(report.tables).index(report.primary)]
    notes = [console.spell_options(note) for note in report.notes]
    return replace(report, tables=tables, primary=primary, notes=notes)


def _spell_cells(table: "Table") -> "Table":
    # A query streams its rows, which hold no messages. Elsewhere a column has messages in every row or in none.
    if table.from_user_sql or not any(isinstance(cell, Message) for row in table.rows[:1] for cell in row):
        return table
    return replace(table, rows=[tuple(map(console.spell_options, row)) for row in table.rows])


def _print(report: "Report", output: "Output") -> None:
    if getattr(sys.stdout.buffer, "name", None) == os.devnull:  # see console.reopen_closed_streams
        raise OSError(errno.EBADF, "it is closed; write to a file with -o", "standard output")
    try:
        output.write(report, sys.stdout.buffer)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # rich turns a broken pipe into SystemExit
        # The reader, such as `head`, has enough. Python would fail again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
