"""A replay that is killed at any moment, and run again: nothing twice, nothing lost, what is not known recorded."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson

from analyzer.archive.open_log import LoadObserver, open_log
from analyzer.archive.selection import Selection
from analyzer.archive.staging import ReadOptions
from analyzer.errors import JournalError
from analyzer.replayer.chunk import Chunk
from analyzer.replayer.journal import FinishedChunk, Journal
from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.outcome import Clock, Kind, Outcome
from analyzer.replayer.pending import ReplayRequest
from analyzer.replayer.replay import Replay as OneReplay
from analyzer.replayer.sender import Sender
from analyzer.replayer.settings import Server
from analyzer.replayer.teams import Context
from analyzer.replayer.transport import Transport
from replay.conftest import Replay
from replay.killed import STEPS, die_in_commit
from replay.server import TOKEN, Strict, serving

KILLED = [sys.executable, str(Path(__file__).with_name("killed.py"))]
EVENTS = [event(sessionId=f"s{n // 9}", hash=f"h{n}", slug="ab"[n // 50]) for n in range(100)]


def run_killed(step: str, count: int, log: Path, strict: Strict, journal: Path, *options: str) -> int:
    arguments = [
        "replay", str(log), "--api", strict.url, "--journal", str(journal), "--execute", "--requests-per-minute", "0",
        *options,
    ]  # fmt: skip
    environment = {**os.environ, "TURBO_TOKEN": TOKEN}
    done = subprocess.run([*KILLED, step, str(count), *arguments], env=environment, capture_output=True, check=False)
    return done.returncode


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("size", [1, 100, *(pytest.param(size, marks=pytest.mark.slow) for size in (2, 1000))])
def test_killed_at_every_step(
    step: str, size: int, replay: Replay, strict: Strict, log: Any, tmp_path: Path, cli: Cli
) -> None:
    source, journal = log(EVENTS), tmp_path / "j.sqlite"
    codes = [run_killed(step, count, source, strict, journal, "--chunk-size", str(size)) for count in (1, 2)]
    assert codes[0] == -signal.SIGKILL
    before = len(strict.taken)
    found = replay(source, "--chunk-size", size).json
    assert found["unsent"] == 0
    assert len(strict.taken) == len(set(strict.taken))
    assert found["confirmed"] <= len(strict.taken) <= found["confirmed"] + found["uncertain"]
    assert found["uncertain"] <= 2 * size
    assert found["confirmed"] + found["uncertain"] == 100
    assert len(strict.taken) >= before
    assert cli("journal", "verify", source, "--journal", journal, "--api", strict.url).code in (0, 8)
    cli("journal", "resolve", "--uncertain", "resend", "--journal", journal)
    assert replay(source).code == 0
    assert len(set(strict.taken)) == 100


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("count", [9, pytest.param(31, marks=pytest.mark.slow)])
def test_many_senders_killed_while_halving(
    step: str, count: int, replay: Replay, strict: Strict, log: Any, tmp_path: Path, cli: Cli
) -> None:
    strict.poison = lambda item: int(item["hash"][1:]) % 7 == 0
    source, journal = log(EVENTS), tmp_path / "j.sqlite"
    options = ("--chunk-size", "20", "--concurrency", "8", "--no-preflight")
    assert run_killed(step, count, source, strict, journal, *options) == -signal.SIGKILL
    assert cli("journal", "verify", source, "--journal", journal, "--api", strict.url).code in (0, 8)
    found = replay(source).json
    assert (found["selected"], found["unsent"]) == (100, 0)
    assert len(strict.taken) == len(set(strict.taken))
    assert cli("journal", "verify", "--journal", journal).code in (0, 8)


class KilledError(BaseException):
    """The process is dead: nothing runs any more."""


class Mortal(Journal):
    """A journal whose process dies at a given operation; after that nothing is written."""

    def __init__(self, path: Path, life: int) -> None:
        super().__init__(path)
        self.life = life

    def spend(self) -> None:
        self.life -= 1
        if self.life < 0:
            raise KilledError

    def record_chunks(self, finished: Any, started: Any = ()) -> list[int]:
        self.spend()
        ids = super().record_chunks(finished, started)
        self.spend()
        return ids


FAULTS = [
    "ok",
    "stray",
    "record, close",
    "close before",
    (503, ""),
    (400, ""),
    (413, ""),
    (429, "", {"retry-after": "0"}),
    (403, ""),
]


def test_a_programme_of_faults_kills_and_races() -> None:
    for seed in range(3):
        check(seed)


@pytest.mark.slow
def test_many_programmes_of_faults_kills_and_races() -> None:
    """ANALYZER_FUZZ_SECONDS sets for how long."""
    until, seed = time.monotonic() + float(os.environ.get("ANALYZER_FUZZ_SECONDS", "20")), 100
    while time.monotonic() < until:
        check(seed)
        seed += 1


def check(seed: int) -> None:
    """Exactly once, but for what is uncertain and for the answers (400, 413) that are no truth about the event."""
    rng = random.Random(seed)  # noqa: S311  (no secret)
    with tempfile.TemporaryDirectory() as scratch, serving(Strict()) as strict:
        log, journal = Path(scratch) / "log", Path(scratch) / "journal"
        log.write_text(ndjson(EVENTS[:40]))
        for _ in range(rng.randint(1, 5)):
            strict.script = rng.choices(FAULTS, k=rng.randint(0, 12))
            options = ReplayOptions(
                execute=True,
                requests_per_minute=0,
                limit=rng.choice([None, rng.randint(1, 40)]),
                chunk_size=rng.choice([1, 2, 7, 100]),
                concurrency=rng.choice([1, 3]),
                retries=2,
            )
            sessions = rng.choices(["s0", "s1", "s2", "s3", "s4"], k=rng.randint(0, 3))
            request = ReplayRequest(Selection(session=sessions), options)
            life = rng.choice([None, rng.randint(0, 20)])
            attempts = 2 if rng.random() < 0.2 else 1  # at once: one is refused while the other is at work
            with ThreadPoolExecutor(attempts) as pool:
                runs = [pool.submit(once, log, journal, strict, request, life) for _ in range(attempts)]
            errors = [error for run in runs if (error := run.exception())]
            assert all(isinstance(error, JournalError) for error in errors), (seed, errors)
            if len(errors) == attempts:
                break  # The journal lost a part.
            if rng.random() < 0.2:
                # The next one finds what a kill in a commit leaves, and maybe not all of that.
                rollback = journal.with_name("journal-journal")
                whole = die_in_commit(journal, rows=rng.choice([1, 30]))
                rollback.write_bytes(whole[: rng.choice([len(whole), rng.randint(0, len(whole))])])
        strict.script = []
        request = ReplayRequest(Selection(), ReplayOptions(execute=True, requests_per_minute=0))
        account = None
        with suppress(JournalError):
            account = once(log, journal, strict, request, None)
        assert len(strict.taken) == len(set(strict.taken)), seed
        if account is None:
            return  # A journal that lost a part is refused, and nothing is sent.
        with Journal(journal) as last:
            recorded = [sum(row[place] for row in last.summary()) for place in (2, 3, 4)]
            assert list(last.faults()) == [], seed
        assert sum(recorded) == 40, seed
        assert recorded[0] <= len(strict.taken) <= recorded[0] + recorded[2], seed


def once(log: Path, path: Path, strict: Strict, request: ReplayRequest, life: int | None) -> Any:
    """Replay once, in this process; None where it died."""
    server = Server(strict.url, TOKEN)
    clock = Clock(rng=random.Random(1))  # noqa: S311  (no secret)
    with (
        Mortal(path, life if life is not None else 1 << 30) as journal,
        Transport(server) as transport,
        open_log([str(log)], ReadOptions(), LoadObserver()) as source,
    ):
        replay = OneReplay(source.connection, request, strict.url, journal)
        sender = Sender(journal, transport, replay.destinations, lambda *_: None, request.options, clock)
        try:
            for _ in sender.run(replay.pending.chunks()):
                pass
        except KilledError:
            return None
        replay.close(sender.outcomes.counts)
        return replay.account(sender.outcomes.counts)


def chunks(count: int) -> Iterator[Chunk]:
    return (Chunk(Context(), "{}", n.to_bytes(16, "big")) for n in range(count))


def test_outcomes_are_written_before_a_wait(tmp_path: Path) -> None:
    """A run that waits for its next start has nothing in memory that the journal does not have."""
    written: list[str] = []

    class Watched(Journal):
        def record_chunks(self, finished: Any, started: Any = ()) -> list[int]:
            written.extend(["finished"] * len(finished) + ["started"] * len(started))
            return super().record_chunks(finished, started)

    class Sent(Transport):
        def send(self, chunk: Chunk) -> Outcome:  # noqa: ARG002  (the seam's signature)
            written.append("sent")
            return Outcome(Kind.CONFIRMED, 200)

    with Watched(tmp_path / "j") as journal, Sent(Server("http://localhost", "t")) as transport:
        ids = journal.destinations("http://localhost", [("", "")])
        sender = Sender(journal, transport, ids, lambda *_: None, ReplayOptions(requests_per_minute=6000))
        for _ in sender.run(chunks(3)):
            pass
    assert written == ["started", "sent", "finished"] * 3
    assert FinishedChunk(1, None).state is None
