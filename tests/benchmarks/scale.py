"""Benchmarks an archive of many events: `python tests/benchmarks/scale.py --events 100000000`, or `--quick`.

The archive is one of 4 million events, repeated with new sessions, hashes and times. Each figure is the median of whole
processes; peers answer the same question from the same lookups in Parquet, in the same run. `--in` keeps the data.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb

ROOT = Path(__file__).parent.parent.parent
BASE_EVENTS, BASE_DAYS = 4_000_000, 84  # whole weeks: a repeated log has its weekends at weekends
ANALYZER = [sys.executable, "-m", "analyzer"]

# The tables that grow with the log, with the columns that differ in each repetition: by `sessions`, `hashes` or `files`
# of the log before, or by the days.
REPEATED = {
    "session": {"id": "sessions", "session": "left(session, 28) || right(md5(session || {n}), 8)"},
    "hash": {"id": "hashes", "hash": "left(md5(hash || {n}), 16)"},
    "file": {"id": "files", "name": "name || {n}", "digest": "md5(digest || {n})"},
    "event": {"file_id": "files", "session_id": "sessions", "hash_id": "hashes", "happened_at": "days"},
    "lookup": {"session_id": "sessions", "hash_id": "hashes", "first_at": "days", "last_at": "days"},
    "session_summary": {"session_id": "sessions", "first_at": "days", "last_at": "days"},
    "session_quarter": {"session_id": "sessions", "quarter_at": "days", "first_at": "days", "last_lookup_at": "days",
                        "last_at": "days"},
    "hash_duration": {"hash_id": "hashes"},
}  # fmt: skip


@dataclass(frozen=True)
class StatsQuestion:
    """A question of `stats`, and how the peers group and filter lookups for it."""

    options: tuple[str, ...] = ()
    sql_key: str = ""
    polars_key: str = ""
    clickhouse_key: str = ""
    sql_filter: str = "true"
    polars_filter: str = "pl.lit(True)"


DAY = ("date_trunc('day', first_at)", "pl.col('first_at').dt.truncate('1d')", "toDate(first_at)")
SINCE = {
    "sql_filter": "first_at >= '{middle}'",
    "polars_filter": "pl.col('first_at') >= pl.lit('{middle}').str.to_datetime()",
}
STATS = {
    "stats": StatsQuestion(),
    "stats --by day": StatsQuestion(("--by", "day"), *DAY),
    "stats --by team": StatsQuestion(("--by", "team"), "team", "'team'", "team"),
    "stats --by week,ci": StatsQuestion(
        ("--by", "week,ci"), "date_trunc('week', first_at), ci", "pl.col('first_at').dt.truncate('1w'), 'ci'",
        "toStartOfWeek(first_at), ci"),
    "stats --tz Asia/Kolkata --by day": StatsQuestion(
        ("--tz", "Asia/Kolkata", "--by", "day"),
        "date_trunc('day', timezone('Asia/Kolkata', timezone('UTC', first_at)))",
        "pl.col('first_at').dt.replace_time_zone('UTC').dt.convert_time_zone('Asia/Kolkata').dt.truncate('1d')",
        "toDate(first_at, 'Asia/Kolkata')"),
    "stats --since T": StatsQuestion(("--since", "{middle}"), **SINCE),
    "stats --since T --by day": StatsQuestion(("--since", "{middle}", "--by", "day"), *DAY, **SINCE),
    "stats --team web --by day": StatsQuestion(
        ("--team", "web", "--by", "day"), *DAY, sql_filter="team = 'web'", polars_filter="pl.col('team') == 'web'"),
}  # fmt: skip
MAX_STATS_SECONDS, MIN_STATS_RATIO = 0.5, 10

# Other questions, and the limit of their median in seconds for 100 million events on two quiet cores.
WEEK = ("--since", "{week}", "--until", "{week_end}")
QUESTIONS: dict[str, tuple[tuple[str, ...], float]] = {
    "check": (("check", "{archive}", "--min-hit-rate", "0.1"), 0.6),
    **{f"{name}, one week": ((name, "{archive}", *WEEK), 2.0)
       for name in ("misses", "retention", "sessions", "doctor")},
    "compare, two weeks": (("compare", "{archive}", "--until", "{week_end}"), 2.0),
    **{name: ((name, "{archive}"), 15.0) for name in ("misses", "retention", "sessions")},
    "compare": (("compare", "{archive}", "..{middle}", "{middle}.."), 15.0),
    "doctor": (("doctor", "{archive}"), 30.0),
    "report": (("report", "{archive}", "-o", "{here}/page.html", "--force"), 60.0),
}  # fmt: skip
MAX_MEMORY_MIB, MAX_BYTES_PER_EVENT, MAX_LOAD_SECONDS = 1229, 20, 1.5
MAX_EXPORT_RATIO, MAX_EXPORT_MIB, EXPORTED_ROWS = 1.5, 500, 10_000_000

# What an analyst exports: `analyzer sql ARCHIVE "SELECT … FROM lookups" -o lookups.parquet`.
LOOKUPS = "SELECT session, hash, first_at, duration_ms, outcome, team, ci FROM lookups"
DUCKDB = """
import duckdb
print(len(duckdb.sql(\"\"\"SELECT {key} count(*), count(*) FILTER (outcome <> 'miss'), sum(duration_ms),
count(DISTINCT session) FROM '{parquet}' WHERE {filter} GROUP BY ALL\"\"\").fetchall()))
"""
POLARS = """
import polars as pl
rows = pl.scan_parquet('{parquet}').filter({filter})
hits = pl.col('outcome') != 'miss'
measures = [pl.len(), hits.sum().alias('hits'), pl.col('duration_ms').sum(), pl.col('session').n_unique()]
print(rows.{group}.collect(engine='streaming').height)
"""
CHDB = """
import chdb
print(len(str(chdb.query(\"\"\"SELECT {key} count(), countIf(outcome != 'miss'), sum(duration_ms),
uniqExact(session) FROM file('{parquet}', Parquet) WHERE {filter} {group}\"\"\"))))
"""
COPY = "import duckdb; duckdb.connect('{archive}', read_only=True).execute(\"COPY ({sql}) TO '{file}'{options}\")"


def measure(command: list[str]) -> tuple[float, float]:
    """Run a process; return its wall time in seconds and its peak memory in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def median(command: list[str], rounds: int) -> tuple[float, float]:
    """Return the median wall time and the largest peak memory of some runs, after one that fills the page cache."""
    runs = [measure(command) for _ in range(rounds + 1)][1:]
    return statistics.median(seconds for seconds, _ in runs), max(mebibytes for _, mebibytes in runs)


def make_archive(here: Path, events: int) -> None:
    """Make an archive of about `events` events, and its lookups as Parquet, unless they are there."""
    archive, parquet, log = here / f"{events}.duckdb", here / f"{events}.parquet", here / "base.ndjson"
    if not archive.exists():
        generate = [sys.executable, str(ROOT / "sample_data" / "generate.py"), "--days", str(BASE_DAYS)]
        subprocess.run([*generate, "--events", str(min(events, BASE_EVENTS)), "-o", str(log)], check=True)
        part = here / "part.duckdb"
        part.unlink(missing_ok=True)
        subprocess.run([*ANALYZER, "load", str(log), "--into", str(part)], check=True, stdout=subprocess.DEVNULL)
        repeat(part, round(events / min(events, BASE_EVENTS)))
        part.rename(archive)
    if not parquet.exists():
        with duckdb.connect(str(archive), read_only=True) as connection:
            connection.execute(f"COPY ({LOOKUPS}) TO '{parquet}' (COMPRESSION zstd)")


def repeat(archive: Path, times: int) -> None:
    """Append the content of an archive to it again and again, with other names, ids and times."""
    with duckdb.connect(str(archive), config={"memory_limit": "4GB", "preserve_insertion_order": False}) as connection:
        query = "SELECT (SELECT max(id) FROM store.session), (SELECT max(id) FROM store.hash), max(id) FROM store.file"
        sessions, hashes, files = connection.execute(query).fetchall()[0]
        for table in REPEATED:
            connection.execute(f"CREATE TEMP TABLE base_{table} AS FROM store.{table}")
        for number in range(1, times):
            steps = {"sessions": sessions * number, "hashes": hashes * number, "files": files * number,
                     "days": f"INTERVAL {BASE_DAYS * number} DAY"}  # fmt: skip
            for table, columns in REPEATED.items():
                changes = (
                    f"{column} + {steps[change]} AS {column}" if change in steps else f"{change} AS {column}"
                    for column, change in columns.items()
                )
                sql = f"INSERT INTO store.{table} SELECT * REPLACE ({', '.join(changes)}) FROM base_{table}"
                connection.execute(sql.replace("{n}", str(number)))


def peers(question: StatsQuestion, parquet: Path, values: dict[str, str]) -> dict[str, list[str]]:
    """Return commands of other engines that answer a question from the lookups in Parquet."""
    where = question.sql_filter.format(**values)
    key = f"{question.sql_key}," if question.sql_key else ""
    group = f"group_by({question.polars_key}).agg(*measures)" if key else "select(*measures)"
    polars = POLARS.format(parquet=parquet, filter=question.polars_filter.format(**values), group=group)
    found = {"duckdb": DUCKDB.format(key=key, parquet=parquet, filter=where), "polars": polars}
    if find_spec("chdb"):
        key, group = (f"{question.clickhouse_key},", f"GROUP BY {question.clickhouse_key}") if key else ("", "")
        found["chdb"] = CHDB.format(key=key, parquet=parquet, filter=where, group=group)
    return {name: [sys.executable, "-c", code] for name, code in found.items()}


def main() -> None:
    """Parse the arguments, run the benchmark, and print a line for each question."""
    parser = argparse.ArgumentParser(description="Benchmark an archive of many events.")
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--quick", action="store_true", help="one million events, one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="directory", type=Path, help="directory that keeps the data for the next run")
    arguments = parser.parse_args()
    events, rounds = (1_000_000, 1) if arguments.quick else (arguments.events, arguments.rounds)
    with tempfile.TemporaryDirectory() as scratch:
        here = arguments.directory or Path(scratch)
        here.mkdir(exist_ok=True)
        if arguments.make:
            make_archive(here, events)
        else:
            benchmark(here, events, rounds)


def benchmark(here: Path, events: int, rounds: int) -> None:
    """Run and print everything."""
    # In a process of its own: Linux counts the memory of the process that starts another as the other's, too.
    subprocess.run([sys.executable, __file__, "--make", "--events", str(events), "--in", str(here)], check=True)
    archive, parquet = here / f"{events}.duckdb", here / f"{events}.parquet"
    with duckdb.connect(str(archive), read_only=True) as connection:
        query = (
            "SELECT sum(events)::BIGINT, sum(lookups)::BIGINT, count(DISTINCT session), min(first_at), max(first_at)"
        )
        stored, lookups, sessions, first, last = connection.execute(f"{query} FROM session_quarters").fetchall()[0]
    print(f"{stored:,} events, {lookups:,} lookups, {sessions:,} sessions, from {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    middle = (first + (last - first) / 2).replace(hour=10, minute=7, second=0, microsecond=0)
    week = middle.replace(hour=0, minute=0)
    values = {"archive": str(archive), "here": str(here), "middle": middle.isoformat(), "week": week.isoformat(),
              "week_end": (week + timedelta(days=7)).isoformat()}  # fmt: skip
    print(f"{'':36}{'median s':>9}{'limit':>8}{'MiB':>7}   fastest peer, and how many times as long it takes")
    for name, question in STATS.items():
        options = [option.format(**values) for option in question.options]
        seconds, mebibytes = median([*ANALYZER, "stats", str(archive), *options], rounds)
        times = {peer: median(command, rounds)[0] for peer, command in peers(question, parquet, values).items()}
        fastest = min(times, key=lambda peer: times[peer])
        ratio = f"{fastest} {times[fastest]:.2f} s, {times[fastest] / seconds:.1f} (at least {MIN_STATS_RATIO})"
        print_line(name, seconds, MAX_STATS_SECONDS, mebibytes, ratio)
    for name, (arguments, limit) in QUESTIONS.items():
        print_line(name, *timed([part.format(**values) for part in arguments], limit, rounds))
    measure_load(here, archive, rounds)
    measure_export(here, archive, rounds)
    measure_lake(here, archive)
    print(f"{'bytes an event':36}{archive.stat().st_size / stored:9.1f}{MAX_BYTES_PER_EVENT:8}")
    print(f"peak memory may be {MAX_MEMORY_MIB:,} MiB")


def timed(arguments: list[str], limit: float, rounds: int) -> tuple[float, float, float]:
    """Return the median seconds of a command, their limit, and the peak memory."""
    seconds, mebibytes = median([*ANALYZER, *arguments], rounds)
    return seconds, limit, mebibytes


def print_line(name: str, seconds: float, limit: float, mebibytes: float, remark: str = "") -> None:
    """Print a line of the table."""
    print(f"{name:36}{seconds:9.2f}{limit:8.1f}{mebibytes:7.0f}   {remark}".rstrip(), flush=True)


def measure_load(here: Path, archive: Path, rounds: int) -> None:
    """Print how long it takes to load a file of 10,000 new events into a copy of the archive."""
    copy = here / "copy.duckdb"
    shutil.copy(archive, copy)
    runs = []
    for number in range(rounds + 1):
        log = here / "small.ndjson"
        generate = [sys.executable, str(ROOT / "sample_data" / "generate.py"), "--events", "10000", "--days", "2"]
        subprocess.run([*generate, "--seed", str(1000 + number), "-o", str(log)], check=True)
        runs.append(measure([*ANALYZER, "load", str(log), "--into", str(copy)]))
    copy.unlink()
    seconds = statistics.median(seconds for seconds, _ in runs[1:])
    print_line("load 10,000 events", seconds, MAX_LOAD_SECONDS, max(mebibytes for _, mebibytes in runs[1:]))


def measure_lake(here: Path, archive: Path) -> None:
    """Print how long the export of everything to an empty lake takes; it is no question, and is run once."""
    lake = here / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    seconds, mebibytes = measure([*ANALYZER, "export", str(archive), "--to", str(lake)])
    size = sum(file.stat().st_size for file in lake.rglob("*.parquet"))
    print(f"{'export to a lake':36}{seconds:9.2f}{mebibytes:15.0f}   {size / 1e6:,.0f} MB", flush=True)
    shutil.rmtree(lake)


def measure_export(here: Path, archive: Path, rounds: int) -> None:
    """Print how long the export of many rows takes, and DuckDB's own COPY of the same."""
    sql = f"SELECT * EXCLUDE (file) FROM events LIMIT {EXPORTED_ROWS}"
    for suffix, options in (("parquet", " (COMPRESSION zstd)"), ("csv", " (HEADER)")):
        file = here / f"export.{suffix}"
        arguments = [*ANALYZER, "sql", str(archive), sql, "-o", str(file), "--force"]
        seconds, mebibytes = median(arguments, rounds)
        code = COPY.format(archive=archive, sql=sql, file=file, options=options)
        copied, _ = median([sys.executable, "-c", code], rounds)
        remark = f"COPY {copied:.2f} s: {seconds / copied:.2f} times as long; at most {MAX_EXPORT_MIB} MiB"
        print_line(f"sql, 10 M rows to {suffix}", seconds, MAX_EXPORT_RATIO * copied, mebibytes, remark)


if __name__ == "__main__":
    main()
