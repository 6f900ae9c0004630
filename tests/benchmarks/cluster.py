"""Compares a cluster of Spark with an archive: `python tests/benchmarks/cluster.py --events 10000000`.

It makes a log, loads it into an archive and, by the cluster, into a lake, and asks both every question. It prints how
long each took, and how many values of the answers are equal: counts, texts and times exactly, others to 1e-9.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from spark_cluster import spark_cluster  # noqa: E402  (beside the tests)

ANALYZER = [sys.executable, "-m", "analyzer"]
LOGS = 12  # gzip files, which tasks read at the same time
QUESTIONS = {
    "stats": ["--by", "week,team", "--tz", "Asia/Kolkata"],
    "misses": ["--by", "team"],
    "retention": [],
    "compare": [],
    "check": ["--min-hit-rate", "0.5", "--max-drop", "0.9"],
    "sessions": ["--by", "week"],
    "doctor": [],
}
MAX_ERROR = 1e-9


def make_logs(here: Path, events: int) -> None:
    """Make a log of about so many events, as gzip files."""
    here.mkdir(parents=True, exist_ok=True)
    whole = here.parent / "log.ndjson"
    generate = [sys.executable, ROOT / "sample_data" / "generate.py", "--events", str(events), "-o", whole]
    subprocess.run(generate, check=True)
    split = ["split", "-n", f"l/{LOGS}", "--filter=gzip -1 > $FILE.ndjson.gz", whole, here / "part-"]
    subprocess.run(split, check=True)
    whole.unlink()


def run(*arguments: object) -> tuple[float, str]:
    """Run a command, and return its seconds and what it printed."""
    begin = time.monotonic()
    command = [*ANALYZER, *map(str, arguments), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return time.monotonic() - begin, done.stdout


def differences(one: Any, other: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield a triple for each value: its place, and both values if they differ, else None."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key, value in one.items():
            yield from differences(value, other[key], f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (value, another) in enumerate(zip(one, other, strict=True)):
            yield from differences(value, another, f"{place}[{number}]")
    else:
        floats = isinstance(one, float) and isinstance(other, float)
        is_same = one == other or (floats and math.isclose(one, other, rel_tol=MAX_ERROR))
        yield place, *((None, None) if is_same else (one, other))


def tables_of(text: str, findings: set[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables of an answer in JSON; of findings only those that both answers examined."""
    tables = {table["name"]: table["rows"] for table in json.loads(text)["tables"]}
    for rows in tables.values():
        rows[:] = [row for row in rows if findings is None or row.get("finding", "") in {"", *findings}]
    return tables


def benchmark(here: Path, events: int) -> bool:
    """Run and print everything; return whether all values are equal."""
    logs, archive, lake = here / "logs", here / "archive.duckdb", here / "lake"
    if not logs.exists():
        make_logs(logs, events)
    with spark_cluster(here) as cluster:
        seconds = {"load": (run("load", logs, "--into", archive)[0],
                            run("load", logs, "--into", lake, "--engine", cluster.url)[0])}  # fmt: skip
        compared, wrong = 0, list[tuple[str, Any, Any]]()
        for name, options in QUESTIONS.items():
            here_seconds, expected = run(name, archive, *options, "--format", "json")
            there_seconds, found = run(name, lake, *options, "--format", "json", "--engine", cluster.url)
            seconds[name] = here_seconds, there_seconds
            examined = {row["finding"] for row in tables_of(found).get("findings", [])}
            pairs = list(differences(tables_of(expected, examined), tables_of(found), name))
            compared += len(pairs)
            wrong += [pair for pair in pairs if pair[1:] != (None, None)]
    print(f"{'':10} {'archive':>9} {'cluster':>9}  seconds of whole processes; starting Spark takes about 15")
    for name, (here_seconds, there_seconds) in seconds.items():
        print(f"{name:10} {here_seconds:9.1f} {there_seconds:9.1f}")
    print(f"values compared: {compared:,}; different: {len(wrong):,}")
    for place, one, other in wrong[:20]:
        print(f"  {place}: {one!r}, on the cluster {other!r}")
    return not wrong


def main() -> None:
    """Parse the arguments, and run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--in", dest="directory", type=Path, help="a directory for the data, which is kept")
    arguments = parser.parse_args()
    with nullcontext(arguments.directory) if arguments.directory else tempfile.TemporaryDirectory() as here:
        sys.exit(0 if benchmark(Path(here), arguments.events) else 1)


if __name__ == "__main__":
    main()
