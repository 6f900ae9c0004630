"""Why a lookup was a miss: its class, by what the log saw of the hash in the same team's cache before.

The remote cache is taken to be one namespace a team. A miss that asked the remote cache is compared with the lookup
before it, by another session, that asked for the same hash: none, a miss or a hit. What a local cache had says nothing
of the remote one.
"""

from dataclasses import dataclass

from analyzer.archive.selection import LookupsQuery
from analyzer.questions.durations import impute_durations

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class MissClass:
    """A class of misses: what it means, and what may be behind it.

    One is `avoidable` where the artifact had been made before, so that the lookup could have been a hit.
    """

    name: str
    definition: str
    cause: str
    avoidable: bool = False


CLASSES = (
    MissClass("cold", "the remote cache is asked for the hash for the first time in the log", "new work"),
    MissClass(
        "unknown_cold",
        "cold, but so early in the log that the artifact may be older than it, and lost",
        "new work, or older than the log",
    ),
    MissClass(
        "repeat",
        "missed before by another session, and no remote hit between: the upload never landed",
        "failed task, read-only client, or an upload that was refused",
        avoidable=True,
    ),
    MissClass(
        "concurrent",
        "a repeat sooner after the one before than the task takes: both ran at once",
        "the same commit built twice at once",
        avoidable=True,
    ),
    MissClass("expired", "hit before, longer ago than artifacts are kept", "retention too short", avoidable=True),
    MissClass(
        "evicted",
        "hit before, within the time artifacts are kept",
        "storage too small, purged, or expired by the age of its upload",
        avoidable=True,
    ),
    MissClass(
        "local_only",
        "a local miss, and the remote cache was not asked",
        "remote cache off or unreachable, or an event lost",
    ),
    MissClass("untimed", "without a time it cannot be said", "the log has no times"),
)

AVOIDABLE = tuple(one.name for one in CLASSES if one.avoidable)

# Of a hash only what came before its last miss is looked at. At one moment a miss comes before a hit, then the session
# that was first seen first.
MISSED = """
CREATE OR REPLACE TEMP TABLE missed AS
SELECT hash_id, max(first_at) AS last_miss_at FROM {selected} WHERE kinds & 13 = 8 GROUP BY hash_id
"""

SESSION_PLACE = """
CREATE OR REPLACE TEMP TABLE session_place AS
SELECT m.session_id, row_number() OVER (ORDER BY m.first_at, s.session) AS place
FROM session_summary m JOIN store.session s ON s.id = m.session_id
"""

ASKED_BEFORE = """
CREATE OR REPLACE TEMP TABLE asked_before AS
SELECT l.session_id, hash_id, lag(l.first_at) OVER earlier AS before_at, lag(kinds & 4 > 0) OVER earlier AS was_hit
FROM {lookup} l JOIN missed USING (hash_id) JOIN store.context c ON c.id = l.context_id
JOIN session_place p ON p.session_id = l.session_id
WHERE kinds & 12 > 0 AND l.first_at <= last_miss_at
WINDOW earlier AS (PARTITION BY hash_id, c.team ORDER BY l.first_at, kinds & 4, p.place)
QUALIFY kinds & 5 = 0
"""

CLASSED = """
CREATE OR REPLACE TEMP TABLE miss AS
SELECT m.session_id, m.hash_id, m.team, m.ci, m.first_at, d.duration_ms AS imputed_ms, b.before_at,
       CASE WHEN m.kinds = 2 THEN 'local_only'
            WHEN m.first_at IS NULL THEN 'untimed'
            WHEN b.before_at IS NULL
            THEN CASE WHEN epoch_us(m.first_at) - (SELECT epoch_us(min(first_at)) FROM {lookup}) <= $retention_us
                      THEN 'unknown_cold'
                 ELSE 'cold' END
            WHEN NOT b.was_hit
            THEN CASE WHEN epoch_us(m.first_at) - epoch_us(b.before_at) < d.duration_ms * 1000 THEN 'concurrent'
                 ELSE 'repeat' END
            WHEN epoch_us(m.first_at) - epoch_us(b.before_at) > $retention_us THEN 'expired' ELSE 'evicted' END AS class
FROM (SELECT * FROM {selected} WHERE kinds & 5 = 0) m
LEFT JOIN asked_before b USING (session_id, hash_id)
LEFT JOIN duration d USING (hash_id)
"""


def classify_misses(selected: LookupsQuery, retention_days: float) -> None:
    """Make the temporary table `miss`: a row a miss of the selection, with its class and imputed duration.

    What was asked before is looked up in the whole log, whatever lookups are selected.
    """
    impute_durations(selected.connection)
    for statement in (MISSED, SESSION_PLACE, ASKED_BEFORE, CLASSED):
        selected.execute(statement.replace("{lookup}", selected.lookup), retention_us=round(retention_days * DAY_US))
