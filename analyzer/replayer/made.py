"""Events of a log that were sent before by another name: as events made of the summary of their run.

Both are one delivery. A session that is a run's, and any that fits one but for the time, is looked up by what is made
of that run: where the journal knows it, the session's event is not sent. Only a log and summaries that are open
together show that; of a log alone nobody can tell.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer.archive.view import ASKED, MADE, PERHAPS_ARRIVED
from analyzer.errors import Message, Option
from analyzer.replayer.event_id import DIGEST, NAMED
from analyzer.replayer.journal import DEAD, UNCERTAIN

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SENT = f"""
CREATE OR REPLACE TEMP TABLE sent AS
SELECT run_id, destination, hash_id, kind, repeat, state
FROM (SELECT run_id, own_session_id AS session_id, hash_id, kind, duration_ms, 0::BIGINT AS repeat FROM ({MADE}))
{NAMED} JOIN known k ON k.digest = {DIGEST}
WHERE state <> '{DEAD}'
"""

OTHERS = "DELETE FROM asked WHERE run_id NOT IN (SELECT run_id FROM sent)"

# By their names the least of the states is the one that is surer.
DELIVERED = f"""
CREATE OR REPLACE TEMP TABLE delivered AS
SELECT destination, session_id, hash_id, kind, repeat,
       min(CASE WHEN is_the_run THEN state ELSE '{UNCERTAIN}' END) AS state
FROM sent JOIN (SELECT run_id, session_id, true AS is_the_run FROM store.match
                UNION ALL SELECT run_id, session_id, false FROM perhaps_arrived) USING (run_id)
GROUP BY ALL
"""

RESENT = f"DELETE FROM delivered WHERE state = '{UNCERTAIN}'"


@dataclass(frozen=True, slots=True)
class Made:
    """How many of the selected events the journal knows only as events made of a run, by what it knows."""

    confirmed: int = 0
    uncertain: int = 0

    def said(self) -> list[str]:
        """Return in words what is not sent, and why."""
        was = f"{self.confirmed:,} events were delivered before, made of their run's summary, and are not sent again"
        may = Message(
            f"{self.uncertain:,} events may have been delivered before, made of a run's summary, and are held: ",
            Option("on_uncertain", "resend"),
            " sends them, and all else that is uncertain",
        )
        return [words for words, count in ((was, self.confirmed), (may, self.uncertain)) if count]


def find(connection: "DuckDBPyConnection", *, resend: bool) -> None:
    """Fill the table `delivered` from what is `known`; with `resend`, what is uncertain is to be sent."""
    for statement in (ASKED, SENT, OTHERS, PERHAPS_ARRIVED, DELIVERED, *([RESENT] if resend else [])):
        connection.execute(statement)
