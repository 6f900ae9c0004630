"""Counts that are kept ready: no answer differs from that over single lookups, not in the last digit."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Cli, ndjson
from random_logs import answers, random_events, same_report

from analyzer.archive.counts import LOOKUP_COUNTS
from analyzer.archive.merge import HASH_DURATIONS
from analyzer.archive.open_log import LoadObserver, OpenLog, open_log
from analyzer.archive.staging import ReadOptions

# Temporary views of these names hide the tables of the archive.
WITHOUT_READY = f"""
CREATE TEMP VIEW session_quarter AS SELECT {LOOKUP_COUNTS} FROM store.lookup;
CREATE TEMP VIEW hash_duration AS {HASH_DURATIONS.format(lookups="store.lookup")};
"""


@contextmanager
def opened(archive: Path, *, ready: bool) -> Iterator[OpenLog]:
    with open_log([str(archive)], ReadOptions(), LoadObserver()) as log:
        if not ready:
            log.connection.execute(WITHOUT_READY)
        yield log


def check_seed(seed: int, cli: Cli, tmp_path: Path) -> None:
    events = random_events(random.Random(seed))  # noqa: S311  (no secret)
    archive = tmp_path / f"{seed}.duckdb"
    for part in range(3):  # sessions may be split over files and loads
        log = tmp_path / f"{seed}-{part}.ndjson"
        log.write_text(ndjson(events[part::3]))
        assert cli("load", log, "--into", archive).code == 0
    draws = [random.Random(seed), random.Random(seed)]  # noqa: S311  (no secret)
    with opened(archive, ready=True) as first, opened(archive, ready=False) as second:
        for with_ready, without in zip(answers(first, draws[0]), answers(second, draws[1]), strict=True):
            assert same_report(with_ready, without), (seed, with_ready.command)


def test_every_answer_is_the_same_without_what_is_ready(cli: Cli, tmp_path: Path) -> None:
    for seed in range(6):
        check_seed(seed, cli, tmp_path)


@pytest.mark.slow
def test_many_answers_are_the_same_without_what_is_ready(cli: Cli, tmp_path: Path) -> None:
    for seed in range(100, 104):
        check_seed(seed, cli, tmp_path)
