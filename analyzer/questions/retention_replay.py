"""Replays the log against caches that keep artifacts for a limited time: hits, time saved and storage of each.

Only lookups that asked the remote cache are replayed, and each team has a cache of its own. Every miss is assumed to
upload its artifact at once, so that the result is what a cache could reach if no upload failed. An *absolute* policy
drops an artifact some time after its upload, a *sliding* one some time after its last use. If the first lookup of a
hash was a hit, the artifact is older than the log: under every policy that lookup is a hit, and counts as the upload.

Lookups are encoded as sorted 64-bit integers, so that a replay is arithmetic and binary search over whole columns. A
*key* numbers the artifacts of all teams, a *tick* is a time since the first lookup, and

    code = key * width + tick        where width = last tick + longest retention + 1

Codes sort by key, then by time. The difference of two codes of one key is the time between them, and a code plus a
retention never reaches a code of the next key. For example, let the last tick be 10 and the longest retention 5, which
makes width 16. If artifact 0 is used at ticks 0, 3 and 10, and artifact 1 at ticks 2 and 4, then

    codes         0    3   10   18   20
    since_last    -    3    7    -    2
    until_next    3    7    0    2    6      (after the last use of a key: until the end of the log)

A sliding retention of 5 makes hits of the uses with since_last <= 5, the codes 3 and 20. An absolute retention of 5
keeps the artifact uploaded at code 0 up to code 5. The next code, 10, has the same key (10 // 16 = 0): it is the next
upload. That artifact is kept up to code 15, and the next code, 18, has another key: artifact 0 has no more uploads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import NeededRows, lookup_reads
from analyzer.questions.miss_classes import DAY_US, DURATION_READS, imputed_durations
from analyzer.questions.scope import Given, Rows, Scope, Step

if TYPE_CHECKING:
    import polars as pl

USES_PER_BATCH = 2_500_000  # about; a use takes 80 bytes in memory
IS_REPLAYED = "asked_remote(kinds) AND first_at IS NOT NULL"

OBSERVED = f"""
SELECT epoch_us(min(first_at)) AS first_us, epoch_us(max(first_at)) AS last_us, count(*) AS lookups,
       count(*) FILTER (had_remote_hit(kinds)) AS hits, bool_and(epoch_us(first_at) % 1000 = 0) AS only_ms,
       count(d.duration_ms) AS known
FROM {{selected}} l LEFT JOIN {{durations}} d USING (hash_id) WHERE {IS_REPLAYED}
"""
MERGED_OBSERVED = """
SELECT min(first_us), max(last_us), sum(lookups)::BIGINT, sum(hits)::BIGINT, bool_and(only_ms),
       sum(known) / nullif(sum(lookups), 0)
FROM {parts}
"""
RESULTS_TYPE = "STRUCT(policy VARCHAR, day DOUBLE, hits BIGINT, saved_ms DOUBLE, stored_us HUGEINT)"
RESULTS = f"SELECT unnest($results::{RESULTS_TYPE}[], recursive := true)"
MERGED_RESULTS = """
SELECT policy, day, sum(hits)::BIGINT, fsum(saved_ms), sum(stored_us)::HUGEINT FROM {parts} GROUP BY policy, day
"""

TEAM_NUMBERS = "SELECT id AS context_id, dense_rank() OVER (ORDER BY team) - 1 AS team_number FROM store.context"

KEY_COUNTS = f"SELECT (SELECT max(team_number) + 1 FROM ({TEAM_NUMBERS})), (SELECT max({{number}}) + 1 FROM {{hashes}})"
HASH_NUMBERS = "CREATE TEMP TABLE {table} AS SELECT id AS hash_id, row_number() OVER () - 1 AS number FROM store.hash"

# `{number}` is the number of a hash: its id in an archive. A lake has names only, to which `{numbers}` joins numbers.
USES = f"""
SELECT {{number}} * $teams + team_number AS key, (epoch_us(first_at) - $start_us) // $tick_us AS tick,
       had_remote_hit(kinds)::INTEGER AS hit
FROM {{selected}} JOIN ({TEAM_NUMBERS}) USING (context_id) {{numbers}} WHERE {IS_REPLAYED}
"""

HASH_RANGE = "$first_key // $teams AND ($first_key + $keys) // $teams"

HASH_SAVED = """
SELECT coalesce(duration_ms, 0) AS saved_ms
FROM range($hashes) r(n) LEFT JOIN (SELECT {number} AS n, duration_ms FROM {durations} {numbers}) USING (n) ORDER BY n
"""

# For codes that would be too long, the keys that occur are numbered without gaps, and periods without any lookup are
# shortened: time is cut into windows longer than every retention, and of consecutive empty windows one is left. Lookups
# on either side of it stay too far apart for a hit. The row without a key is the end of the log.
PACKED_USES = f"""
CREATE OR REPLACE TEMP TABLE packed_use AS
WITH use AS MATERIALIZED ({USES}),
packed_key AS (SELECT key, row_number() OVER (ORDER BY key) - 1 AS number FROM (SELECT DISTINCT key FROM use)),
packed_window AS (
    SELECT old_number, sum(least(step, 2)) OVER (ORDER BY old_number)::BIGINT AS number
    FROM (SELECT old_number, coalesce(old_number - lag(old_number) OVER (ORDER BY old_number), 0) AS step
          FROM (SELECT tick // $window AS old_number FROM use UNION SELECT $end // $window)))
SELECT k.number AS key, key // $teams AS n, w.number * $window + tick % $window AS tick, hit
FROM use JOIN packed_key k USING (key) JOIN packed_window w ON old_number = tick // $window
UNION ALL SELECT NULL, NULL, number * $window + $end % $window, 0 FROM packed_window WHERE old_number = $end // $window
ORDER BY 1
"""

PACKED_SAVED = """
SELECT coalesce(duration_ms, 0) AS saved_ms
FROM (SELECT DISTINCT key, n FROM packed_use WHERE key IS NOT NULL)
LEFT JOIN (SELECT {number} AS n, duration_ms FROM {durations} {numbers}) USING (n) ORDER BY key
"""

# Uses of one moment are sorted by the last bit: a miss comes before a hit.
CODES = """
SELECT ((key - $first_key) * $width + tick) * 2 + hit AS code
FROM {uses} WHERE key >= $first_key AND key < $first_key + $keys
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """Totals of the lookups that are replayed. A tick is 1 ms, or 1 µs if any time is finer than 1 ms."""

    start_us: int
    span_us: int
    lookups: int
    hits: int
    tick_us: int
    duration_coverage: float


@dataclass(slots=True)
class PolicyResult:
    """The hits of one cache, the time they save, and the storage time of all its artifacts added up."""

    hits: int = 0
    saved_ms: float = 0
    stored_us: int = 0


@dataclass(frozen=True, slots=True)
class Uses:
    """Lookups of some keys, sorted by `codes`, one element of each series per lookup. Times are ticks.

    `since_last` is null for the first use of a key. `saved_ms` is the time that a hit saves. `first_hit` marks first
    uses that were hits.
    """

    codes: "pl.Series"
    since_last: "pl.Series"
    until_next: "pl.Series"
    saved_ms: "pl.Series"
    first_hit: "pl.Series"
    width: int
    last_tick: int


def observe(scope: Scope) -> Observed | None:
    """Return the totals of the lookups that are replayed; None if there are none."""
    rows = scope.gather([Step("hash_id", _observe, _reads(scope))]).rows("observed", MERGED_OBSERVED)
    ((start, end, lookups, hits, only_ms, coverage),) = rows
    return None if start is None else Observed(start, end - start, lookups, hits, 1000 if only_ms else 1, coverage)


def _reads(scope: Scope) -> dict[str, NeededRows]:
    return lookup_reads(scope.selection) | DURATION_READS


def _observe(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    sql = OBSERVED.replace("{durations}", imputed_durations(scope.log))
    return Given({"observed": Rows(scope.selected, sql)})


def replay_policies(scope: Scope, observed: Observed, days: Sequence[float]) -> dict[tuple[str, float], PolicyResult]:
    """Replay the lookups against a cache of each policy and number of days."""
    gathered = scope.gather([Step("hash_id", _replay, _reads(scope))], observed, tuple(days))
    results = {(policy, day): PolicyResult(*row) for policy, day, *row in gathered.rows("results", MERGED_RESULTS)}
    return {(policy, day): results[policy, day] for policy in POLICIES for day in days}


def _replay(scope: Scope, _passed: Mapping[str, Rows], observed: Observed, days: Sequence[float]) -> Given:
    """Replay the lookups of a part. The keys and codes are its own; the times are those of the whole log."""
    results = {(policy, day): PolicyResult() for policy in POLICIES for day in days}
    limits = [min(round(day * DAY_US), observed.span_us) // observed.tick_us for day in days]
    for uses in encode_uses(scope, observed, max(limits)):
        first_hits, first_saved_ms = int(uses.first_hit.sum()), float(uses.saved_ms.filter(uses.first_hit).sum())
        for policy, replay in POLICIES.items():
            for day, (hits, saved_ms, stored) in zip(days, replay(uses, limits), strict=True):
                result = results[policy, day]
                result.hits += hits + first_hits
                result.saved_ms += saved_ms + first_saved_ms
                result.stored_us += stored * observed.tick_us
    rows = [{"policy": policy, "day": day, **asdict(result)} for (policy, day), result in results.items()]
    return Given({"results": Rows(scope.selected, RESULTS, {"results": rows})})


def encode_uses(scope: Scope, observed: Observed, max_limit: int) -> Iterator[Uses]:
    """Yield the lookups in batches of as many keys as fit into the codes, and of uses that fit into memory.

    `max_limit` is the longest retention.
    """
    selected, fill = scope.selected, _fill(scope.log)
    ((teams, hashes),) = selected.rows(fill(KEY_COUNTS))
    ((lookups,),) = selected.rows(f"SELECT count(*) FROM {{selected}} WHERE {IS_REPLAYED}")
    if not lookups:  # in this part
        return
    values = {"start_us": observed.start_us, "tick_us": observed.tick_us, "hashes": hashes, "teams": teams}
    # The range of hashes spares DuckDB most of a large archive: hashes are numbered in the order of loading.
    uses, saved, keys, last_tick = (
        f"({USES} AND {{number}} BETWEEN {HASH_RANGE})",
        HASH_SAVED,
        teams * hashes,
        observed.span_us // observed.tick_us,
    )
    if keys > _keys_per_batch(last_tick + max_limit + 1):
        selected.execute(fill(PACKED_USES), window=max_limit + 1, end=last_tick, **values)
        uses, saved, teams = "packed_use", PACKED_SAVED, 1  # a packed key has a duration of its own
        ((keys, last_tick),) = selected.rows("SELECT max(key) + 1, max(tick) FROM packed_use")
    saved_ms = selected.frame(fill(saved), **values)["saved_ms"]
    width = last_tick + max_limit + 1
    batches = -(-lookups // USES_PER_BATCH)
    step = min(_keys_per_batch(width), -(-keys // batches))
    for first_key in range(0, keys, step):
        sql = CODES.replace("{uses}", fill(uses))
        codes = selected.frame(sql, first_key=first_key, keys=step, width=width, **values)["code"].sort()
        if codes.is_empty():
            continue
        key = (codes // (2 * width) + first_key) // teams
        yield _measure_gaps(codes, saved_ms.gather(key), width, last_tick)
    selected.execute("DROP TABLE IF EXISTS packed_use")


def _fill(log: OpenLog) -> Callable[[str], str]:
    """Return a function that fills the placeholders of SQL for the numbers and durations of hashes."""
    values = {"{durations}": imputed_durations(log), "{number}": "hash_id", "{numbers}": ""}
    values["{hashes}"] = "(SELECT id AS hash_id FROM store.hash)"
    if log.lake:
        table = log.derived_table("hash_numbers", lambda name: log.connection.execute(HASH_NUMBERS.format(table=name)))
        values |= {"{number}": "number", "{numbers}": f"JOIN {table} USING (hash_id)", "{hashes}": table}

    def fill(sql: str) -> str:
        for placeholder, value in values.items():
            sql = sql.replace(placeholder, value)
        return sql

    return fill


def _keys_per_batch(width: int) -> int:
    # A code has 62 bits: 64 less the sign and the bit that marks a hit.
    return 1 << (62 - width.bit_length())


def _measure_gaps(codes: "pl.Series", saved_ms: "pl.Series", width: int, last_tick: int) -> Uses:
    """Return uses with the times between them; the last bit of these `codes` marks a hit."""
    import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

    code, gap = pl.col("code") // 2, (pl.col("code") // 2).diff()
    is_first = (code // width != (code // width).shift()).fill_null(value=True)
    is_last = is_first.shift(-1).fill_null(value=True)
    uses = pl.DataFrame({"code": codes}).select(
        code=code,
        since_last=pl.when(~is_first).then(gap),
        until_next=pl.when(is_last).then(last_tick - code % width).otherwise(gap.shift(-1)),
        first_hit=is_first & (pl.col("code") % 2 == 1),
    )
    return Uses(uses["code"], uses["since_last"], uses["until_next"], saved_ms, uses["first_hit"], width, last_tick)


def replay_sliding(uses: Uses, limits: Sequence[int]) -> list[tuple[int, float, int]]:
    """Replay against caches that drop an artifact after its last use, one for each limit in ticks.

    Each result is the number of hits other than first hits, the ms they save, and the ticks that artifacts were stored.
    """
    results = []
    for limit in limits:
        is_hit = uses.since_last <= limit
        stored = int(uses.until_next.clip(upper_bound=limit).sum())
        results.append((int(is_hit.sum()), float(uses.saved_ms.filter(is_hit).sum()), stored))
    return results


def replay_absolute(uses: Uses, limits: Sequence[int]) -> list[tuple[int, float, int]]:
    """Replay like `replay_sliding`, but against caches that drop an artifact after its upload."""
    import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

    first = uses.since_last.is_null().arg_true()
    last = pl.concat([first.slice(1) - 1, pl.Series([uses.codes.len() - 1], dtype=first.dtype)])
    lifetimes = uses.codes.gather(last) - uses.codes.gather(first)
    left = uses.last_tick - uses.codes.gather(first) % uses.width
    # Every use that uploads nothing is a hit.
    hits = uses.codes.len() - first.len()
    saved_ms = float(uses.saved_ms.sum()) - float(uses.saved_ms.gather(first).sum())
    results = []
    for limit in limits:
        # Most artifacts are used no longer than the limit: they are uploaded once, and need no search.
        uploads, lost_ms, stored = _reuploads(uses, first.filter(lifetimes > limit), limit)
        results.append((hits - uploads, saved_ms - lost_ms, stored + int(left.clip(upper_bound=limit).sum())))
    return results


def _reuploads(uses: Uses, uploads: "pl.Series", limit: int) -> tuple[int, float, int]:
    """Return how many uses after these uploads upload again, their task time in ms, and the ticks they are stored."""
    # Each round finds the next upload of all artifacts at once: the first use after the artifact was dropped.
    count, lost_ms, stored, last = 0, 0.0, 0, uses.codes.len() - 1
    while uploads.len():
        codes = uses.codes.gather(uploads)
        following = uses.codes.search_sorted(codes + limit, side="right").clip(upper_bound=last)
        next_codes = uses.codes.gather(following)
        # The search may have ended at another key, or at the end of all codes, where it is clipped to the last one.
        uploads_again = (next_codes > codes + limit) & (next_codes // uses.width == codes // uses.width)
        uploads, next_codes = following.filter(uploads_again), next_codes.filter(uploads_again)
        count += uploads.len()
        lost_ms += float(uses.saved_ms.gather(uploads).sum())
        stored += int((uses.last_tick - next_codes % uses.width).clip(upper_bound=limit).sum())
    return count, lost_ms, stored


# When a cache drops an artifact: some time after its upload, or after its last use.
POLICIES = {"absolute": replay_absolute, "sliding": replay_sliding}
