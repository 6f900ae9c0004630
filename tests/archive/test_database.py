"""An archive in one process: several readers at once, or one that loads."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event

import analyzer
from analyzer.archive import database
from analyzer.archive.open_log import LoadObserver, load_into
from analyzer.archive.staging import ReadOptions

SMALL = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a command whose files cannot grow: as on a disk that is full."""


@pytest.fixture
def archive(log: Any, tmp_path: Path) -> Path:
    analyzer.load(log([event(), event(hash="h2", event="MISS", duration=0)]), into=tmp_path / "a.duckdb").close()
    return tmp_path / "a.duckdb"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that temporary ones are made in."""
    (made := tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


def test_readers_share_an_archive(archive: Path, temporary: Path) -> None:
    log = analyzer.load(archive)
    again = analyzer.load(archive)
    (link := archive.with_name("link.duckdb")).symlink_to(archive)
    plan = analyzer.replay(link, api="https://cache.example.com", journal=archive.with_name("j")).plan
    assert plan
    assert plan.events == 2
    log.close()
    assert again.stats()["hits"].item() == 1
    again.close()
    assert list(temporary.iterdir()) == []


def test_a_reader_spills_when_the_first_has_gone(
    archive: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BASE_MEMORY_MB", 60)
    monkeypatch.setattr(database, "MEMORY_MB_PER_THREAD", 0)
    log, again = analyzer.load(archive), analyzer.load(archive)
    log.close()
    limit = again.sql("SELECT current_setting('memory_limit') AS it")["it"].item()
    assert float(limit.removesuffix(" MiB")) == pytest.approx(60e6 / 2**20, abs=0.1)
    sort = "SELECT max(n) AS it FROM (SELECT row_number() OVER (ORDER BY hash(i)) AS n FROM range(4_000_000) r(i))"
    assert again.sql(sort)["it"].item() == 4_000_000
    assert {path.name for path in temporary.glob("*/*")} == {"duckdb", "lock"}
    again.close()
    assert list(temporary.iterdir()) == []


def test_compared_with_itself(archive: Path, cli: Cli) -> None:
    assert cli("compare", archive, archive).code == 0


def test_no_reader_beside_a_load(archive: Path, log: Any) -> None:
    with analyzer.load(archive) as held:
        with pytest.raises(analyzer.ArchiveError, match=r"a\.duckdb: this program has the archive open already"):
            analyzer.load(log([event(hash="h3")]), into=archive)
        assert held.stats()["hits"].item() == 1
    with analyzer.load(log([event(hash="h3")]), into=archive) as more:
        assert more.stats()["hits"].item() == 2


def test_a_name_that_no_file_can_have(log: Any, tmp_path: Path) -> None:
    with pytest.raises(analyzer.ArchiveError, match=r"x\.duckdb: .*; choose another file"):
        analyzer.load(log([event()]), into=tmp_path / f"{'x' * 300}.duckdb")


def test_no_room_for_a_new_archive(log: Any, tmp_path: Path) -> None:
    (directory := tmp_path / "full").mkdir()
    command = [sys.executable, "-m", "analyzer", "load", log([event()]), "--into", directory / "a.duckdb"]
    result = subprocess.run([sys.executable, "-c", SMALL, *map(str, command)], capture_output=True, check=False)
    assert result.returncode == 1
    assert f"error: {directory}/a.duckdb: the archive cannot be created" in result.stderr.decode()
    assert list(directory.iterdir()) == []


def test_an_archive_is_created_without_hard_links(log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    with analyzer.load(log([event()]), into=tmp_path / "a.duckdb") as found:
        assert found.stats()["hits"].item() == 1
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_threads_that_make_one_archive(log: Any, tmp_path: Path) -> None:
    """Each thread loads its log, or says why not; one that cannot open the archive again says so, but has loaded."""
    archive, opened = tmp_path / "a.duckdb", "has the archive open already"
    logs = [log([event(hash=f"h{number}")], f"log{number}") for number in range(3)]

    def load(path: Path) -> tuple[bool, str]:
        try:
            with load_into([str(path)], archive, ReadOptions(), LoadObserver()):
                pass
        except analyzer.ArchiveError as error:
            return False, str(error)
        try:
            analyzer.load(archive).close()
        except analyzer.ArchiveError as error:
            return True, str(error)
        return True, ""

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(load, logs))
    loaded = sum(is_loaded for is_loaded, _ in results)
    assert loaded > 0
    assert all(opened in words for is_loaded, words in results if words or not is_loaded)
    with analyzer.load(archive) as found:
        assert found.stats()["events"].item() == loaded
