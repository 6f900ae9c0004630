"""Uses of artifacts for a replay: what one integer tells of each, so that all are sorted and searched at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer.archive.selection import LookupsQuery

if TYPE_CHECKING:
    import polars as pl

CODE_BITS = 62
ASKED_REMOTELY = "kinds & 12 > 0 AND first_at IS NOT NULL"

TEAMS = """
CREATE OR REPLACE TEMP TABLE team_place AS
SELECT id AS context_id, dense_rank() OVER (ORDER BY team) - 1 AS place FROM store.context
"""

COUNTS = "SELECT (SELECT max(place) + 1 FROM team_place), (SELECT max(id) + 1 FROM store.hash)"

USES = f"""
SELECT place * $hashes + hash_id AS key, (epoch_us(first_at) - $start) // $tick_us AS tick,
       (kinds & 4 > 0)::INTEGER AS hit
FROM {{selected}} JOIN team_place USING (context_id) WHERE {ASKED_REMOTELY}
"""

# At one moment a miss comes before a hit.
CODE = "((key - $first_key) * $width + tick) * 2 + hit AS code"
CODES = f"SELECT {CODE} FROM ({USES})"

# Keys that occur are numbered without gaps. A window is as long as what is within reach: of windows without a use that
# follow each other, one is left, for a silence of one is beyond reach already.
PACKED = (
    f"CREATE OR REPLACE TEMP TABLE sparse_use AS {USES}",
    """
    CREATE OR REPLACE TEMP TABLE dense_key AS
    SELECT key, row_number() OVER (ORDER BY key) - 1 AS place FROM (SELECT DISTINCT key FROM sparse_use)
    """,
    """
    CREATE OR REPLACE TEMP TABLE dense_window AS
    SELECT number, sum(least(step, 2)) OVER (ORDER BY number)::BIGINT AS place
    FROM (SELECT number, coalesce(number - lag(number) OVER (ORDER BY number), 0) AS step
          FROM (SELECT DISTINCT tick // $window AS number FROM sparse_use))
    """,
    """
    CREATE OR REPLACE TEMP TABLE dense_use AS
    SELECT k.place AS key, w.place * $window + tick % $window AS tick, hit
    FROM sparse_use JOIN dense_key k USING (key) JOIN dense_window w ON w.number = tick // $window ORDER BY 1
    """,
    "DROP TABLE sparse_use",
)
PACKED_SPAN = "SELECT max(tick) FROM dense_use"
PACKED_KEYS = "SELECT key FROM dense_key ORDER BY key"
PACKED_CODES = f"SELECT {CODE} FROM dense_use WHERE key >= $first_key AND key < $first_key + $keys"

DURATIONS = """
SELECT coalesce(duration_ms, 0) AS duration_ms
FROM range(1, $hashes) hashes(id) LEFT JOIN duration ON hash_id = id ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class CacheAccesses:
    """Uses of artifacts, sorted by `codes`: key * width + ticks since the log's start.

    `width` is so large that no time within reach leads from one key to the next; ticks may leave out what is beyond
    reach in a silence of the whole log. `since_last` is null at a key's first use; `until_next` is, at its last one,
    the time until the log's end. `saved_ms` is what a hit saves, and `first_hit` tells of a first use that was a hit.
    """

    codes: "pl.Series"
    since_last: "pl.Series"
    until_next: "pl.Series"
    saved_ms: "pl.Series"
    first_hit: "pl.Series"
    width: int
    span: int


def cache_accesses(
    selected: LookupsQuery, start_us: int, tick_us: int, span: int, reach: int
) -> Iterator[CacheAccesses]:
    """Yield the uses of a selection, of so many keys at once that their codes are integers of 64 bits.

    Times are ticks: `span` is how long the log is, `reach` the longest time that makes a difference.
    """
    selected.execute(TEAMS)
    teams, hashes = selected.rows(COUNTS)[0]
    durations_ms = selected.frame(DURATIONS, hashes=hashes)["duration_ms"]
    at = {"start": start_us, "tick_us": tick_us, "hashes": hashes}
    width = span + reach + 1
    if teams * hashes <= _keys_at_once(width):
        codes = selected.frame(CODES, first_key=0, width=width, **at)["code"].sort()
        yield _timed(codes, durations_ms.gather(codes // (2 * width) % hashes - 1), width, span)
        return
    for statement in PACKED:
        selected.execute(statement, window=reach + 1, **at)
    span = selected.rows(PACKED_SPAN)[0][0]
    width = span + reach + 1
    hash_ids, step = selected.frame(PACKED_KEYS)["key"] % hashes, _keys_at_once(width)
    for first_key in range(0, len(hash_ids), step):
        codes = selected.frame(PACKED_CODES, first_key=first_key, keys=step, width=width)["code"].sort()
        found = hash_ids.gather(codes // (2 * width) + first_key)
        yield _timed(codes, durations_ms.gather(found - 1), width, span)


def _keys_at_once(width: int) -> int:
    return 1 << CODE_BITS - width.bit_length()


def _timed(codes: "pl.Series", saved_ms: "pl.Series", width: int, span: int) -> CacheAccesses:
    """Time each use by those of the same key before and after it."""
    import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

    code, gap = pl.col("code") // 2, (pl.col("code") // 2).diff()
    first = (code // width != (code // width).shift()).fill_null(value=True)
    last = first.shift(-1).fill_null(value=True)
    timed = pl.DataFrame({"code": codes}).select(
        code=code,
        since_last=pl.when(~first).then(gap),
        until_next=pl.when(last).then(span - code % width).otherwise(gap.shift(-1)),
        first_hit=first & (pl.col("code") % 2 == 1),
    )
    return CacheAccesses(
        timed["code"], timed["since_last"], timed["until_next"], saved_ms, timed["first_hit"], width, span
    )
