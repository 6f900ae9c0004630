"""Runs the program and kills it (SIGKILL) at a step of a chunk's life: `killed.py STEP COUNT ARGUMENT...`."""

import os
import signal
import sys
from typing import Any

from analyzer.cli import main
from analyzer.replayer.journal import Journal
from analyzer.replayer.transport import Transport

STEPS = ("before the journal", "after it", "during the request", "after the answer", "after the outcome")


class Death:
    """Comes when a step has come so often."""

    def __init__(self, step: str, count: int) -> None:
        self.step, self.left = step, count

    def at(self, step: str) -> None:
        self.left -= step == self.step
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def beset(death: Death) -> None:
    """Let death look in at every step."""
    turn, send, init = Journal.record_chunks, Transport.send, Transport.__init__

    def turned(self: Journal, ended: Any, begun: Any = ()) -> Any:
        if begun:
            death.at("before the journal")
        found = turn(self, ended, begun)
        if begun:
            death.at("after it")
        if ended:
            death.at("after the outcome")
        return found

    def sent(self: Transport, chunk: Any) -> Any:
        outcome = send(self, chunk)
        death.at("after the answer")
        return outcome

    def made(self: Transport, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        hooks = {"response": [lambda response: death.at("during the request") if response.request.content else None]}
        self._client.event_hooks = hooks

    Journal.record_chunks, Transport.send, Transport.__init__ = turned, sent, made  # type: ignore[method-assign]


if __name__ == "__main__":
    beset(Death(sys.argv[1], int(sys.argv[2])))
    del sys.argv[1:3]
    main()
