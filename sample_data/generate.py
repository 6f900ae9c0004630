"""Writes a realistic synthetic log: `python sample_data/generate.py --events N --days D --seed S -o log.ndjson`.

Four teams of one company work on weekdays; most of their runs are on CI. A run looks up some of its team's tasks. The
hash of a task changes as the main branch moves on, and in branches that edit the task, and never otherwise. Hits and
misses follow from who looked up what before: on the same machine (local), or anywhere in the team within seven days
(remote).
Incidents to be found, all in the second half of the log:

- An outage: for 30 hours, from 10:00 of the day at 5/9 of the log, the remote cache is unreachable. Only LOCAL events.
- A regression: from 7/9 of the log on, every test task of team `web` gets a new hash in every run, as if a build number
  had become part of the hash. The hit rate of that team falls, the others' do not.
- A server that does not return durations: all hits of team `mobile` have duration 0, which means unknown.

And throughout the log:

- A purge: the cache of team `data` is emptied every Wednesday at noon, whatever is in use.
- Read-only clients: what team `platform` builds on JENKINS is never uploaded.
- A failing task: one task of team `platform` fails in two runs out of three, and is not cached in those.

The same arguments give the same bytes: every random draw is the MD5 of its purpose and the seed.
"""

import argparse
import sys
from pathlib import Path

import duckdb

EVENTS_A_SESSION = 36
FORMATS = {
    ".csv": "CSV, HEADER",
    ".ndjson": r"CSV, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\x01'",
    ".parquet": "PARQUET, COMPRESSION zstd",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}

SETUP = """
SET threads = 2; SET TimeZone = 'UTC'; SET enable_progress_bar = false;
CREATE MACRO draw(what) AS md5_number_lower(concat(what, '/', getvariable('seed'))) / 18446744073709551616.0;

CREATE TABLE team AS SELECT * FROM (VALUES
    ('web', 0.40, NULL, 'GITHUB_ACTIONS', NULL), ('mobile', 0.65, NULL, 'BUILDKITE', 'CIRCLE'),
    ('platform', 0.85, 'team_7hPq2LmZ', 'GITHUB_ACTIONS', 'JENKINS'), ('data', 1.0, NULL, 'GITLAB', NULL)
) t(slug, share, team_id, ci, other_ci);

CREATE TABLE task AS
SELECT slug, task, slug || '/' || task AS name, task % 3 = 1 AS is_test,
       0.03 + 0.9 * pow(draw('rate' || slug || task), 3) AS changes_a_day,
       (800 * exp(3.2 * draw('length' || slug || task)))::INTEGER AS duration_ms
FROM team, range(60) r(task);

CREATE TABLE hour AS
SELECT hour, sum(weight) OVER (ORDER BY hour) / sum(weight) OVER () AS upto,
       lag(sum_before, 1, 0.0) OVER (ORDER BY hour) / sum(weight) OVER () AS after, weight
FROM (SELECT *, sum(weight) OVER (ORDER BY hour) AS sum_before FROM (
    SELECT start + to_hours(h::INTEGER) AS hour,
           CASE WHEN isodow(start + to_hours(h::INTEGER)) > 5 THEN 0.06 ELSE 1 END
           * CASE WHEN h % 24 BETWEEN 7 AND 17 THEN 1 - abs(h % 24 - 12.5) / 14 ELSE 0.05 END AS weight
    FROM (SELECT getvariable('start') AS start), range(getvariable('days') * 24) r(h)));

CREATE TABLE session AS
SELECT i, s.slug, team_id, started_at, epoch(started_at - getvariable('start')) / 86400 AS day,
       CASE WHEN is_ci THEN CASE WHEN draw('vendor' || i) < 0.85 THEN ci ELSE coalesce(other_ci, ci) END END AS ci,
       CASE WHEN is_ci THEN 'fresh' || i
            ELSE s.slug || floor(draw('machine' || i) * getvariable('machines')) END AS machine,
       CASE WHEN draw('main' || i) < 0.3 THEN '' ELSE
            s.slug || floor(epoch(started_at - getvariable('start')) / 43200)
            || '.' || floor(draw('branch' || i) * getvariable('branches'))
       END AS branch,
       CASE WHEN draw('scope' || i) < 0.25 THEN 0.9 WHEN draw('scope' || i) < 0.6 THEN 0.3 ELSE 0.12 END AS scope
FROM (SELECT i, (SELECT slug FROM team WHERE draw('team' || i) < share ORDER BY share LIMIT 1) AS slug,
             hour + to_milliseconds(floor(draw('minute' || i) * 3600000)::BIGINT) AS started_at,
             draw('ci' || i) < 0.7 AS is_ci
      FROM (SELECT i, draw('time' || i) AS place FROM range(getvariable('sessions')) r(i)) p
      ASOF JOIN hour ON p.place >= hour.after) s JOIN team USING (slug);

CREATE TABLE lookup AS
SELECT s.*, t.task, t.name, t.is_test,
       floor((day + 40 * draw('phase' || t.name)) * t.changes_a_day) AS version,
       branch <> '' AND draw('edit' || branch || t.name) < 0.07 AS edited,
       is_test AND s.slug = 'web' AND day >= getvariable('days') * 7 / 9 AS regressed,
       ci IS NULL AND is_test AND draw('flaky' || i || t.name) < 0.004 AS flaky,
       coalesce(ci = 'JENKINS', false) OR (t.name = 'platform/7' AND draw('fails' || i) < 0.67) AS keeps_nothing
FROM session s JOIN task t ON t.slug = s.slug AND draw('run' || i || '/' || t.task) < s.scope;

CREATE TABLE outcome AS
SELECT *, started_at BETWEEN getvariable('outage') AND getvariable('outage') + INTERVAL 30 HOUR AS is_outage,
       max(CASE WHEN NOT keeps_nothing THEN started_at END) OVER (PARTITION BY slug, hash ORDER BY started_at, i
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS team_had_it_at,
       CASE WHEN slug = 'data' THEN date_trunc('week', started_at - INTERVAL 60 HOUR) + INTERVAL 60 HOUR
       END AS purged_at,
       max(CASE WHEN NOT keeps_nothing THEN started_at END) OVER (PARTITION BY machine, hash ORDER BY started_at, i
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS machine_had_it_at
FROM (SELECT * EXCLUDE (name), substr(md5(concat(name, '/', version, CASE WHEN edited THEN branch END,
             CASE WHEN regressed OR flaky THEN i END, getvariable('seed'))), 1, 16) AS hash
      FROM lookup);

CREATE TABLE event AS
SELECT started_at, i, task, step, slug, team_id, ci, hash, kind,
       CASE WHEN kind[2] = 'M' OR slug = 'mobile' THEN 0
            ELSE (duration_ms * (0.9 + 0.2 * draw('took' || hash)))::INTEGER END AS duration
FROM (SELECT *, unnest(kinds) AS kind, generate_subscripts(kinds, 1) AS step
      FROM (SELECT *, CASE WHEN started_at - machine_had_it_at < INTERVAL 5 DAY THEN ['LH']
                           WHEN is_outage THEN ['LM']
                           WHEN started_at - team_had_it_at < INTERVAL 7 DAY
                                AND coalesce(team_had_it_at >= purged_at, true) THEN ['LM', 'RH']
                           ELSE ['LM', 'RM'] END AS kinds
            FROM outcome))
JOIN (SELECT slug, task, duration_ms FROM task) USING (slug, task);
"""

# Clients report at the end of a run, a hundred events a request; a request's events share the time it arrived.
EVENTS = """
SELECT concat(substr(id, 1, 8), '-', substr(id, 9, 4), '-4', substr(id, 14, 3), '-a', substr(id, 18, 3), '-',
              substr(id, 21, 12)) AS "sessionId",
       CASE WHEN kind[1] = 'L' THEN 'LOCAL' ELSE 'REMOTE' END AS source,
       CASE WHEN kind[2] = 'H' THEN 'HIT' ELSE 'MISS' END AS event, hash, duration,
       strftime(started_at + to_milliseconds(nth // 100 * 7), '%Y-%m-%dT%H:%M:%S.%gZ') AS timestamp,
       team_id AS "teamId", slug, ci
FROM (SELECT *, md5(concat('session', i, '/', getvariable('seed'))) AS id,
             row_number() OVER (PARTITION BY i ORDER BY task, step) - 1 AS nth FROM event)
WHERE i < getvariable('last') OR (i = getvariable('last') AND nth < getvariable('rest'))
ORDER BY started_at, i, nth
"""

# Sessions are numbered at random over time: taking them by number until there are enough keeps the log's rhythm.
ENOUGH = """
SELECT i, getvariable('events') - upto + count AS rest
FROM (SELECT i, count, sum(count) OVER (ORDER BY i) AS upto FROM (SELECT i, count(*) AS count FROM event GROUP BY i))
WHERE upto >= getvariable('events') ORDER BY i LIMIT 1
"""


def write(events: int, days: int, seed: int, start: str, paths: dict[Path, str]) -> None:
    """Write `events` events of `days` days from `start` on; `paths` gives each file's condition on `timestamp`."""
    connection = duckdb.connect()
    outage = f"TIMESTAMP '{start}' + INTERVAL {days * 5 // 9} DAY + INTERVAL 10 HOUR"
    sessions = events // EVENTS_A_SESSION + 50
    variables = {
        "seed": str(seed), "days": str(days), "events": str(events), "start": f"TIMESTAMP '{start}'", "outage": outage,
        "sessions": str(sessions), "machines": str(max(14, sessions // 350)),
        "branches": str(max(2, sessions // days // 40)),
    }  # fmt: skip
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = {value}")
    for statement in duckdb.extract_statements(SETUP):
        connection.execute(statement)
    last, rest = connection.execute(ENOUGH).fetchone()
    connection.execute(f"SET VARIABLE last = {last}; SET VARIABLE rest = {rest}")
    for path, condition in paths.items():
        rows = f"SELECT * FROM ({EVENTS}) WHERE {condition}"
        if ".ndjson" in path.suffixes or not path.suffix:
            rows = f"SELECT json_strip_nulls(to_json(e))::VARCHAR FROM ({rows}) e"
        connection.execute(f"COPY ({rows}) TO '{path}' ({_options(path)})")


def _options(path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes if suffix in (*FORMATS, *COMPRESSIONS)]
    compression = (
        f", COMPRESSION {COMPRESSIONS[suffixes[-1]]}" if suffixes[-1:] and suffixes[-1] in COMPRESSIONS else ""
    )
    return "FORMAT " + FORMATS[suffixes[0] if suffixes else ".ndjson"] + compression


def main() -> None:
    """Read the arguments and write the log."""
    parser = argparse.ArgumentParser(description="Write a made-up but lifelike log of cache usage events.")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", default="2026-08-17", help="the first day (default: %(default)s)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("/dev/stdout"), help="file: .ndjson, .csv or .parquet"
    )
    parser.add_argument("--sample", action="store_true", help="write the three files of sample_data instead")
    arguments = parser.parse_args()
    here = Path(__file__).parent
    sample = {
        here / "acme-until-09-15.ndjson.gz": "timestamp < '2026-09-16'",
        here / "acme-until-10-15.parquet": "timestamp >= '2026-09-16' AND timestamp < '2026-10-16'",
        here / "acme-until-11-14.csv.zst": "timestamp >= '2026-10-16'",
    }
    paths = sample if arguments.sample else {arguments.output: "true"}
    write(arguments.events, arguments.days, arguments.seed, arguments.start, paths)


if __name__ == "__main__":
    sys.exit(main())
