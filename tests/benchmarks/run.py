"""Benchmarks analyzer against plain DuckDB on the same log: `python tests/benchmarks/run.py --events 10000000`.

Each figure is the best of several runs of a whole process. The commands alternate, so that other load on the machine
slows both sides alike; compare the ratios.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
EVENT_COLUMNS = (
    "{sessionId: 'VARCHAR', source: 'VARCHAR', event: 'VARCHAR', hash: 'VARCHAR', duration: 'DOUBLE',"
    " timestamp: 'TIMESTAMP', teamId: 'VARCHAR', slug: 'VARCHAR', ci: 'VARCHAR', interactive: 'INTEGER'}"
)
READ = "read_json('{log}', format='newline_delimited', columns={columns})"
LOAD = "import duckdb; duckdb.connect('{archive}').execute(\"CREATE TABLE t AS SELECT * FROM {read}\")"
RATE = (
    "import duckdb; print(duckdb.sql(\"SELECT timestamp::DATE, avg((event = 'HIT')::INTEGER), sum(duration)"
    ' FROM {read} GROUP BY 1 ORDER BY 1").fetchall()[:1])'
)
RUN_SUMMARIES = 10_000
RATE_COLUMNS = "{event: 'VARCHAR', duration: 'DOUBLE', timestamp: 'TIMESTAMP'}"


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
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in", dest="directory", type=Path, help="directory that keeps the logs for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        benchmark(arguments.directory or Path(scratch), arguments.events, arguments.rounds)


def generate_logs(here: Path, events: int) -> dict[str, Path]:
    """Generate the missing logs and return their paths: plain, with bad lines, compressed, and a small one."""
    here.mkdir(exist_ok=True)
    names = {"plain": f"{events}.ndjson", "bad": f"{events}.bad", "zst": f"{events}.ndjson.zst", "small": "2000.ndjson"}
    paths = {key: here / name for key, name in names.items()}
    generate = [sys.executable, str(ROOT / "sample_data" / "generate.py"), "--events"]
    for name, count in (("plain", events), ("zst", events), ("small", 2000)):
        if not paths[name].exists():
            subprocess.run([*generate, str(count), "-o", str(paths[name])], check=True)
    if not paths["bad"].exists():
        corrupt(paths["plain"], paths["bad"])
    return paths


def generate_summaries(here: Path) -> Path:
    """Return a directory with run summaries of 40 tasks each, as long as real ones."""
    directory = here / "runs"
    if not directory.exists():
        directory.mkdir()
        inputs = {f"src/module{n}.ts": f"{n:040x}" for n in range(8)}
        for run in range(RUN_SUMMARIES):
            (directory / f"{run:027}.json").write_text(json.dumps(_summary(run, inputs), indent=2))
    return directory


def _summary(run: int, inputs: dict[str, str]) -> dict[str, object]:
    started = 1_795_000_000_000 + run * 60_000
    tasks = [
        {
            "taskId": f"pkg{n}#build", "task": "build", "package": f"pkg{n}", "hash": f"{(run // 20 * 40 + n):016x}",
            "inputs": inputs, "dependencies": [f"pkg{m}#build" for m in range(n % 6)], "dependents": [],
            "cache": {"local": False, "remote": True, "status": "HIT", "source": "REMOTE", "timeSaved": 1500 + n},
            "outputs": ["dist/**"], "command": "tsc --build", "resolvedTaskDefinition": {"cache": True},
            "execution": {"startTime": started, "endTime": started + 2, "exitCode": 0},
        }
        for n in range(40)
    ]  # fmt: skip
    execution = {"command": "turbo run build", "attempted": 40, "startTime": started, "endTime": started + 900}
    execution |= {"success": 0, "failed": 0, "cached": 40, "exitCode": 0}
    scm = {"type": "git", "sha": f"{run:040x}", "branch": "main"}
    head = {"id": f"{run:027}", "version": "1", "turboVersion": "2.11.11", "execution": execution}
    return {**head, "tasks": tasks, "user": "", "scm": scm}


def benchmark(here: Path, events: int, rounds: int) -> None:
    """Run all commands in turn for some rounds; print their best times, the ratios, and the limits for these."""
    log = generate_logs(here, events)
    loaded, plain, archive = here / "loaded.duckdb", here / "plain.duckdb", here / "archive.duckdb"
    archive.unlink(missing_ok=True)
    analyzer, python = [sys.executable, "-m", "analyzer"], [sys.executable, "-c"]
    read = READ.format(log=log["plain"], columns=EVENT_COLUMNS)
    commands = {
        "duckdb load": [*python, LOAD.format(archive=plain, read=read)],
        **{
            f"load {name}": [*analyzer, "load", str(log[name]), "--into", str(loaded)]
            for name in ("plain", "bad", "zst")
        },
        "duckdb rate": [*python, RATE.format(read=READ.format(log=log["plain"], columns=RATE_COLUMNS))],
        "stats": [*analyzer, "stats", str(log["plain"])],
        "stats by day": [*analyzer, "stats", str(log["plain"]), "--by", "day"],
        "archived": [*analyzer, "load", str(log["plain"]), "--into", str(archive)],
        **{name: [*analyzer, name, str(archive)] for name in ("misses", "retention", "compare", "sessions")},
        "load runs": [*analyzer, "load", str(generate_summaries(here)), "--into", str(loaded)],
        "help": [*analyzer, "--help"],
        "stats 2000": [*analyzer, "stats", str(log["small"])],
    }
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            if name != "archived" or not results[name]:
                results[name].append(measure(command, (loaded, plain)))
    best = {name: min(times) for name, times in results.items()}
    for name, (seconds, mebibytes) in best.items():
        print(f"{name:14} {seconds:8.2f} s {mebibytes:7.0f} MiB")
    for title, ours, reference, limit in (
        ("load / duckdb load", "load plain", "duckdb load", 1.5),
        ("load with 0.1 % bad lines / duckdb load", "load bad", "duckdb load", 1.7),
        ("load .zst / load", "load zst", "load plain", 1.15),
        ("stats / duckdb rate", "stats", "duckdb rate", 2.5),
        ("stats by day / duckdb rate", "stats by day", "duckdb rate", 2.5),
    ):
        print(f"{title:42} {best[ours][0] / best[reference][0]:5.2f}  (at most {limit})")

    for name, limit in (("misses", 1.5), ("retention", 1.5), ("compare", 1.5), ("sessions", 1.5), ("load runs", 20)):
        print(f"{name:42} {best[name][0]:5.2f}  (at most {limit} s)")


if __name__ == "__main__":
    main()
