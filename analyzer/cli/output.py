"""The options of the output, the same in every command, and the one place that writes a report."""

import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli import say
from analyzer.cli.files import require_writable, whole
from analyzer.cli.options import Decorator, gathered, under
from analyzer.cli.spelling import spelled
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.cli.source import SourceOptions
    from analyzer.render.formats import Output
    from analyzer.report.report import Report

INSTALL = "pip install 'cache-event-analyzer[report]' (from a checkout: pip install -e '.[report]')"
NAMES = ("table", "markdown", "html", "csv", "json", "ndjson", "parquet")


_option = under("Output")
_PLACE = (
    _option(
        "-o",
        "--output",
        "output_path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write here; the suffix says the format.",
    ),
    _option("--force", is_flag=True, help="Overwrite the files of -o and --rejects."),
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a report goes, and in which format; without a path, to stdout."""

    format: "Output"
    path: Path | None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What the user said of the output."""

    format_name: str | None
    output_path: Path | None
    force: bool
    default: str
    """The format where neither the user nor a suffix says one."""

    def target(self, inputs: "SourceOptions | None" = None, *kept: Path) -> Target:
        """Find the format, and refuse what cannot be written, before any work is done.

        `kept` are files that the command writes into besides.

        Raises:
            UsageError: the file is there already, is one that the command needs, or its suffix says no format.
        """
        written = (self.output_path, inputs and inputs.rejects)
        require_writable([path for path in written if path], inputs, kept, force=self.force)
        found = _format_of(self.format_name, self.output_path, self.default)
        if found.binary and not self.output_path and sys.stdout.isatty():
            raise UsageError(f"--format {found.name} is not for a terminal; write it to a file with -o")
        if any(find_spec(package) is None for package in found.packages):
            raise UsageError(f"--format {found.name}: install what draws charts: {INSTALL}")
        return Target(found, self.output_path)


def options_with(default: str) -> Decorator:
    """Return what adds --format, -o and --force; the command gets one argument `output`."""
    text = f"Default: {default}, or by the suffix of -o."
    options = (_option("--format", "format_name", type=click.Choice(NAMES), help=text), *_PLACE)
    return gathered("output", options, ["format_name", "output_path", "force"], partial(OutputOptions, default=default))


output_options = options_with(default="table")
"""Adds the options that almost every command has."""


def _format_of(name: str | None, path: Path | None, default: str) -> "Output":
    from analyzer.render.formats import OUTPUTS  # noqa: PLC0415

    by_suffix = next((name for name, one in OUTPUTS.items() if path and path.suffix in one.suffixes), None)
    if path and not name and not by_suffix:
        formats = "|".join(NAMES)
        raise UsageError(f"{path}: no format has the suffix {path.suffix!r}; say one with --format {formats}")
    return OUTPUTS[name or by_suffix or default]


def write(report: "Report", target: Target) -> None:
    """Write the report to the file, or to stdout; its notes to stderr."""
    report = replace(report, notes=[spelled(note) for note in report.notes])
    if target.path:
        with whole(target.path) as file:
            target.format.write(report, file)
    else:
        _print(report, target.format)
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
    try:
        found.write(report, sys.stdout.buffer)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # rich makes a SystemExit of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
