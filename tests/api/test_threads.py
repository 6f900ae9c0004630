"""One log answers several threads, each with what it asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import event, ndjson

import analyzer

THREADS = range(4)
TIMES = 7


@pytest.fixture
def log(tmp_path: Path) -> analyzer.Log:
    """A log with as many misses of a hash as its number says."""
    events = [event(hash=f"h{n}", event="MISS", sessionId=f"{n}-{k}") for n in THREADS for k in range(n)]
    (tmp_path / "log").write_text(ndjson([*events, event(hash="hit")]))
    return analyzer.load(tmp_path / "log")


def at_once(ask: Callable[[int], Any]) -> list[list[Any]]:
    """Ask in each thread, again and again, and return what each of them was told."""
    with ThreadPoolExecutor(len(THREADS)) as pool:
        return list(pool.map(lambda number: [ask(number) for _ in range(TIMES)], THREADS))


def test_each_thread_gets_the_answer_to_its_own_question(log: analyzer.Log) -> None:
    asked = [
        lambda n: log.misses(hash=f"h{n}", table="misses")["misses"].item(),
        lambda n: log.stats(where=f"hash = 'h{n}'")["lookups"].item(),
        lambda n: log.sql(f"SELECT count(*) AS n FROM lookups WHERE hash = 'h{n}'")["n"].item(),
        lambda n: log.lookups().filter(pl.col("hash") == f"h{n}").collect(engine="streaming").height,
    ]
    for ask in (*asked, lambda n: asked[n](n)):
        assert at_once(ask) == [[n] * TIMES for n in THREADS]


def test_two_logs_are_compared_from_both_sides_at_once(log: analyzer.Log, tmp_path: Path) -> None:
    pair = [log, analyzer.load(tmp_path / "log")]
    told = at_once(lambda n: pair[n % 2].compare(b=pair[n % 2 - 1], table="sides").height)
    assert told == [[2] * TIMES for _ in THREADS]


def test_a_log_is_closed_after_the_answers_under_way(log: analyzer.Log) -> None:
    def ask(number: int) -> Any:
        if number == 0:
            return log.close()
        try:
            return log.misses(hash=f"h{number}", table="misses")["misses"].item()
        except analyzer.UsageError:
            return None

    assert all(set(told) <= {number, None} for number, told in enumerate(at_once(ask)))
