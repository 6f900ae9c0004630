"""The progress of a replay on stderr: drawn on a terminal, else a line a minute; and Ctrl-C, which ends it well."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from analyzer.cli import console

if TYPE_CHECKING:
    from analyzer.replayer.replay import Replay
    from analyzer.replayer.sender import Sender

LINE_SECONDS = 60.0
ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def interruptible(sender: "Sender") -> Iterator[None]:
    """Let the first Ctrl-C, or a signal to end, end the run after the requests under way; the next Ctrl-C ends it."""
    from analyzer.replayer.options import Stop  # noqa: PLC0415

    def stop(_signal: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, usual.get(signal.SIGINT, signal.SIG_IGN))
        sender.settler.stop(Stop.INTERRUPTED, "interrupted; run this again to go on")
        console.note("ending after the request under way; Ctrl-C again abandons it, and its events are uncertain")

    signals = [one for name in ENDING if (one := getattr(signal, name, None))]
    heeded = [one for one in signals if signal.getsignal(one) is not signal.SIG_IGN]  # nohup has it so
    usual = {one: signal.signal(one, stop) for one in heeded}
    try:
        yield
    finally:
        for one, handler in usual.items():
            signal.signal(one, handler)


def follow(session: "Replay", sender: "Sender") -> None:
    """Run a replay to its end, showing how far it is."""
    show = _drawn if sys.stderr.isatty() and not console.is_quiet() else _told
    with interruptible(sender):
        show(session, sender)


def _told(session: "Replay", sender: "Sender") -> None:
    """Say a line a minute."""
    last = time.monotonic()
    for counts in session.run(sender):
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            waiting = f"; {sender.settler.waiting}" if sender.settler.waiting else ""
            console.note(f"{counts.confirmed:,} of {session.tally.unsent:,} events confirmed{waiting}")


def _drawn(session: "Replay", sender: "Sender") -> None:
    """Draw a bar: events confirmed of those to send, rate, time left, and what is waited for."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from analyzer.render.values import escape_controls  # noqa: PLC0415

    columns = (
        TextColumn("sending"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[waiting]}", markup=False),
    )
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=session.tally.unsent, rate="", waiting="")
        for counts in session.run(sender):
            rate = f"{counts.confirmed / max(time.monotonic() - began, 0.001):,.0f} events/s"
            bar.update(task, completed=counts.confirmed, rate=rate, waiting=escape_controls(sender.settler.waiting))
