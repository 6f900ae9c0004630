"""SOURCE and the options about reading it: opens it, reports on stderr what was read, and writes rejects to a file."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli import console
from analyzer.cli.completion import complete_files
from analyzer.cli.console import Exit
from analyzer.cli.files import atomic_write
from analyzer.cli.options import Decorator, Megabytes, Seconds, option_group, titled_option
from analyzer.errors import UsageError
from analyzer.event import FIELD_NAMES
from analyzer.readers.formats import FORMAT_NAMES
from analyzer.readers.objects import is_url
from analyzer.readers.source import expand_sources

if TYPE_CHECKING:
    from analyzer.archive.accounting import LoadResult
    from analyzer.archive.open_log import LoadObserver, Needs, OpenLog
    from analyzer.archive.selection import View
    from analyzer.archive.staging import ReadOptions
    from analyzer.cluster.divided import Engine
    from analyzer.cluster.spark import Spark

SOURCE_HELP = (
    "SOURCE: logs, directories, globs, URLs (s3://, gs://, az://, https://), one archive (*.duckdb) or lake, or - for"
    " stdin."
    " File types are detected from content."
)

_option = titled_option("Input")
_OPTIONS = (
    _option("--from", "format", type=click.Choice(FORMAT_NAMES), help="Read every file as this format."),
    _option(
        "--map", "columns", multiple=True, metavar="COLUMN=THEIRS",
        help="What the files call a column: --map timestamp=created_at. Repeatable. --map body=log unwraps a log that"
             " stands in a field of another one, or behind a prefix.",
    ),
    _option("--rejects", type=click.Path(path_type=Path, dir_okay=False), help="Write rejects to this NDJSON file."),
    _option("--strict", is_flag=True, help="Fail on the first reject."),
    _option(
        "--session-gap", type=Seconds(), default="10m", show_default=True,
        help="Of access logs: the pause of a client after which another session begins.",
    ),
    _option(
        "--memory-limit", type=Megabytes(), metavar="SIZE",
        help="How much memory DuckDB takes, such as 2GB; it writes the rest to the disk. Default: 100 MB and 250 MB for"
             " each processor.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The sources and the input options of a command line."""

    sources: tuple[str, ...]
    format: str | None
    columns: tuple[str, ...]
    rejects: Path | None
    strict: bool
    session_gap: float
    memory_limit: float | None

    def read_options(self) -> "ReadOptions":
        """Return how files are to be read; raises UsageError for a bad --map."""
        from analyzer.archive.staging import ReadOptions  # noqa: PLC0415

        pairs = [_column_pair(text) for text in self.columns]
        if len(dict(pairs)) < len(pairs):
            raise UsageError(f"--map {' --map '.join(self.columns)}: a column is given twice; name each once")
        return ReadOptions(self.format, dict(pairs), self.strict, self.session_gap, memory_mb=self.memory_limit)

    def includes(self, path: Path) -> bool:
        """Return whether `path` is one of the sources, or a log in a directory or pattern among them."""
        named = [Path(source) for source in self.sources if source != "-" and not is_url(source)]
        if any(source.is_file() and source.samefile(path) for source in named):
            return True
        searched = [str(one) for one in named if one.is_dir() or (has_magic(str(one)) and not one.exists())]
        if not searched or not self._is_log(path):
            return False
        return any(file.path.samefile(path) for file in expand_sources(searched, None, path.parent).files)

    def _is_log(self, path: Path) -> bool:
        from analyzer.readers.formats import HEAD_BYTES, detect_format  # noqa: PLC0415
        from analyzer.readers.stream import Stream  # noqa: PLC0415

        options = self.read_options()
        with suppress(OSError):
            return bool(options.format or detect_format(Stream(path).head(HEAD_BYTES), options.renamed))
        return False


def source_options(metavar: str = "[SOURCE]...", help_text: str = SOURCE_HELP) -> Decorator:
    """Return a decorator that adds SOURCE and its options; the command gets one argument `inputs`."""
    sources = click.argument("sources", nargs=-1, metavar=metavar, help=help_text, shell_complete=complete_files)
    return option_group("inputs", (sources, *_OPTIONS), [field.name for field in fields(SourceOptions)], SourceOptions)


def split_ids(inputs: SourceOptions, most: int) -> tuple[SourceOptions, tuple[str, ...]]:
    """Return the sources without the ids that follow them, of which there may be so many, and the ids."""
    sources, ids = list(inputs.sources), list[str]()
    while sources and len(ids) < most and not _may_be_source(sources[-1]):
        ids.insert(0, sources.pop())
    return replace(inputs, sources=tuple(sources)), tuple(ids)


def _may_be_source(text: str) -> bool:
    return text == "-" or has_magic(text) or is_url(text) or Path(text).exists()


def _column_pair(text: str) -> tuple[str, str]:
    column, equals, theirs = text.partition("=")
    names = (*FIELD_NAMES, "body")
    if not equals or not theirs or column not in names:
        raise UsageError(f"--map {text}: expected COLUMN=THEIRS, where COLUMN is one of {', '.join(names)}")
    return column, theirs


@contextmanager
def open_source(
    inputs: SourceOptions, view: "View" = "auto", *, needs: "Needs | None" = None, directories: Sequence[str] = ()
) -> Iterator["OpenLog"]:
    """Open SOURCE, report on stderr what was read, and write the rejects to their file; see `open_log`."""
    from analyzer.archive.open_log import ALL, open_log  # noqa: PLC0415
    from analyzer.render.values import format_value  # noqa: PLC0415
    from analyzer.table import BYTES  # noqa: PLC0415

    if not inputs.sources:
        raise UsageError("no SOURCE: name a log, a directory, a glob, an archive (*.duckdb), or - for stdin")
    with open_log(
        inputs.sources, inputs.read_options(), load_progress(), view, needs=needs or ALL, directories=directories
    ) as log:
        report_input(log, inputs.rejects)
        if log.was_loaded:
            require_logs(log.load_result, inputs)
        yield log
        if log.lake and log.lake.storage.read_bytes:
            read, size = (format_value(n, BYTES) for n in (log.lake.storage.read_bytes, log.lake.size_bytes))
            console.note(f"downloaded from the lake: {read} of {size}")


@contextmanager
def open_engine(name: str | None) -> Iterator["Spark | None"]:
    """Start the engine of --engine, or connect to it; None without the option."""
    if name is None:
        yield None
        return
    from analyzer.archive.leftovers import temp_directory  # noqa: PLC0415
    from analyzer.cli.progress import task_progress  # noqa: PLC0415
    from analyzer.cluster.spark import open_spark  # noqa: PLC0415

    is_shown = sys.stderr.isatty() and not console.is_quiet()
    with (
        temp_directory() as scratch,
        task_progress(is_shown=is_shown) as progress,
        open_spark(name, scratch, progress) as engine,
    ):
        yield engine


@contextmanager
def open_lake_source(inputs: SourceOptions, view: "View", engine: "Engine") -> Iterator["OpenLog"]:
    """Open SOURCE, which must be a lake, for questions that `engine` answers."""
    from analyzer.archive.open_log import require_lake  # noqa: PLC0415
    from analyzer.cluster.divided import open_divided  # noqa: PLC0415

    with open_divided(require_lake(inputs.sources, view), engine) as log:
        report_input(log, inputs.rejects)
        yield log


def report_input(log: "OpenLog", rejects: Path | None) -> None:
    """Report unreadable files and notes on the input on stderr; write the rejects to the file `rejects`."""
    from analyzer.questions.load import load_notes  # noqa: PLC0415

    for error in log.load_result.errors:
        console.error(error.message)
    for file in log.load_result.files:
        counts = f"{file.read:,} read, {file.kept:,} kept, {file.rejected:,} rejected"
        console.detail(f"{file.name}: {file.format}, {counts}")
    for text in load_notes(log):
        console.note(text)
    if rejects:
        _write_rejects(log, rejects)


def _write_rejects(log: "OpenLog", path: Path) -> None:
    from analyzer.questions.load import REJECTS  # noqa: PLC0415

    keys = ("file", "line", "item", "reason", "text")
    with atomic_write(path) as out:
        cursor = log.connection.execute(REJECTS, {"first": log.first_file_id})
        while batch := cursor.fetchmany(10_000):
            lines = (json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) + "\n" for row in batch)
            out.writelines(line.encode() for line in lines)


def require_logs(result: "LoadResult", inputs: SourceOptions) -> None:
    """End the command where no log could be read; unreadable files have been reported already."""
    from analyzer.questions.load import require_logs as require  # noqa: PLC0415

    if result.errors and not result.files:
        raise click.exceptions.Exit(Exit.INPUT)
    require(result, inputs.sources)


def exit_code(result: "LoadResult") -> Exit:
    """Return the exit code of a command that answered: 3 if a file could not be read or every event was rejected."""
    return Exit.INPUT if result.errors or result.rejected_all else Exit.OK


def load_progress() -> "LoadObserver":
    """Return an observer that draws a progress bar, where stderr is a terminal."""
    from analyzer.archive.open_log import LoadObserver  # noqa: PLC0415

    if console.is_quiet() or not sys.stderr.isatty():
        return LoadObserver()
    from analyzer.cli.progress import ProgressBar  # noqa: PLC0415

    return ProgressBar()
