"""One run that sends: from the first request to an account that the journal bears out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analyzer.delivery.journal import Journal
from analyzer.delivery.letters import DeadLetters, letters_of
from analyzer.delivery.policy import Policy, Stop, Stopped
from analyzer.delivery.sender import Sender
from analyzer.delivery.session import Account, Session
from analyzer.delivery.transport import Server, Transport
from analyzer.errors import JournalError
from analyzer.message import Message


@dataclass(frozen=True, slots=True)
class Executed:
    """What a run came to: its account, why it ended before its time, and the first event that was refused."""

    account: Account
    stopped: Stopped | None
    refused: str
    dead_letters: Path


def execute(
    session: Session,
    journal: Journal,
    policy: Policy,
    server: Server,
    dead_letters: Path | None,
    follow: Callable[[Session, Sender], None],
) -> Executed:
    """Send what is unsent; `follow` drives the sender to its end. Dead letters go beside the journal by default.

    Raises:
        UsageError: the file of dead letters cannot be written.
        AccountingError: the journal holds other numbers than were counted.
    """
    session.queue.lengths()
    began, sound = time.monotonic(), True
    path = letters_of(journal.path, dead_letters)
    with DeadLetters(path) as letters, Transport(server) as transport:
        sender = session.sender(transport, journal, policy, letters.put)
        wanted = policy.preflight and (session.tally.unsent or (session.resend and session.tally.uncertain))
        refused = session.preflight(transport) if wanted else None
        if refused:
            sender.settler.stop(refused.stop, refused.words)
        else:
            try:
                follow(session, sender)
            except (JournalError, OSError) as error:
                sound = False
                sender.settler.stop(Stop.FAILED, Message(_said(error), "; what was under way will be uncertain"))
    settler = sender.settler
    counts = settler.counts
    if sound:
        session.close(journal, counts, settler.last_error)
    else:
        counts = session.counted(journal, counts)
    account = session.account(counts, time.monotonic() - began)
    return Executed(account, settler.stopped, letters.first, path)


def _said(error: JournalError | OSError) -> str:
    return error.message if isinstance(error, JournalError) else error.strerror or str(error)
