"""Runs stages on Apache Spark: in this process (`local[*]`), on a cluster (`spark://`), or by Spark Connect (`sc://`)."""

import logging
import os
import re
import shutil
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from analyzer import errors
from analyzer.archive.database import database_errors
from analyzer.cluster.divided import Read, Stage, Work
from analyzer.cluster.rows import FOR_MERGE, SCHEMA, Packed, from_batch, to_batch, work_on_parts
from analyzer.errors import AnalyzerError, EngineError, Option, UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Packages whose versions must be the same in all tasks: they read and write what others wrote and read.
PACKAGES = ("cache-event-analyzer", "duckdb", "pyarrow")
CONNECT_SECONDS = 10
POLL_SECONDS, DESERTED_SECONDS = 0.5, 120
DEFAULT_CORES = 16  # of an engine that does not tell
ROWS_PER_BATCH = 64  # packed rows, of some MB each, that a task holds at once

ENGINES = "local[*], spark://HOST:PORT, or sc://HOST:PORT (Spark Connect)"


@contextmanager
def open_spark(engine: str, scratch: Path, progress: Callable[[int, int], None]) -> Iterator["Spark"]:
    """Start or connect to Spark; `progress` gets how many tasks of a job are done, and how many there are.

    Raises:
        UsageError: the name of the engine is none, or a package is missing.
        EngineError: there is no Java, or no cluster at that address.
    """
    kind, place = _parse(engine)
    try:
        import pyspark  # noqa: F401, PLC0415  (heavy, and an extra)
    except ModuleNotFoundError:
        extra = "pip install 'cache-event-analyzer[spark]'"
        raise UsageError(Option("engine", engine), f": the package pyspark is missing: {extra}") from None
    if kind != "sc":
        _require_java()
    if kind != "local":
        _require_reachable(engine, place)
    with _quiet(scratch / "spark.log"), spark_errors(engine), _own_signals():
        session = _connect(engine, kind)
    spark = Spark(session, engine, progress, is_remote=kind == "sc")
    try:
        yield spark
    finally:
        spark.stop()


def _parse(engine: str) -> tuple[str, str]:
    """Return the kind of an engine and its addresses."""
    if re.fullmatch(r"local(\[(\*|[1-9]\d*)\])?", engine):
        return "local", ""
    kind, separator, place = engine.partition("://")
    if kind not in {"spark", "sc"} or not separator or not place:
        raise UsageError(Option("engine", engine), f": not an engine; name {ENGINES}")
    return kind, place


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if not (shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")):
        where = f"JAVA_HOME ({home}) has no bin/java" if home else "no java on the PATH"
        raise EngineError(f"Spark needs Java 17 or newer: {where}; install it (Debian: default-jre-headless)")


def _require_reachable(engine: str, place: str) -> None:
    """Raise EngineError unless something listens at one of the addresses: Spark itself would try for minutes."""
    reason = ""
    for address in place.split(","):
        parts = urlsplit(f"//{address}")
        try:
            port = parts.port or (7077 if engine.startswith("spark") else 15002)
            socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            reason = str(error)
        else:
            return
    raise EngineError(f"{engine}: no cluster there ({reason}); check the address, and that its master is running")


def _connect(engine: str, kind: str) -> "SparkSession":
    from pyspark.sql import SparkSession  # noqa: PLC0415

    # Tasks of this machine run in the same Python; those of others in what PYSPARK_PYTHON names.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    # py4j logs tracebacks of calls that are interrupted, also by the root logger.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_not_of_py4j)
    builder = SparkSession.builder.appName("analyzer")
    builder = builder.remote(engine) if kind == "sc" else builder.master(engine)
    if kind != "sc":
        builder = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
        builder = builder.config("spark.executorEnv.PYTHONWARNINGS", "ignore")
    session = builder.getOrCreate()
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS_PER_BATCH))
    return session


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return "py4j" not in record.pathname


class Spark:
    """Runs stages on Spark."""

    def __init__(
        self, session: "SparkSession", name: str, progress: Callable[[int, int], None], *, is_remote: bool
    ) -> None:
        self._session, self._name, self._progress, self._is_remote = session, name, progress, is_remote
        self.is_local = name.startswith("local")
        self.cores = DEFAULT_CORES if is_remote else max(session.sparkContext.defaultParallelism, 1)

    def stop(self) -> None:
        """End all tasks; the engine cannot be used any more."""
        with warnings.catch_warnings(), suppress(Exception):  # it may be gone
            warnings.simplefilter("ignore")
            self._session.stop()

    def run(self, stages: Sequence[Stage], kept: "KeptFrame | None" = None) -> list[Packed]:
        """Run the stages in order, starting from `kept` results if given; return the results of the last stage."""
        with self._running():
            frame = self._frame(stages, kept.frame if kept else None)
            return [] if frame is None else _collect(frame)

    @contextmanager
    def keep(self, stages: Sequence[Stage]) -> Iterator["KeptFrame"]:
        """Run stages, and keep their results on the disks of the workers, except those for the merge."""
        from pyspark import StorageLevel  # noqa: PLC0415

        with self._running():
            frame = self._frame(stages, None)
            stored = None if frame is None else frame.persist(StorageLevel.DISK_ONLY)
            merged = [] if stored is None else _collect(stored.filter(f"startswith(name, '{FOR_MERGE}')"))
        try:
            yield KeptFrame(merged, None if stored is None else stored.filter(f"NOT startswith(name, '{FOR_MERGE}')"))
        finally:
            if stored is not None:
                with suppress(Exception):  # the engine may be gone, and then nothing is kept
                    stored.unpersist()

    @contextmanager
    def _running(self) -> Iterator[None]:
        with warnings.catch_warnings(), spark_errors(self._name), self._watched():
            warnings.simplefilter("ignore")
            yield

    def _frame(self, stages: Sequence[Stage], frame: "DataFrame | None") -> "DataFrame | None":
        versions = {name: version(name) for name in PACKAGES}
        for stage in stages:
            frame = self._divide(frame, stage, versions)
        return frame

    def _divide(self, frame: "DataFrame | None", stage: Stage, versions: Mapping[str, str]) -> "DataFrame | None":
        tasks, by, parts, work = list(stage.reads), stage.by, stage.parts, stage.work
        if tasks:
            numbers = self._session.range(0, len(tasks), 1, len(tasks))
            read = numbers.mapInArrow(lambda batches: _read(batches, tasks, by, parts, versions), SCHEMA)
            frame = read if frame is None else frame.union(read)
        if frame is None:
            return None
        # Not every engine of Spark Connect can give each part a task of its own; otherwise some tasks get several.
        divide = frame.repartition if self._is_remote else frame.repartitionById
        return divide(parts, "part").mapInArrow(lambda batches: _work(batches, work, versions), SCHEMA)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Report progress while a job runs; cancel a job that no worker runs."""
        if self._is_remote:

            def handler(stages: Any, inflight_tasks: int, operation_id: Any, done: bool) -> None:  # noqa: ARG001, FBT001
                self._progress(sum(s.num_completed_tasks for s in stages or ()), sum(s.num_tasks for s in stages or ()))

            self._session.registerProgressHandler(cast("Any", handler))
            try:
                yield
            finally:
                self._session.removeProgressHandler(cast("Any", handler))
            return
        finished = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(finished,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            finished.set()
            watcher.join()

    def _watch(self, finished: threading.Event) -> None:
        context = self._session.sparkContext
        tracker, deserted_seconds = context.statusTracker(), 0.0
        while not finished.wait(POLL_SECONDS):
            try:
                stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
                executors = context._jsc.sc().getExecutorMemoryStatus().size()  # noqa: SLF001  (there is no other way)
            except Exception:  # noqa: BLE001, S112  (the job itself reports what is wrong)
                continue
            known = [stage for stage in stages if stage]
            self._progress(sum(one.numCompletedTasks for one in known), sum(one.numTasks for one in known))
            is_deserted = self._name.startswith("spark") and executors <= 1  # the driver itself
            deserted_seconds = deserted_seconds + POLL_SECONDS if is_deserted else 0
            if deserted_seconds > DESERTED_SECONDS:
                context.cancelAllJobs()  # again and again: the job may not have begun


@dataclass(slots=True)
class KeptFrame:
    """The results of stages: those for the merge, and a frame with the others, on the disks of the workers."""

    gathered: list[Packed]
    frame: "DataFrame | None"


def _collect(frame: "DataFrame") -> list[Packed]:
    return [row for batch in frame.toArrow().to_batches() for row in from_batch(batch)]


@contextmanager
def spark_errors(engine: str) -> Iterator[None]:
    """Convert errors of Spark to EngineError; raise errors of this program that a task raised again."""
    try:
        yield
    except AnalyzerError:
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("pyspark", "py4j", "grpc")):
            raise
        if _is_interrupted(error):
            raise KeyboardInterrupt from None
        raise _explain(engine, str(error)) from None


def _is_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused an error: py4j converts KeyboardInterrupt to errors of its own."""
    while error:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _explain(engine: str, text: str) -> AnalyzerError:
    own = re.search(r"analyzer\.errors\.(\w+): (.+)", text)
    if own:
        kind = getattr(errors, own[1])
        explained: AnalyzerError = kind(own[2])
        return explained
    needed = f"install cache-event-analyzer[spark]=={version('cache-event-analyzer')} in the Python of all workers"
    if "No module named" in text:
        (missing,) = re.findall(r"No module named '?([\w.]+)", text)[:1]
        return EngineError(f"{engine}: a worker lacks the Python package {missing}: {needed}, named by PYSPARK_PYTHON")
    if "PYTHON_VERSION_MISMATCH" in text:
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        return EngineError(f"{engine}: a worker has another Python than this one ({here}); name one by PYSPARK_PYTHON")
    if "cancelled part of cancelled job" in text or "cancelled as part of cancellation of all jobs" in text:
        return EngineError(
            f"{engine}: no worker took the job for {DESERTED_SECONDS} s; check that it has free cores and memory"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [text]
    raised = [line for line in lines if re.match(r"([\w.]+\.)?\w*(Error|Exception): .", line)]
    reason = raised[-1] if raised else lines[0]
    return EngineError(f"{engine}: Spark failed: {reason}; run this again, or see the log of Spark itself")


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the handler of Ctrl-C, which Spark replaces by one that only cancels its jobs."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet(log: Path) -> Iterator[None]:
    """Redirect stderr to a file while Java is started, which keeps writing to it as long as it runs."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _require_versions(expected: Mapping[str, str]) -> None:
    """Raise EngineError unless the packages have the same versions here as on the machine that started the job."""
    for name, wanted in expected.items():
        if (found := version(name)) != wanted:
            raise EngineError(f"a worker has {name} {found}, this machine {wanted}; install the same version on both")


def _read(
    batches: Iterable[Any], tasks: Sequence[Read], by: str, parts: int, versions: Mapping[str, str]
) -> Iterator[Any]:
    _require_versions(versions)
    with task_errors():
        yield from _read_all(batches, tasks, by, parts)


def _read_all(batches: Iterable[Any], tasks: Sequence[Read], by: str, parts: int) -> Iterator[Any]:
    for batch in batches:
        for number in batch["id"]:
            for row in tasks[number.as_py()].run(by, parts):
                yield to_batch([row])


def _work(batches: Iterable[Any], work: Work, versions: Mapping[str, str]) -> Iterator[Any]:
    _require_versions(versions)
    with task_errors():
        for row in work_on_parts((row for batch in batches for row in from_batch(batch)), work.run):
            yield to_batch([row])


@contextmanager
def task_errors() -> Iterator[None]:
    """Convert errors of the database and the system in a task to errors of this program, which `_explain` finds."""
    try:
        with database_errors():
            yield
    except OSError as error:
        raise EngineError(f"a worker failed: {error}; free disk space, or check its permissions") from None
