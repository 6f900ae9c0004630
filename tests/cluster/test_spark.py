"""Real engines: Spark in a process, a cluster with a master and workers, and Sail over Spark Connect."""

import json
import math
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import obstore
import pytest
from buckets import make_bucket, s3_server
from conftest import SAMPLE, Cli
from obstore.store import from_url
from spark_cluster import SparkCluster, python_tasks, spark_cluster, wait_until
from test_load import export, load_archive, rows_of

from analyzer.archive.lake import read_manifest
from analyzer.readers.storage import open_storage

# Every question, with all tables of its answer.
ASK = """
import json, sys, analyzer
from analyzer.archive.selection import Selection
from analyzer.questions import check, compare, misses, retention, sessions, stats
from analyzer.questions.doctor import report
from analyzer.questions.options import *
from datetime import datetime
some = Selection(since=datetime(2026, 10, 1, 10, 7), until=datetime(2026, 10, 9), team=("web",))
with analyzer.load(sys.argv[1], engine=sys.argv[2] or None) as opened:
    log = opened._handle.log()
    reports = [
        stats.stats(log, some, StatsOptions(("week", "team"), "Asia/Kolkata")),
        misses.misses(log, Selection(), MissesOptions()),
        retention.retention(log, Selection(), RetentionOptions()),
        compare.compare([log], Selection(), None, CompareOptions()),
        check.check(log, Selection(), CheckOptions(min_hit_rate=0.5, max_drop=0.1)),
        sessions.sessions(log, Selection(), SessionsOptions()),
        report.doctor(log, Selection()),
    ]
tables = {f"{n} {one.command} {table.name}": list(table.records())
          for n, one in enumerate(reports) for table in one.tables}
print(json.dumps(tables, default=str))
"""


@pytest.fixture(scope="module")
def expected(sample_lake: Path) -> dict[str, Any]:
    return ask(sample_lake, "")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with spark_cluster(tmp_path_factory.mktemp("spark")) as found:
        yield found


def start(lake: Path, engine: str, **environment: str) -> subprocess.Popen[str]:
    place = str(lake).replace("s3:/", "s3://")  # as a path has it
    command = [sys.executable, "-c", ASK, place, engine]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env={**os.environ, **environment}, **pipes)


def finish(asking: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = asking.communicate(timeout=300)
    assert asking.returncode == 0, err
    return json.loads(out)


def ask(lake: Path, engine: str, **environment: str) -> dict[str, Any]:
    return finish(start(lake, engine, **environment))


def assert_same(expected: dict[str, Any], found: dict[str, Any]) -> None:
    assert expected.keys() == found.keys()
    for name, rows in expected.items():
        # `doctor` names what it does not examine on a cluster.
        examined = {row.get("finding") for row in found[name]}
        here = [row for row in rows if row.get("finding") in examined] if "doctor" in name else rows
        assert len(here) == len(found[name]), name
        for row, other in zip(here, found[name], strict=True):
            for key, value in row.items():
                is_number = isinstance(value, float) and isinstance(other[key], float)
                assert other[key] == value or (is_number and math.isclose(value, other[key], rel_tol=1e-9)), (name, key)


def test_a_worker_that_is_killed_during_a_question(
    cluster: SparkCluster, sample_lake: Path, expected: dict[str, Any]
) -> None:
    wait_until(lambda: cluster.alive_workers() == 2)
    asking = start(sample_lake, cluster.url)
    cluster.kill_worker_at_work()
    assert asking.poll() is None
    wait_until(lambda: cluster.alive_workers() == 1)
    assert [app["state"] for app in cluster.state()["activeapps"]] == ["RUNNING"]
    assert_same(expected, finish(asking))
    assert [app["state"] for app in cluster.state()["completedapps"]] == ["FINISHED"]
    cluster.start_worker()


LOGS = sorted((SAMPLE / "acme").glob("until-*"))[1:]


@pytest.fixture(scope="module")
def rows_of_logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The rows that a lake has of the logs of the sample."""
    directory = tmp_path_factory.mktemp("rows")
    return rows_of(export(load_archive(LOGS, directory / "archive.duckdb"), directory / "lake"))


def start_load(lake: str, engine: str, *logs: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "analyzer", "load", *map(str, logs), "--into", lake, "--engine", engine]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env={**os.environ, **environment}, **pipes)


def test_a_worker_that_is_killed_during_a_load(
    cluster: SparkCluster, rows_of_logs: dict[str, Any], tmp_path: Path
) -> None:
    wait_until(lambda: cluster.alive_workers() == 2)
    loading = start_load(str(tmp_path / "lake"), cluster.url, *LOGS)
    cluster.kill_worker_at_work()
    assert loading.poll() is None
    assert not list(tmp_path.glob("lake/_lake/*"))
    wait_until(lambda: cluster.alive_workers() == 1)
    _, err = loading.communicate(timeout=300)
    assert (loading.returncode, rows_of(tmp_path / "lake")) == (0, rows_of_logs), err
    left = {path.relative_to(tmp_path / "lake").as_posix() for path in (tmp_path / "lake").rglob("*.parquet")}
    assert left == {file.path for file in read_manifest(open_storage(str(tmp_path / "lake"))).files}
    cluster.start_worker()


def test_from_a_bucket_into_a_bucket(cli: Cli, rows_of_logs: dict[str, Any], tmp_path: Path) -> None:
    with s3_server() as environment:
        make_bucket(environment, "logs")
        keys = {name.removeprefix("AWS_").lower(): value for name, value in environment.items()}
        options = keys | {"endpoint": keys.pop("endpoint_url")}
        store = from_url("s3://logs", client_options={"allow_http": True}, **options)
        for log in LOGS:
            obstore.put(store, f"raw/{log.name}", log)
        loading = start_load("s3://logs/lake", "local[2]", "s3://logs/raw/", **environment)
        _, err = loading.communicate(timeout=300)
        assert loading.returncode == 0, err
        found = [meta["path"] for batch in obstore.list(store, prefix="lake/") for meta in batch]
        for path in found:
            copy = tmp_path / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(bytes(obstore.get(store, path).bytes()))
        assert rows_of(tmp_path / "lake") == rows_of_logs
        assert len([path for path in found if "_lake/" in path]) == 1
        # By Spark in one process, which reads the lake in the bucket.
        command = [sys.executable, "-m", "analyzer", "misses", "s3://logs/lake", "--format", "json", "--quiet"]
        with_keys = {**os.environ, **environment}
        asked = subprocess.run([*command, "--engine", "local[2]"], capture_output=True, env=with_keys, check=True)
        assert json.loads(asked.stdout) == cli("misses", tmp_path / "lake", "--format", "json").json


def test_buckets_that_cannot_be_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        make_bucket(environment, "empty")
        missing = cli("stats", "s3://none/lake", "--engine", "local[1]")
        assert (missing.code, missing.err.startswith("error: s3://none/lake")) == (3, True), missing.err
        assert "no such bucket" in missing.err
        empty = cli("stats", "s3://empty/lake", "--engine", "local[1]")
        assert (empty.code, "--engine reads one lake" in empty.err) == (2, True), empty.err
        into = cli("load", LOGS[0], "--into", "s3://none/lake", "--engine", "local[1]")
        assert (into.code, "no such bucket" in into.err) == (3, True), into.err


def test_the_command_line(sample_lake: Path, cli: Cli) -> None:
    """The answer is that of one machine; a terminal shows the progress of the tasks."""
    options = ["check", str(sample_lake), "--min-hit-rate", "0.99", "--format", "json"]
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "analyzer", *options, "--engine", "local[2]"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as asking:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the end of a terminal
            while data := os.read(ours, 4096):
                shown += data
        assert asking.stdout
        answer = json.loads(asking.stdout.read())
    os.close(ours)
    one_machine = cli(*options)
    assert (asking.returncode, answer) == (one_machine.code, one_machine.json)
    plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown)
    assert re.search(rb"tasks .* \d+/\d+ \d:\d\d:\d\d", plain), plain
    words = "".join(plain.decode().split())  # terminals wrap lines
    assert all("".join(line.split()) in words for line in one_machine.err.splitlines())


def test_a_load_that_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of a terminal: those of Spark too."""
    command = [sys.executable, "-m", "analyzer", "load", *map(str, LOGS), "--into", str(tmp_path / "lake")]
    loading = subprocess.Popen([*command, "--engine", "local[2]"], stderr=subprocess.PIPE, start_new_session=True)
    wait_until(lambda: bool(python_tasks(loading.pid)))
    os.killpg(loading.pid, signal.SIGINT)
    _, err = loading.communicate(timeout=100)
    assert (loading.returncode, err.decode().split()[-2:]) == (130, ["error:", "interrupted"]), err
    assert b"Traceback" not in err
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_sail_over_spark_connect(sample_lake: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    """Sail takes the client of Spark 4.1, which cannot be installed beside 4.3."""
    packages = ["pyspark-client==4.1.3", "pysail>=0.7.2"]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tmp_path), *packages]
    if subprocess.run(install, capture_output=True, check=False).returncode:
        pytest.skip("Sail cannot be installed here")
    server = (
        "import threading; from pysail.spark import SparkConnectServer; s = SparkConnectServer();"
        " s.start(background=True); print(s.listening_address[1], flush=True); threading.Event().wait()"
    )
    paths = {"PYTHONPATH": str(tmp_path)}
    serving = subprocess.Popen(
        [sys.executable, "-c", server], stdout=subprocess.PIPE, text=True, env={**os.environ, **paths}
    )
    try:
        assert serving.stdout
        assert_same(expected, ask(sample_lake, f"sc://127.0.0.1:{int(serving.stdout.readline())}", **paths))
    finally:
        serving.kill()
        serving.communicate()


def test_no_cluster(sample_lake: Path, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for engine in (f"spark://127.0.0.1:{port}", f"sc://127.0.0.1:{port}"):
        result = cli("stats", sample_lake, "--engine", engine)
        assert result.code == 1
        assert result.err.startswith(f"error: {engine}: no cluster there (")


def test_a_cluster_without_workers_is_given_up(sample_lake: Path, tmp_path: Path) -> None:
    script = f"from analyzer.cluster import spark; spark.DESERTED_SECONDS = 2; {ASK}"
    with spark_cluster(tmp_path, workers=0) as cluster:
        command = [sys.executable, "-c", script, str(sample_lake), cluster.url]
        asking = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "EngineError: spark://" in asking.stderr
    assert "no worker took the job for 2 s; check that it has free cores and memory" in asking.stderr


def test_no_java(sample_lake: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    result = cli("stats", sample_lake, "--engine", "local[2]")
    assert result.code == 1
    assert result.err.startswith("error: Spark needs Java 17 or newer: JAVA_HOME (/nowhere) has no bin/java")


@pytest.mark.parametrize("name", ["locl", "local[0]", "spark:/x", "http://x", "spark://", ""])
def test_no_engine(name: str, sample_lake: Path, cli: Cli) -> None:
    result = cli("stats", sample_lake, "--engine", name)
    expected = f"error: --engine {name}: not an engine; name local[*], spark://HOST:PORT, or sc://HOST:PORT"
    assert (result.code, result.err.startswith(expected)) == (2, True)


@pytest.mark.parametrize(("source", "message"), [
    ("none", "none: no such directory; --engine reads one lake"), (str(LOGS[0]), "--engine reads one lake"),
])  # fmt: skip
def test_no_lake(source: str, message: str, cli: Cli) -> None:
    result = cli("stats", source, "--engine", "local[1]")
    assert (result.code, message in result.err) == (2, True), result.err


def test_other_versions_on_a_worker(sample_lake: Path, tmp_path: Path) -> None:
    """A worker whose package is another says so, instead of answering something else."""
    other = tmp_path / "cache_event_analyzer-9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: cache-event-analyzer\nVersion: 9.9\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    asking = start(sample_lake, "local[1]", PYSPARK_PYTHON=str(python))
    _, err = asking.communicate(timeout=200)
    assert "EngineError: a worker has cache-event-analyzer 9.9, this machine" in err


def test_a_worker_without_the_package(sample_lake: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys._base_executable} -S "$@"\n')  # type: ignore[attr-defined]  # noqa: SLF001
    python.chmod(0o755)
    _, err = start(sample_lake, "local[1]", PYSPARK_PYTHON=str(python)).communicate(timeout=200)
    assert "EngineError: local[1]: a worker lacks the Python package" in err
