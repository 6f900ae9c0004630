"""`analyzer.load`: opens logs or an archive as a `Log`."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

from analyzer.api.filters import require_sources
from analyzer.api.lifetime import LogHandle
from analyzer.api.log import Log
from analyzer.archive.database import database_errors
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.open_log import LoadObserver, OpenLog, load_into, open_log, require_lake
from analyzer.archive.selection import View
from analyzer.archive.staging import MAPPED_NAMES, ReadOptions
from analyzer.errors import Option, UsageError
from analyzer.questions.load import load_notes, require_logs
from analyzer.readers.formats import FORMATS
from analyzer.validation import require_choice


@database_errors()
def load(
    *sources: str | Path, into: str | Path | None = None, format: str | None = None,  # noqa: A002  (the option's name)
    columns: Mapping[str, str] | None = None, strict: bool = False, view: View = "auto",
    session_gap: float = 600, reload_forgotten: bool = False, memory_limit: float | None = None,
    engine: str | None = None,
) -> Log:  # fmt: skip
    """Open logs, or one archive or lake, for questions. With `into`, load the logs into that archive first.

    Args:
        sources: files, directories (searched recursively), globs and URLs (`s3://…`, `https://…`), plain, gzip or
            zstd. Or one archive (`*.duckdb`), or one lake that `analyzer export` wrote.
        into: an archive, created if it does not exist. A file that it already has is not added again.
        format: read every file as this format (`--from`), instead of detecting it from the content.
        columns: the names that the files have for columns of events (`--map`), such as `{"timestamp": "created_at"}`;
            `body` is the field, or the end of the prefix, with a log that stands inside of another one.
        strict: raise an error for the first invalid event, instead of counting it as rejected.
        session_gap: of access logs: the pause of a client, in seconds, after which another session begins.
        reload_forgotten: load files again whose events were all forgotten; see `analyzer forget`.
        memory_limit: how many MB of memory DuckDB takes; it writes the rest to the disk.
        engine: answer from a lake by Apache Spark: `local[*]`, `spark://HOST:PORT` or `sc://HOST:PORT` (`--engine`).
            `sql`, `events` and `lookups` need all rows in one place, and are not to be had then.
        view: what answers questions: `events`, `runs` (turbo's run summaries), or `auto`: events if there are any.

    Raises:
        UsageError: no source, or an invalid argument.
        InputError: a file that cannot be read, or no file that is a log.
        RejectedError: an event was rejected, with `strict`.
        ArchiveError: the archive is locked, of another version, or not an archive.
        EngineError: there is no Java or no cluster, or it failed.

    >>> with load("sample_data/acme/runs.ndjson.zst") as log:
    ...     log.stats()["sessions"].item()
    374
    """
    names = require_sources(sources, "load(*paths)")
    require_choice("format", format, FORMATS)
    require_choice("view", view, get_args(View))
    for name in columns or {}:
        require_choice("columns", name, MAPPED_NAMES)
    reading = ReadOptions(format, dict(columns or {}), strict, session_gap, reload_forgotten, memory_limit)
    if engine is not None:
        if into is not None:
            raise UsageError(Option("into"), ": ", Option("engine"), " reads a lake; leave one of them out")
        return _open_divided(names, engine, view)
    if into is None:
        return _open(names, reading, view)
    with load_into(names, Path(into), reading, LoadObserver()) as loaded:
        _require_complete(loaded, names)
        notes = load_notes(loaded)
    return _open([str(into)], reading, view, notes)


def _open(names: Sequence[str], reading: ReadOptions, view: View, notes: Sequence[str] | None = None) -> Log:
    """Open sources; `notes` replaces the notes on reading them."""
    with ExitStack() as stack:
        log = stack.enter_context(open_log(names, reading, LoadObserver(), view))
        if log.was_loaded:
            _require_complete(log, names)
        handle = LogHandle(stack.pop_all(), log)
    sources = repr(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")
    description = f"{sources}, view={log.view!r}, {log.counts().kept:,} events"
    return Log(handle, view, description, load_notes(log) if notes is None else notes)


def _open_divided(names: Sequence[str], engine: str, view: View) -> Log:
    from analyzer.cluster.divided import open_divided  # noqa: PLC0415  (only with an engine)
    from analyzer.cluster.spark import open_spark  # noqa: PLC0415

    lake = require_lake(names, view)
    with ExitStack() as stack:
        scratch = stack.enter_context(temp_directory())
        spark = stack.enter_context(open_spark(engine, scratch, lambda _done, _total: None))
        log = stack.enter_context(open_divided(lake, spark))
        handle = LogHandle(stack.pop_all(), log)
    description = f"{names[0]!r}, engine={engine!r}, {log.counts().kept:,} events"
    return Log(handle, view, description, load_notes(log))


def _require_complete(log: OpenLog, sources: Sequence[str]) -> None:
    """Raise InputError if a file could not be read, or no file was a log."""
    if log.load_result.errors:
        raise log.load_result.errors[0]
    require_logs(log.load_result, sources)
