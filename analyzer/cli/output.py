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
from analyzer.cli.options import Decorator, gathered, under
from analyzer.cli.spelling import spelled
from analyzer.errors import UsageError

if TYPE_CHECKING:
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

    def target(self, rejects: Path | None = None) -> Target:
        """Find the format, and refuse what cannot be written, before any work is done.

        Raises:
            UsageError: the file is there already, or its suffix says no format.
        """
        for path in filter(None, (self.output_path, rejects)):
            _require_writable(path, force=self.force)
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


def _require_writable(path: Path, *, force: bool) -> None:
    if path.exists() and path.is_file() and not force:
        raise UsageError(f"{path}: exists already; --force overwrites it, or name another file")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no directory {path.parent}; make it, or name another file")


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
        _write_file(report, target.format, target.path.resolve())
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
