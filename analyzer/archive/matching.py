"""Which session is which run: nothing links them but the hashes, their outcomes, and the time.

A session fits a run where every one of its lookups is a task of the run with the same outcome. It may have fewer, down
to half, as clients lose events; and as many more as the run attempted tasks that its summary does not list: a task that
was stopped when another one failed. Clients up to 2.10 report during the run, later ones at its end. So of those that
fit, a session whose events arrived from the run's start to soon after its end is that run; each is matched once, the
nearest first. Where the clocks of client and log differ by more, short runs match nothing: no match is better than a
false one.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EARLY_MS = 100
"""How much before its run a session may begin: as much as clocks that are kept in time differ."""

LATE_MS = 5000
"""How long after its run's end a session's last event may arrive: clients send a refused batch again after 2 s."""

SECOND_MS = 1000
"""What is added where a session has whole seconds only, cut down."""

FITTING = f"""
WITH asked AS (
    SELECT id AS run_id, started_at, ended_at, count(*) FILTER (t.cacheable) AS lookups,
           greatest(attempted - count(*), 0) AS unlisted
    FROM store.run r JOIN store.task t ON t.run_id = r.id
    WHERE t.kinds IS NOT NULL AND NOT r.forced GROUP BY id, started_at, ended_at, attempted),
near AS (
    SELECT run_id, session_id, started_at, ended_at, first_at, last_at, m.lookups, a.lookups AS asked, unlisted
    FROM asked a JOIN store.session_summary m
      ON m.last_at BETWEEN a.started_at - INTERVAL {EARLY_MS + SECOND_MS} MILLISECONDS
                       AND a.ended_at + INTERVAL {LATE_MS} MILLISECONDS
    WHERE m.lookups <= a.lookups + unlisted)
SELECT n.run_id, n.session_id, epoch_ms(n.first_at) - epoch_ms(started_at), epoch_ms(n.last_at) - epoch_ms(ended_at),
       any_value(asked) - count(DISTINCT l.hash_id),
       epoch_us(n.first_at) % 1000000 = 0 AND epoch_us(n.last_at) % 1000000 = 0
FROM near n
JOIN (SELECT * FROM store.lookup WHERE session_id IN (SELECT session_id FROM near)) l ON l.session_id = n.session_id
JOIN store.task t ON t.run_id = n.run_id AND t.hash_id = l.hash_id
WHERE t.cacheable AND l.kinds & ~t.kinds = 0
GROUP BY n.run_id, n.session_id, started_at, ended_at, n.first_at, n.last_at
HAVING count(DISTINCT l.hash_id) BETWEEN any_value(n.lookups - unlisted) AND any_value(n.lookups)
   AND count(DISTINCT l.hash_id) * 2 >= greatest(any_value(asked), any_value(n.lookups))
ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A session that fits a run: how long after the run's start and end its first and last events came.

    `missing` is the number of tasks that the session does not report; `coarse` tells that its times are whole seconds.
    """

    run_id: int
    session_id: int
    after_start_ms: int
    after_end_ms: int
    missing: int
    coarse: bool

    @property
    def is_in_time(self) -> bool:
        """Whether the session began in its run, as far as clocks tell."""
        return self.after_start_ms >= -EARLY_MS - (SECOND_MS if self.coarse else 0)


def match_runs(connection: "DuckDBPyConnection") -> None:
    """Fill the table `match` anew."""
    if not connection.execute("SELECT count(*) FROM store.run").fetchone()[0]:  # type: ignore[index]
        return
    matched = list(choose_matches([Pair(*row) for row in connection.execute(FITTING).fetchall()]))
    connection.execute("DELETE FROM store.match")
    connection.execute(
        "INSERT INTO store.match SELECT unnest($runs::INTEGER[]), unnest($sessions::INTEGER[])",
        {"runs": [run for run, _ in matched], "sessions": [session for _, session in matched]},
    )


def choose_matches(pairs: list[Pair]) -> Iterator[tuple[int, int]]:
    """Yield (run, session), each at most once."""
    in_time = [pair for pair in pairs if pair.is_in_time]
    runs: set[int] = set()
    sessions: set[int] = set()
    for pair in sorted(_sure(in_time), key=_distance):
        if pair.run_id not in runs and pair.session_id not in sessions:
            runs.add(pair.run_id)
            sessions.add(pair.session_id)
            yield pair.run_id, pair.session_id


def _sure(pairs: list[Pair]) -> list[Pair]:
    """Return pairs of fine times, and of coarse ones those whose session and run have no other that is as whole."""
    runs = Counter((pair.run_id, pair.missing) for pair in pairs)
    sessions = Counter((pair.session_id, pair.missing) for pair in pairs)
    return [
        p for p in pairs if not p.coarse or (runs[p.run_id, p.missing] == 1 and sessions[p.session_id, p.missing] == 1)
    ]


def _distance(pair: Pair) -> tuple[int, int, int, int]:
    """Return what is least for the pair to take first: lookups that are missing, then the time between the two."""
    return pair.missing, min(abs(pair.after_start_ms), abs(pair.after_end_ms)), pair.run_id, pair.session_id
