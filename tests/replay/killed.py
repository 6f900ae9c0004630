"""Runs the program and kills it (SIGKILL) at a step of a chunk's life: `killed.py STEP COUNT ARGUMENT...`."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from analyzer.cli import main
from analyzer.replayer.journal import Journal
from analyzer.replayer.transport import Transport

STEPS = ("before the journal", "after it", "during the request", "after the answer", "after the outcome")


DIE_IN_COMMIT = """
import os, pathlib, sqlite3, sys
path = pathlib.Path(sys.argv[1])
database = sqlite3.connect(path, isolation_level=None)
# Pages that do not fit into the cache are written before the commit, so that the file is half new.
database.executescript("PRAGMA cache_size = 1; PRAGMA synchronous = FULL; BEGIN")
for _ in range(int(sys.argv[2])):
    database.execute("INSERT INTO chunk (destination_id, sent_at_ms, digests) VALUES (1, 0, zeroblob(160000))")
os._exit(9)
"""


def die_in_commit(path: Path, rows: int = 200) -> bytes:
    """Leave a journal as a kill in the middle of a large transaction does; return its rollback journal."""
    assert subprocess.run([sys.executable, "-c", DIE_IN_COMMIT, str(path), str(rows)], check=False).returncode == 9
    return path.with_name(f"{path.name}-journal").read_bytes()


class KillAt:
    """Kills the process when a step has been reached a number of times."""

    def __init__(self, step: str, count: int) -> None:
        self.step, self.left = step, count

    def reach(self, step: str) -> None:
        self.left -= step == self.step
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def patch(kill: KillAt) -> None:
    """Let each step of a chunk's life call `kill`."""
    record, send, init = Journal.record_chunks, Transport.send, Transport.__init__

    def recording(self: Journal, finished: Any, started: Any = ()) -> Any:
        if started:
            kill.reach("before the journal")
        ids = record(self, finished, started)
        if started:
            kill.reach("after it")
        if finished:
            kill.reach("after the outcome")
        return ids

    def sending(self: Transport, chunk: Any) -> Any:
        outcome = send(self, chunk)
        kill.reach("after the answer")
        return outcome

    def initializing(self: Transport, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        hooks = {"response": [lambda response: kill.reach("during the request") if response.request.content else None]}
        self._client.event_hooks = hooks

    Journal.record_chunks, Transport.send, Transport.__init__ = recording, sending, initializing  # type: ignore[method-assign]


if __name__ == "__main__":
    patch(KillAt(sys.argv[1], int(sys.argv[2])))
    del sys.argv[1:3]
    main()
