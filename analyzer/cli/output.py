"""The options of the output, the same in every command, and the one place that writes a report."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli import say
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.render.formats import Output
    from analyzer.report.report import Report

DISTRIBUTION = "cache-event-analyzer"
NAMES = ("table", "markdown", "html", "csv", "json", "ndjson", "parquet")


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format, -o and --force; the command gets `format_name`, `output` and `force`."""
    for option in (
        click.option("--force", is_flag=True, help="Overwrite the files of -o and --rejects."),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write here; the suffix says the format.",
        ),
        click.option(
            "--format", "format_name", type=click.Choice(NAMES), help="Default: table, or by the suffix of -o."
        ),
    ):
        function = option(function)
    return function


def check(
    format_name: str | None, output: Path | None, rejects: Path | None, *, force: bool, default: str = "table"
) -> "Output":
    """Find the format, and refuse what cannot be written, before any work is done.

    Raises:
        UsageError: the file is there already, or its suffix says no format.
    """
    from analyzer.render.formats import OUTPUTS  # noqa: PLC0415

    for path in filter(None, (output, rejects)):
        if path.exists() and path.is_file() and not force:
            raise UsageError(f"{path}: exists already; --force overwrites it, or name another file")
        if not path.parent.is_dir():
            raise UsageError(f"{path}: there is no directory {path.parent}; make it, or name another file")
    by_suffix = next((name for name, one in OUTPUTS.items() if output and output.suffix in one.suffixes), None)
    if output and not format_name and not by_suffix:
        raise UsageError(
            f"{output}: no format has the suffix {output.suffix!r}; say one with --format {'|'.join(NAMES)}"
        )
    found = OUTPUTS[format_name or by_suffix or default]
    if found.binary and not output and sys.stdout.isatty():
        raise UsageError(f"--format {found.name} is not for a terminal; write it to a file with -o")
    if any(find_spec(package) is None for package in found.packages):
        raise UsageError(f"--format {found.name}: install what draws charts: pip install '{DISTRIBUTION}[report]'")
    return found


def write(report: "Report", found: "Output", output: Path | None) -> None:
    """Write the report to the file, or to stdout; its notes to stderr."""
    if output:
        _write_file(report, found, output.resolve())
    else:
        _print(report, found)
    for text in report.notes:
        say.note(text)
    count = report.accounting
    if count.read != count.kept:
        say.note(
            f"{count.read:,} events read = {count.kept:,} kept + {count.rejected:,} rejected"
            f" + {count.filtered:,} filtered + {count.duplicate:,} duplicate"
        )


def _print(report: "Report", found: "Output") -> None:
    """Write to stdout; where nobody reads on, stop without a word, also when Python flushes at the end."""
    if sys.stdout is None:  # closed from the start
        return
    try:
        found.write(report, sys.stdout.buffer)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # rich makes a SystemExit of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_file(report: "Report", found: "Output", path: Path) -> None:
    """Write a file under another name first: what stands there stays until it is whole."""
    unfinished = path if path.exists() and not path.is_file() else path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as file:
            found.write(report, file)
    except BaseException:
        if unfinished != path:
            unfinished.unlink(missing_ok=True)
        raise
    if unfinished != path:
        unfinished.replace(path)
