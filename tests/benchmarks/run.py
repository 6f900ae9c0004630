"""Benchmarks loading and questions on a log: `python tests/benchmarks/run.py --events 4000000`.

Scripts written by hand for DuckDB do the same work in the same run. Each figure is the median of whole processes. The
commands alternate, so that other load on the machine slows both sides alike; compare the ratios.
"""

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import duckdb

ROOT = Path(__file__).parent.parent.parent
# What a careful engineer writes by hand: typed events, rows that are not valid counted, lookups and sessions.
DUCKDB_LOAD = """
import duckdb, pathlib
pathlib.Path('{archive}').unlink(missing_ok=True)
connection = duckdb.connect('{archive}')
connection.execute('''
    CREATE TEMP TABLE raw AS
    FROM read_json('{log}', format='newline_delimited', ignore_errors=true, auto_detect=false, columns={{
        sessionId: 'JSON', source: 'VARCHAR', event: 'VARCHAR', hash: 'JSON', duration: 'JSON', timestamp: 'VARCHAR',
        teamId: 'VARCHAR', slug: 'VARCHAR', ci: 'JSON', interactive: 'INTEGER'}});
    CREATE TEMP TABLE checked AS
    SELECT CASE WHEN json_type(sessionId) = 'VARCHAR' AND json_type(hash) = 'VARCHAR' AND source IN ('LOCAL', 'REMOTE')
                     AND event IN ('HIT', 'MISS') AND (duration IS NULL OR try_cast(duration AS DOUBLE) >= 0)
                     AND (timestamp IS NULL OR try_cast(timestamp AS TIMESTAMP) IS NOT NULL)
                     AND (ci IS NULL OR json_type(ci) = 'VARCHAR') THEN sessionId->>'$' END AS session,
           hash->>'$' AS hash,
           (source || '_' || event)::ENUM('LOCAL_HIT', 'LOCAL_MISS', 'REMOTE_HIT', 'REMOTE_MISS') AS kind,
           try_cast(duration AS DOUBLE) AS duration_ms, try_cast(timestamp AS TIMESTAMP) AS happened_at,
           coalesce(slug, teamId) AS team, ci->>'$' AS ci, interactive
    FROM raw;
    CREATE TABLE event AS FROM checked WHERE session IS NOT NULL;
    CREATE TABLE lookup AS
    SELECT session, hash, min(happened_at) AS first_at, max(happened_at) AS last_at,
           bool_or(kind = 'LOCAL_HIT') AS local_hit, bool_or(kind = 'REMOTE_HIT') AS remote_hit,
           max(duration_ms) FILTER (kind IN ('LOCAL_HIT', 'REMOTE_HIT') AND duration_ms > 0) AS duration_ms,
           min(team) AS team, min(ci) AS ci, count(*) AS events
    FROM event GROUP BY session, hash;
    CREATE TABLE session AS
    SELECT session, min(first_at) AS first_at, max(last_at) AS last_at, min(team) AS team, min(ci) AS ci,
           count(*) AS lookups, count_if(local_hit) AS local_hits,
           count_if(remote_hit AND NOT local_hit) AS remote_hits, sum(duration_ms) AS time_saved_ms
    FROM lookup GROUP BY session''')
print(connection.execute("SELECT count(*) FROM checked WHERE session IS NULL").fetchall())
"""
DUCKDB_STATS = """
import duckdb
print(duckdb.sql('''
    SELECT date_trunc('day', first_at) AS day, count(*), count_if(local_hit), count_if(remote_hit AND NOT local_hit),
           sum(duration_ms), count(DISTINCT session)
    FROM (SELECT sessionId AS session, hash, min(timestamp) AS first_at,
                 bool_or(event = 'HIT' AND source = 'LOCAL') AS local_hit,
                 bool_or(event = 'HIT' AND source = 'REMOTE') AS remote_hit,
                 max(duration) FILTER (event = 'HIT' AND duration > 0) AS duration_ms
          FROM read_json('{log}', format='newline_delimited', ignore_errors=true, auto_detect=false, columns={{
              sessionId: 'VARCHAR', source: 'VARCHAR', event: 'VARCHAR', hash: 'VARCHAR', duration: 'DOUBLE',
              timestamp: 'TIMESTAMP'}})
          GROUP BY session, hash)
    GROUP BY day ORDER BY day''').fetchall()[:1])
"""
TO_CSV = "COPY (FROM read_json('{log}', format='newline_delimited')) TO '{csv}' (HEADER)"
RUN_SUMMARIES = 10_000


def measure(command: list[str], remove: Iterable[Path] = ()) -> tuple[float, float]:
    """Run a process without the files in `remove`; return its wall time in seconds and its peak memory in MiB."""
    for path in remove:
        path.unlink(missing_ok=True)
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {command}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def corrupt(log: Path, bad: Path) -> None:
    """Copy a log with one of a thousand lines truncated."""
    draw = random.Random(1)  # noqa: S311  (no secret)
    with log.open("rb") as lines, bad.open("wb") as out:
        out.writelines(line[:50] + b"\n" if draw.random() < 0.001 else line for line in lines)


def main() -> None:
    """Parse the arguments and run the benchmark."""
    parser = argparse.ArgumentParser(description="Benchmark analyzer against plain DuckDB.")
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in", dest="directory", type=Path, help="directory that keeps the logs for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        benchmark(arguments.directory or Path(scratch), arguments.events, arguments.rounds)


def generate_logs(here: Path, events: int) -> dict[str, Path]:
    """Generate the missing logs and return their paths: plain, with bad lines, compressed, as CSV, and a small one."""
    here.mkdir(exist_ok=True)
    names = {"plain": f"{events}.ndjson", "bad": f"{events}.bad", "zst": f"{events}.ndjson.zst", "csv": f"{events}.csv",
             "small": "2000.ndjson"}  # fmt: skip
    paths = {key: here / name for key, name in names.items()}
    generate = [sys.executable, str(ROOT / "sample_data" / "generate.py"), "--events"]
    for name, count in (("plain", events), ("zst", events), ("small", 2000)):
        if not paths[name].exists():
            subprocess.run([*generate, str(count), "-o", str(paths[name])], check=True)
    if not paths["bad"].exists():
        corrupt(paths["plain"], paths["bad"])
    if not paths["csv"].exists():
        duckdb.execute(TO_CSV.format(log=paths["plain"], csv=paths["csv"]))
    return paths


def generate_summaries(here: Path) -> Path:
    """Return a directory with run summaries of 40 tasks with 200 inputs each, of which one file changes in each run."""
    directory = here / "runs"
    if not directory.exists():
        directory.mkdir()
        files = [{f"src/feature{n % 17}/module{n}.ts": digest(package, n) for n in range(200)} for package in range(40)]
        for run in range(RUN_SUMMARIES):
            changed = files[run % len(files)]
            changed[sorted(changed)[run % len(changed)]] = digest("changed", run)
            (directory / f"{run:027}.json").write_text(json.dumps(_summary(run, files), indent=2))
    return directory


def digest(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


def _summary(run: int, files: list[dict[str, str]]) -> dict[str, object]:
    """Return the summary of a run, in which package run % 40 has changed; each package depends on up to five others."""
    started = 1_795_000_000_000 + run * 60_000
    count = len(files)
    last_changes = [run - (run - package) % count for package in range(count)]
    tasks = [
        {
            "taskId": f"pkg{n}#build", "task": "build", "package": f"pkg{n}", "directory": f"packages/pkg{n}",
            "hash": digest(n, last_changes[n], last_changes[: n % 6])[:16], "inputs": files[n],
            "dependencies": [f"pkg{m}#build" for m in range(n % 6) if m < n], "dependents": [],
            "cache": {"status": "MISS"}, "outputs": ["dist/**"], "command": "tsc --build",
            "resolvedTaskDefinition": {"cache": True, "outputs": ["dist/**"]},
            "execution": {"startTime": started, "endTime": started + 1500 + n, "exitCode": 0},
        }
        for n in range(count)
    ]  # fmt: skip
    execution = {"command": "turbo run build", "attempted": count, "startTime": started, "endTime": started + 900}
    execution |= {"success": count, "failed": 0, "cached": 0, "exitCode": 0}
    scm = {"type": "git", "sha": f"{run:040x}", "branch": "main"}
    head = {"id": f"{run:027}", "version": "1", "turboVersion": "2.11.11", "execution": execution}
    return {**head, "tasks": tasks, "user": "", "scm": scm}


def benchmark(here: Path, events: int, rounds: int) -> None:
    """Run all commands in turn for some rounds; print their medians, the ratios, and the limits for these."""
    log = generate_logs(here, events)
    loaded, archive, small, runs = (here / f"{name}.duckdb" for name in ("loaded", "archive", "small", "runs"))
    analyzer, python, summaries = [sys.executable, "-m", "analyzer"], [sys.executable, "-c"], generate_summaries(here)
    for source, path in ((log["plain"], archive), (log["small"], small), (summaries, runs)):
        path.unlink(missing_ok=True)
        subprocess.run([*analyzer, "load", str(source), "--into", str(path)], check=True, stdout=subprocess.DEVNULL)
    commands = {
        "duckdb load": [*python, DUCKDB_LOAD.format(archive=loaded, log=log["plain"])],
        "duckdb load bad": [*python, DUCKDB_LOAD.format(archive=loaded, log=log["bad"])],
        **{
            f"load {name}": [*analyzer, "load", str(log[name]), "--into", str(loaded)]
            for name in ("plain", "bad", "zst", "csv")
        },
        "duckdb stats": [*python, DUCKDB_STATS.format(log=log["plain"])],
        "stats by day": [*analyzer, "stats", str(log["plain"]), "--by", "day"],
        **{name: [*analyzer, name, str(archive)] for name in ("misses", "retention", "compare", "sessions")},
        "load runs": [*analyzer, "load", str(summaries), "--into", str(loaded)],
        "causes": [*analyzer, "causes", str(runs)],
        "misses of runs": [*analyzer, "misses", str(runs)],
        "report sample_data": [
            *analyzer,
            "report",
            str(ROOT / "sample_data"),
            "-o",
            str(here / "page.html"),
            "--force",
        ],
        "help": [*analyzer, "--help"],
        "stats small": [*analyzer, "stats", str(small)],
    }
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            results[name].append(measure(command, (loaded,)))
    median = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in results.items()}
    for name, seconds in median.items():
        print(f"{name:20} {seconds:8.2f} s {max(mebibytes for _, mebibytes in results[name]):7.0f} MiB")
    for ours, reference, limit in (
        ("load plain", "duckdb load", 1.0),
        ("load bad", "duckdb load bad", 1.2),
        ("load zst", "load plain", 1.15),
        ("load csv", "load plain", 1.0),
        ("stats by day", "duckdb stats", 1.3),
    ):
        print(f"{ours} / {reference:30} {median[ours] / median[reference]:5.2f}  (at most {limit})")
    for name, limit in (("load runs", 30), ("causes", 10), ("report sample_data", 3), ("stats small", 0.25)):
        print(f"{name:42} {median[name]:5.2f}  (at most {limit} s)")


if __name__ == "__main__":
    main()
