"""The journal: what it holds, what it refuses, and what it says when it cannot be used."""

import itertools
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from conftest import RECORDED, Cli, event

from analyzer.errors import JournalError
from analyzer.replayer.journal import CONFIRMED, UNCERTAIN, FinishedChunk, Journal
from replay.conftest import Replay
from replay.killed import die_in_commit
from replay.server import TOKEN, Strict

LOG = RECORDED / "requests.ndjson"
API = "https://cache.example.com"


def digests(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(16, "big") for number in numbers)


def test_what_was_under_way_is_uncertain_after_a_kill(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        team = journal.destinations(API, [("", "t")])["", "t"]
        (first,) = journal.record_chunks([], [(team, digests(1, 2))])
        journal.record_chunks([FinishedChunk(first, CONFIRMED, 200)], [(team, digests(3))])
    with Journal(tmp_path / "j") as journal:
        assert list(journal.states(team)) == [(CONFIRMED, digests(1, 2)), (UNCERTAIN, digests(3))]
        assert journal.uncertain_chunks()[0][6] == "the run ended before the answer was recorded"
        journal.allow_resend({team: "t"})
        assert (journal.resendable(team, digests(1, 3)), list(journal.faults())) == (digests(3), [])
        (again,) = journal.record_chunks([], [(team, digests(3))])
        journal.record_chunks([FinishedChunk(again, CONFIRMED, 200)])
        assert list(journal.states(team)) == [(CONFIRMED, digests(1, 2)), (CONFIRMED, digests(3))]
        assert list(journal.faults()) == []


def test_only_the_events_sent_again_leave_their_chunk(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        team = journal.destinations(API, [("", "t")])["", "t"]
        (chunk,) = journal.record_chunks([], [(team, digests(1, 2, 3))])
        journal.record_chunks([FinishedChunk(chunk, UNCERTAIN)])
        journal.allow_resend({team: "t"})
        (again,) = journal.record_chunks([], [(team, digests(2))])
        assert list(journal.states(team)) == [(UNCERTAIN, digests(1, 3)), (UNCERTAIN, digests(2))]
        journal.record_chunks([FinishedChunk(again, UNCERTAIN)])
        assert journal.resendable(team, digests(1, 2, 3)) == digests(1, 2, 3)


@pytest.mark.parametrize("size", [100, 1000])
def test_twenty_bytes_an_event(size: int, tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        team = journal.destinations(API, [("", "t")])["", "t"]
        ended: list[FinishedChunk] = []
        for start in range(0, 50_000, size):
            (chunk,) = journal.record_chunks(ended, [(team, digests(*range(start, start + size)))])
            ended = [FinishedChunk(chunk, CONFIRMED, 200)]
        journal.record_chunks(ended)
    assert (tmp_path / "j").stat().st_size <= 20 * 50_000
    assert not (tmp_path / "j-journal").exists()


def test_one_replay_at_a_time(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite"):
        result = replay(LOG)
    assert (result.code, strict.bodies) == (1, [])
    assert "another replay is using the journal" in result.err


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_files_that_are_no_journal(content: bytes, replay: Replay, strict: Strict, tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_bytes(content)
    result = replay(LOG)
    assert (result.code, strict.bodies, result.out) == (1, [], "")
    assert result.err.startswith(f"error: {tmp_path}/j.sqlite: ")
    assert (tmp_path / "j.sqlite").read_bytes() == content


def kill(path: Path, log: Path, strict: Strict) -> None:
    """Let a replay into a journal be killed in its third request."""
    killed = [sys.executable, str(Path(__file__).with_name("killed.py")), "during the request", "3"]
    arguments = ["replay", str(log), "--execute", "--api", strict.url, "--journal", str(path)]
    arguments += ["--requests-per-minute", "0", "--chunk-size", "10"]
    environment = {**os.environ, "TURBO_TOKEN": TOKEN}
    done = subprocess.run([*killed, *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_copy_of_the_file_alone_knows_all_that_was_sent(
    replay: Replay, cli: Cli, log: Any, strict: Strict, tmp_path: Path
) -> None:
    """Also after a kill, and reading it leaves nothing beside it."""
    path, source = tmp_path / "j.sqlite", log([event(hash=f"h{n}") for n in range(50)])
    kill(path, source, strict)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    shutil.copy(path, elsewhere)
    copy = elsewhere / path.name
    assert cli("journal", "status", "--journal", copy).code == 0
    verified = cli("journal", "verify", source, "--journal", copy, "--api", strict.url, "--format", "json")
    (journal,), (selection,) = verified.table("journal"), verified.table("selection")
    assert (verified.code, journal["faults"]) == (8 if journal["uncertain"] else 0, 0)
    states = [selection[name] for name in ("confirmed", "dead_lettered", "uncertain", "unsent")]
    assert (sum(states), selection["selected"], selection["others"]) == (50, 50, 0)
    assert states[:3] == [journal[name] for name in ("confirmed", "dead_lettered", "uncertain")]
    assert [one.name for one in elsewhere.iterdir()] == [path.name]
    path.unlink()
    copy.rename(path)
    assert replay(source, "--chunk-size", 10).code == 8
    assert len(strict.taken) == len(set(strict.taken)) == 50


@pytest.mark.parametrize("read", [{"read_only": True}, {}])
def test_what_was_being_written_when_it_was_killed_is_rolled_back(read: dict[str, bool], tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        team = journal.destinations(API, [("", "t")])["", "t"]
        journal.record_chunks([], [(team, digests(1, 2))])
    assert die_in_commit(path)
    with Journal(path, **read) as again:
        assert list(again.states(team)) == [(UNCERTAIN, digests(1, 2))]
    assert not (tmp_path / "j-journal").exists()


def test_a_rollback_of_another_time_is_refused(replay: Replay, log: Any, strict: Strict, tmp_path: Path) -> None:
    """It would restore pages without what was sent since."""
    path, source = tmp_path / "j.sqlite", log([event(hash=f"h{n}") for n in range(90)])
    replay(source, "--limit", 30)
    old = die_in_commit(path)
    replay(source, "--chunk-size", 10)
    assert len(strict.taken) == len(set(strict.taken)) == 90
    rollback = path.with_name("j.sqlite-journal")
    rollback.write_bytes(old)
    sent, files = len(strict.bodies), (path.read_bytes(), old)
    for result in (replay(source), replay(source, execute=False)):
        assert (result.code, len(strict.bodies)) == (1, sent)
        assert "j.sqlite-journal is from another time" in result.err
        assert (path.read_bytes(), rollback.read_bytes()) == files


def test_a_rollback_from_just_before_the_last_opening_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        team = journal.destinations(API, [("", "t")])["", "t"]
        journal.record_chunks([], [(team, digests(1))])
    with Journal(path):
        pass
    old = die_in_commit(path)
    with Journal(path) as journal:
        journal.record_chunks([], [(team, digests(2))])
    path.with_name("j-journal").write_bytes(old)
    with pytest.raises(JournalError, match="from another time"), Journal(path):
        pass


@pytest.mark.parametrize("size", [0, 8, 28, 512, 20_000])
def test_a_rollback_that_is_cut_short_makes_nothing_be_sent_twice(
    size: int, replay: Replay, log: Any, strict: Strict, tmp_path: Path
) -> None:
    path, source = tmp_path / "j.sqlite", log([event(hash=f"h{n}") for n in range(90)])
    replay(source, "--limit", 30)
    path.with_name("j.sqlite-journal").write_bytes(die_in_commit(path)[:size])
    for _ in range(2):
        assert replay(source, "--chunk-size", 10).code in (0, 1, 8)
    assert len(strict.taken) == len(set(strict.taken)) >= 30


def test_reading_while_a_replay_writes_is_no_error(tmp_path: Path) -> None:
    """The rollback journal of a commit between two looks is not one of another time."""
    enough = Event()

    def write() -> None:
        for number in itertools.count():
            journal.record_chunks([], [(team, digests(number))])
            if enough.wait(0.002):  # A replay waits for the server between two commits.
                return

    with Journal(tmp_path / "j") as journal, ThreadPoolExecutor(1) as pool:
        team = journal.destinations(API, [("", "t")])["", "t"]
        writing = pool.submit(write)
        seen: list[int] = []
        try:
            while len(set(seen)) < 20:
                with Journal(tmp_path / "j", read_only=True) as reader:
                    seen.append(len(list(reader.states(team))))
        finally:
            enough.set()
        writing.result()
    assert seen == sorted(seen)


def test_a_reader_and_a_writer_wait_for_each_other(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        team = journal.destinations(API, [("", "t")])["", "t"]
        with Journal(tmp_path / "j", read_only=True) as reader:
            for number in range(20):
                journal.record_chunks([], [(team, digests(number))])
                assert len(list(reader.states(team))) == number + 1


@pytest.mark.parametrize("size", [4096, 20_000, 70_000])
def test_a_journal_that_finds_no_room_is_not_there(size: int, tmp_path: Path) -> None:
    made = "import pathlib, sys; from analyzer.replayer.journal import Journal; Journal(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", made, str(tmp_path / "j")], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "JournalError" in done.stderr
    left = {one.name for one in tmp_path.iterdir()} - {"j-lock"}
    if left:
        with Journal(tmp_path / "j") as journal:
            assert list(journal.faults()) == []


def test_places_that_are_no_file(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    path.symlink_to(path)
    looped = replay(LOG)
    assert "Traceback" not in replay(LOG, execute=False).err
    path.unlink()
    os.mkfifo(path)
    for result in (looped, replay(LOG), replay(LOG, execute=False)):
        assert (result.code, result.out, strict.bodies) == (1, "", [])
        assert result.err.startswith(f"error: {path}: ")


def test_a_marked_database_of_somebody_else(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "j.sqlite") as other:
        other.executescript("CREATE TABLE theirs (x); PRAGMA user_version = 7")
    result = replay(LOG)
    assert (result.code, strict.bodies, "not a replay journal" in result.err) == (1, [], True)


def test_a_part_of_a_journal_is_not_taken_for_a_new_one(
    replay: Replay, log: Any, strict: Strict, tmp_path: Path
) -> None:
    path, source = tmp_path / "j.sqlite", log([event(hash=f"h{n}") for n in range(50)])
    replay(source, "--limit", 30)
    die_in_commit(path)
    path.rename(tmp_path / "elsewhere")
    result = replay(source)
    assert (result.code, len(strict.bodies), "j.sqlite-journal belongs to one" in result.err) == (1, 1, True)


def test_a_journal_that_is_replaced_on_the_way_stops_the_run(
    replay: Replay, log: Any, strict: Strict, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Journal.record_chunks

    def removing(self: Journal, finished: Any, started: Any = ()) -> list[int]:
        found = record(self, finished, started)
        if len(strict.bodies) == 2:
            self.path.unlink()
        return found

    monkeypatch.setattr(Journal, "record_chunks", removing)
    result = replay(log([event(hash=f"h{n}") for n in range(50)]), "--chunk-size", 10)
    assert (result.code, result.json["selected"]) == (4, 50)
    assert len(strict.bodies) == 3
    assert "removed or replaced while it was in use" in result.err


def test_a_database_of_somebody_else(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "j.sqlite") as other:
        other.execute("CREATE TABLE theirs (x)")
    result = replay(LOG)
    assert (result.code, strict.bodies) == (1, [])
    assert "not a replay journal" in result.err


def test_a_damaged_journal(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    replay(LOG)
    path = tmp_path / "j.sqlite"
    data = bytearray(path.read_bytes())
    data[16384 * 2 : 16384 * 2 + 400] = b"\xff" * 400
    path.write_bytes(data)
    sent = len(strict.bodies)
    result = replay(LOG, "--slug", "other")
    assert (result.code, len(strict.bodies)) == (1, sent)
    assert "damaged" in result.err


@pytest.mark.skipif(os.geteuid() == 0 and sys.platform != "linux", reason="root may write everything")
def test_a_journal_that_cannot_be_written(log: Any, strict: Strict, tmp_path: Path) -> None:
    """A file-size limit is what a full disk is: writing fails."""
    source = log([event(hash=f"h{n}") for n in range(2000)])
    done = subprocess.run(
        [sys.executable, "-m", "analyzer", "replay", str(source), "--execute", "--api", strict.url, "--journal",
         str(tmp_path / "j.sqlite"), "--requests-per-minute", "0"],
        env={**os.environ, "TURBO_TOKEN": TOKEN}, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )  # fmt: skip
    assert (done.returncode, strict.bodies, done.stdout) == (1, [], "")
    assert "j.sqlite" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_want_a_journal(cli: Cli, tmp_path: Path) -> None:
    for command in (["status"], ["verify"], ["resolve", "--uncertain", "resend"]):
        result = cli("journal", *command, "--journal", tmp_path / "none")
        assert (result.code, "there is no such journal" in result.err) == (2, True)
        assert not (tmp_path / "none").exists()


def test_an_event_counted_twice_is_found(cli: Cli, tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        team = journal.destinations(API, [("", "t")])["", "t"]
        for _ in range(2):
            (chunk,) = journal.record_chunks([], [(team, digests(7))])
            journal.record_chunks([FinishedChunk(chunk, CONFIRMED, 200)])
    result = cli("journal", "verify", "--journal", tmp_path / "j")
    assert (result.code, "counted twice" in result.err) == (1, True)


def test_a_chunk_that_is_not_uncertain_cannot_be_resolved(cli: Cli, tmp_path: Path) -> None:
    with Journal(tmp_path / "j"):
        pass
    result = cli("journal", "resolve", "--uncertain", "resend", "--chunk", 5, "--journal", tmp_path / "j")
    assert (result.code, "--chunk 5: no such chunk" in result.err) == (1, True)


def test_a_journal_that_fails_on_the_way_stops_the_run_with_an_account(
    replay: Replay, strict: Strict, monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path
) -> None:
    record, left = Journal.record_chunks, [5]

    def failing(self: Journal, finished: Any, started: Any = ()) -> list[int]:
        left[0] -= 1
        if not left[0]:
            raise JournalError("the disk is full")
        return record(self, finished, started)

    monkeypatch.setattr(Journal, "record_chunks", failing)
    result = replay(LOG, "--chunk-size", 10)
    assert (result.code, "the disk is full" in result.err) == (4, True)
    found = result.json
    assert found["confirmed"] + found["uncertain"] == len(strict.taken) == 4115 - found["unsent"] > 0
    rows = cli("journal", "status", "--journal", tmp_path / "j.sqlite", "--format", "json").table("destinations")
    held = [sum(row[state] for row in rows) for state in ("confirmed", "uncertain")]
    assert held == [found["confirmed"], found["uncertain"]]
    monkeypatch.setattr(Journal, "record_chunks", record)
    again = replay(LOG, "--chunk-size", 10)
    assert (again.code, 0 < again.json["uncertain"] <= 10) == (8, True)
    assert len(strict.taken) == len(set(strict.taken)) == 4115


def test_a_link_is_no_second_journal(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").symlink_to(tmp_path / "real.sqlite")
    with Journal(tmp_path / "real.sqlite"):
        assert (replay(LOG).code, strict.bodies) == (1, [])


@pytest.mark.parametrize("damage", ["UPDATE chunk SET digests = x'00'", "UPDATE outcome SET state = 'weird'"])
def test_rows_that_make_no_sense_are_refused(damage: str, replay: Replay, strict: Strict, tmp_path: Path) -> None:
    replay(LOG, "--limit", 10)
    with sqlite3.connect(tmp_path / "j.sqlite") as database:
        database.execute(damage)
    result = replay(LOG, "--limit", 20)
    assert (result.code, len(strict.taken), "damaged (1 broken rows)" in result.err) == (1, 10, True)


def test_somebody_elses_database_stays_as_it_is(replay: Replay, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "j.sqlite") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = (tmp_path / "j.sqlite").read_bytes()
    assert replay(LOG).code == 1
    assert (tmp_path / "j.sqlite").read_bytes() == before
