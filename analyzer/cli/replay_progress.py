"""Shows the progress of a replay on stderr, and lets signals stop it after the requests in progress."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from analyzer.cli import console
from analyzer.replayer.outcome_handling import Counts, Stop

if TYPE_CHECKING:
    from analyzer.replayer.replay import Replay
    from analyzer.replayer.sender import Sender

LINE_SECONDS = 60.0
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def stop_on_signals(sender: "Sender") -> Iterator[None]:
    """Let Ctrl-C, or a signal to terminate, stop the run after the requests in progress; a second Ctrl-C ends it."""

    def stop(_signal: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, handlers.get(signal.SIGINT, signal.SIG_IGN))
        sender.outcomes.stop(Stop.INTERRUPTED, "interrupted; run this again to go on")
        console.note("stopping after the request in progress; Ctrl-C again abandons it: its events are then uncertain")

    signals = [number for name in STOP_SIGNALS if (number := getattr(signal, name, None))]
    # A signal that is ignored from outside stays ignored: nohup relies on that.
    heeded = [number for number in signals if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def follow(progress: Iterator[Counts], replay: "Replay", sender: "Sender") -> None:
    """Run a replay to its end: with a progress bar on a terminal, else with a note per minute."""
    show = _show_bar if sys.stderr.isatty() and not console.is_quiet() else _write_notes
    with stop_on_signals(sender):
        show(progress, replay.states.unsent, sender)


def _write_notes(progress: Iterator[Counts], unsent: int, sender: "Sender") -> None:
    last = time.monotonic()
    for counts in progress:
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            waiting = f"; {sender.outcomes.waiting}" if sender.outcomes.waiting else ""
            console.note(f"{counts.confirmed:,} of {unsent:,} events confirmed{waiting}")


def _show_bar(progress: Iterator[Counts], unsent: int, sender: "Sender") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from analyzer.render.values import escape_controls  # noqa: PLC0415

    rate_column, waiting_column = TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[waiting]}", markup=False)
    columns = (
        TextColumn("sending"), BarColumn(), MofNCompleteColumn(), rate_column, TimeRemainingColumn(), waiting_column,
    )  # fmt: skip
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=unsent, rate="", waiting="")
        for counts in progress:
            rate = f"{counts.confirmed / max(time.monotonic() - began, 0.001):,.0f} events/s"
            waiting = escape_controls(sender.outcomes.waiting)
            bar.update(task, completed=counts.confirmed, rate=rate, waiting=waiting)
