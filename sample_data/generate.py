"""Writes a realistic synthetic log: `python sample_data/generate.py --events N --days D --seed S -o log.ndjson`.

Four teams of one company, each with a monorepo of 20 packages, work on weekdays; most of their runs are on CI. A run
builds, tests and lints some packages, and builds all that they depend on. A package changes as the main branch moves
on, and in branches that edit it. The hash of a build and of a test is made of the package and all that it depends on;
that of a lint of the package alone. Hits and misses follow from who looked up what before: on the same machine (local),
or anywhere in the team within seven days (remote).

Incidents to be found, all in the second half of the log:

- An outage: for 30 hours, from 10:00 of the day at 5/9 of the log, the remote cache is unreachable. Only LOCAL events.
- A regression: in the last 1/13 of the log, `BUILD_NUMBER` is in the hash of the tests that team `web` runs on CI:
  turbo.json names it in `env`. It differs in each run. The hit rate of that team falls, the others' do not.
- A server that does not return durations: all hits of team `mobile` have duration 0, which means unknown.

And throughout the log:

- A purge: the cache of team `data` is emptied every Wednesday at noon, whatever is in use.
- Read-only clients: what team `platform` builds on JENKINS is never uploaded.
- A failing task: one task of team `platform` fails in two runs out of three, and is not cached in those.

With `--sample`, it also writes the run summaries of what team `web` ran on CI in the last six weeks, as
`turbo run build test lint --summarize` does.

The same arguments give the same bytes: every random draw is the MD5 of its purpose and the seed.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

EVENTS_A_SESSION = 24
FORMATS = {
    ".csv": "CSV, HEADER",
    ".ndjson": r"CSV, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\x01'",
    ".parquet": "PARQUET, COMPRESSION zstd",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
TASKS = ("build", "test", "lint")

SETUP = """
SET threads = 2; SET TimeZone = 'UTC'; SET enable_progress_bar = false;
CREATE MACRO draw(what) AS md5_number_lower(concat(what, '/', getvariable('seed'))) / 18446744073709551616.0;

CREATE TABLE team AS SELECT * FROM (VALUES
    ('web', 0.40, NULL, 'GITHUB_ACTIONS', NULL), ('mobile', 0.65, NULL, 'BUILDKITE', 'CIRCLE'),
    ('platform', 0.85, 'team_7hPq2LmZ', 'GITHUB_ACTIONS', 'JENKINS'), ('data', 1.0, NULL, 'GITLAB', NULL)
) t(slug, share, team_id, ci, other_ci);

-- Package 0 has the configuration of most others.
CREATE TABLE package AS
SELECT slug, p, 0.01 + 0.35 * pow(draw('rate' || slug || p), 3) AS changes_a_day FROM team, range(20) r(p);

CREATE TABLE needed AS
SELECT a.slug, a.p, b.p AS q FROM package a JOIN package b ON b.slug = a.slug AND b.p < a.p
WHERE draw(concat('needs', a.slug, a.p, '/', b.p)) < CASE WHEN b.p = 0 THEN 0.6 ELSE 0.12 END;

CREATE TABLE content AS
WITH RECURSIVE closure AS (
    SELECT slug, p, p AS q FROM package UNION SELECT c.slug, c.p, n.q FROM closure c JOIN needed n ON n.slug = c.slug
                                                                                             AND n.p = c.q)
FROM closure;

CREATE TABLE task AS
SELECT slug, p, k, p * 3 + k AS task, (800 * exp(3.2 * draw('length' || slug || (p * 3 + k))))::INTEGER AS duration_ms
FROM package, range(3) r(k);

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
            s.slug || floor(epoch(started_at - getvariable('start')) / 43200)::INTEGER
            || '.' || floor(draw('branch' || i) * getvariable('branches'))::INTEGER
       END AS branch,
       CASE WHEN draw('scope' || i) < 0.2 THEN 0.8 WHEN draw('scope' || i) < 0.6 THEN 0.25 ELSE 0.1 END AS scope
FROM (SELECT i, (SELECT slug FROM team WHERE draw('team' || i) < share ORDER BY share LIMIT 1) AS slug,
             hour + to_milliseconds(floor(draw('minute' || i) * 3600000)::BIGINT) AS started_at,
             draw('ci' || i) < 0.7 AS is_ci
      FROM (SELECT i, draw('time' || i) AS place FROM range(getvariable('sessions')) r(i)) p
      ASOF JOIN hour ON p.place >= hour.after) s JOIN team USING (slug);

-- Each package as a session finds it.
CREATE TABLE source AS
SELECT i, slug, p, floor((day + 40 * draw('phase' || slug || p)) * changes_a_day)::INTEGER AS version,
       branch <> '' AND draw('edit' || branch || p) < 0.07 AS edited, branch
FROM session JOIN package USING (slug);

CREATE TABLE text AS
SELECT i, c.p, string_agg(concat(c.q, ':', version, CASE WHEN edited THEN branch END), ' ' ORDER BY c.q) AS text,
       any_value(concat(version, CASE WHEN edited THEN branch END)) FILTER (c.q = c.p) AS own
FROM content c JOIN source s ON s.slug = c.slug AND s.p = c.q GROUP BY ALL;

CREATE TABLE lookup AS
WITH chosen AS (SELECT i, slug, p FROM session JOIN package USING (slug) WHERE draw('run' || i || '/' || p) < scope),
wanted AS (
    SELECT i, slug, p, k FROM chosen, range(3) r(k)
    UNION SELECT i, slug, q, 0 FROM chosen JOIN content USING (slug, p))
SELECT s.*, p, k, p * 3 + k AS task,
       k = 1 AND slug = 'web' AND ci IS NOT NULL AND day >= getvariable('days') * 12 / 13 AS regressed,
       ci IS NULL AND k = 1 AND draw('flaky' || i || slug || p) < 0.004 AS flaky,
       coalesce(ci = 'JENKINS', false) OR (slug = 'platform' AND p * 3 + k = 7 AND draw('fails' || i) < 0.67)
           AS keeps_nothing
FROM wanted JOIN session s USING (i, slug);

CREATE TABLE outcome AS
SELECT *, started_at BETWEEN getvariable('outage') AND getvariable('outage') + INTERVAL 30 HOUR AS is_outage,
       max(CASE WHEN NOT keeps_nothing THEN started_at END) OVER (PARTITION BY slug, hash ORDER BY started_at, i
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS team_had_it_at,
       CASE WHEN slug = 'data' THEN date_trunc('week', started_at - INTERVAL 60 HOUR) + INTERVAL 60 HOUR
       END AS purged_at,
       max(CASE WHEN NOT keeps_nothing THEN started_at END) OVER (PARTITION BY machine, hash ORDER BY started_at, i
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS machine_had_it_at
FROM (SELECT l.*, substr(md5(concat(slug, '/', task, '/', CASE WHEN k = 2 THEN own ELSE text END, '/',
                                    CASE WHEN regressed OR flaky THEN i END, getvariable('seed'))), 1, 16) AS hash
      FROM lookup l JOIN text USING (i, p));

CREATE TABLE event AS
SELECT started_at, i, task, step, slug, team_id, ci, hash, kind,
       CASE WHEN kind[2] = 'M' OR slug = 'mobile' THEN 0 ELSE took_ms END AS duration, took_ms
FROM (SELECT *, unnest(kinds) AS kind, generate_subscripts(kinds, 1) AS step,
             (duration_ms * (0.9 + 0.2 * draw('took' || hash)))::INTEGER AS took_ms
      FROM (SELECT *, CASE WHEN started_at - machine_had_it_at < INTERVAL 5 DAY THEN ['LH']
                           WHEN is_outage THEN ['LM']
                           WHEN started_at - team_had_it_at < INTERVAL 7 DAY
                                AND coalesce(team_had_it_at >= purged_at, true) THEN ['LM', 'RH']
                           ELSE ['LM', 'RM'] END AS kinds
            FROM outcome) JOIN (SELECT slug, task, duration_ms FROM task) USING (slug, task));
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


# What team `web` ran on CI, with all that its summaries show.
PACKAGES = (
    "config", "icons", "i18n", "ui", "auth", "api-client", "forms", "tables", "charts", "analytics", "editor", "search",
    "cart", "checkout", "account", "admin", "docs", "storybook", "storefront", "landing",
)  # fmt: skip
FILES = ("package.json", "src/index.ts", "src/model.ts", "src/view.tsx", "src/format.ts", "README.md")
CONFIG_FILES = ("package.json", "tsconfig.json", "eslint.config.js")
RUNS = """
SELECT s.i, epoch_ms(s.started_at), s.branch,
       list({'p': l.p, 'k': l.k, 'hash': l.hash, 'regressed': l.regressed, 'kinds': e.kinds, 'took_ms': e.took_ms}
            ORDER BY l.task) AS tasks,
       (SELECT list({'version': version, 'edited': edited} ORDER BY p) FROM source o WHERE o.i = s.i) AS sources
FROM session s JOIN outcome l USING (i)
JOIN (SELECT i, task, list(kind) AS kinds, any_value(took_ms) AS took_ms FROM event GROUP BY ALL) e
  ON e.i = s.i AND e.task = l.task
WHERE s.slug = 'web' AND s.ci IS NOT NULL AND s.i < getvariable('last') AND s.started_at >= $since::TIMESTAMP
GROUP BY ALL ORDER BY 2, 1
"""
RUN_SUMMARIES_SINCE = "2026-10-05"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KSUID_EPOCH_S, KSUID_CHARS = 1_400_000_000, 27


def run_summaries(connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """Yield a summary for each run."""
    needed: dict[int, list[int]] = {}
    for p, q in connection.execute("SELECT p, q FROM needed WHERE slug = 'web' ORDER BY ALL").fetchall():
        needed.setdefault(p, []).append(q)
    for number, reported_ms, branch, tasks, sources in connection.execute(
        RUNS, {"since": RUN_SUMMARIES_SINCE}
    ).fetchall():
        executed_ms = max(
            (task["took_ms"] for task in tasks if not any("H" in kind for kind in task["kinds"])), default=0
        )
        ended_ms = reported_ms - 20
        started_ms = ended_ms - 900 - executed_ms
        state = [(one["version"], branch if one["edited"] else "") for one in sources]
        yield {
            "id": _ksuid(ended_ms, number),
            "version": "1",
            "turboVersion": "2.11.11",
            "monorepo": True,
            "globalCacheInputs": {
                "rootKey": "I can\u2019t see ya, but I know you\u2019re here",
                "files": {"tsconfig.base.json": _digest("tsconfig.base.json")[:40]},
                "hashOfExternalDependencies": _digest("root")[:16],
                "hashOfInternalDependencies": "",
                "environmentVariables": _variables({}),
                "engines": None,
            },
            "execution": {
                "command": "turbo run build test lint", "repoPath": "", "failed": 0, "exitCode": 0,
                "success": sum(not _is_hit(task) for task in tasks), "cached": sum(map(_is_hit, tasks)),
                "attempted": len(tasks), "startTime": started_ms, "endTime": ended_ms,
            },
            "packages": [f"@acme/{PACKAGES[p]}" for p in sorted({task["p"] for task in tasks})],
            "envMode": "strict",
            "frameworkInference": True,
            "tasks": [_task(task, needed.get(task["p"], []), state, number, started_ms + 400) for task in tasks],
            "user": "",
            "scm": {
                "type": "git", "sha": _digest(state)[:40],
                "branch": branch.replace("web", "feature-").replace(".", "-") or "main",
            },
        }  # fmt: skip


def _task(task: dict[str, Any], needed: list[int], state: list[Any], number: int, at_ms: int) -> dict[str, Any]:
    p, name = task["p"], TASKS[task["k"]]
    package, version, branch = f"@acme/{PACKAGES[p]}", *state[p]
    files = CONFIG_FILES if p == 0 else FILES
    # Each version of a package changes one file; branches edit its first source file.
    blobs = {file: _digest([p, file, (version - place) // len(files)])[:40] for place, file in enumerate(files)}
    if branch:
        blobs[files[1]] = _digest([p, branch])[:40]
    # Tests depend on the build of their package, and builds on those of others.
    dependencies = {
        "build": [f"@acme/{PACKAGES[q]}#build" for q in needed], "test": [f"{package}#build"], "lint": [],
    }[name]  # fmt: skip
    variables = {"BUILD_NUMBER": f"{number}"} if task["regressed"] else {}
    is_hit = _is_hit(task)
    return {
        "taskId": f"{package}#{name}", "task": name, "package": package, "hash": task["hash"], "inputs": blobs,
        "hashOfExternalDependencies": _digest(["lockfile", p])[:16],
        "cache": {
            "local": False, "remote": is_hit, "status": "HIT" if is_hit else "MISS",
            **({"source": "REMOTE"} if is_hit else {}), "timeSaved": task["took_ms"] if is_hit else 0,
        },
        "command": f"run {name}", "cliArguments": [], "outputs": ["dist/**"] if name == "build" else None,
        "excludedOutputs": None, "directory": f"packages/{PACKAGES[p]}", "dependencies": dependencies,
        "resolvedTaskDefinition": {
            "outputs": ["dist/**"] if name == "build" else [], "cache": True,
            "dependsOn": {"build": ["^build"], "test": ["build"], "lint": []}[name], "inputs": [],
            "env": list(variables), "passThroughEnv": None,
        },
        "envMode": "strict", "environmentVariables": _variables(variables),
        "execution": {"startTime": at_ms, "endTime": at_ms + (12 if is_hit else task["took_ms"]), "exitCode": 0},
    }  # fmt: skip


def _is_hit(task: dict[str, Any]) -> bool:
    return any("H" in kind for kind in task["kinds"])


def _variables(variables: dict[str, str]) -> dict[str, Any]:
    configured = [f"{name}={_digest(value)}" for name, value in variables.items()]
    return {
        "specified": {"env": list(variables), "passThroughEnv": None}, "configured": configured, "inferred": [],
        "passthrough": None,
    }  # fmt: skip


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _ksuid(at_ms: int, number: int) -> str:
    """Return an id as turbo makes them: a time in seconds, and 128 bits that are random there."""
    rest, text = (at_ms // 1000 - KSUID_EPOCH_S) << 128 | int(_digest(["run", number])[:32], 16), ""
    for _ in range(KSUID_CHARS):
        rest, digit = divmod(rest, len(BASE62))
        text = BASE62[digit] + text
    return text


def write(events: int, days: int, seed: int, start: str, paths: dict[Path, str], runs: Path | None = None) -> None:
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
    if runs:
        rest = 0  # a session that is cut would match no run
    connection.execute(f"SET VARIABLE last = {last}; SET VARIABLE rest = {rest}")
    for path, condition in paths.items():
        rows = f"SELECT * FROM ({EVENTS}) WHERE {condition}"
        if ".ndjson" in path.suffixes or not path.suffix:
            rows = f"SELECT json_strip_nulls(to_json(e))::VARCHAR FROM ({rows}) e"
        connection.execute(f"COPY ({rows}) TO '{path}' ({_options(path)})")
    if runs:
        lines = [json.dumps(summary, separators=(",", ":")) for summary in run_summaries(connection)]
        connection.execute("CREATE TEMP TABLE line AS SELECT unnest($lines) AS line", {"lines": lines})
        connection.execute(f"COPY line TO '{runs}' ({_options(runs)})")


def _options(path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes if suffix in (*FORMATS, *COMPRESSIONS)]
    compression = (
        f", COMPRESSION {COMPRESSIONS[suffixes[-1]]}" if suffixes[-1:] and suffixes[-1] in COMPRESSIONS else ""
    )
    return "FORMAT " + FORMATS[suffixes[0] if suffixes else ".ndjson"] + compression


def main() -> None:
    """Read the arguments and write the log."""
    parser = argparse.ArgumentParser(description="Write a made-up but lifelike log of cache usage events.")
    parser.add_argument("--events", type=int, default=120_000)
    parser.add_argument("--days", type=int, default=91)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", default="2026-08-17", help="the first day (default: %(default)s)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("/dev/stdout"), help="file: .ndjson, .csv or .parquet"
    )
    parser.add_argument("--sample", action="store_true", help="write the files of sample_data/acme instead")
    arguments = parser.parse_args()
    here = Path(__file__).parent / "acme"
    sample = {
        here / "until-09-15.ndjson.gz": "timestamp < '2026-09-16'",
        here / "until-10-15.parquet": "timestamp >= '2026-09-16' AND timestamp < '2026-10-16'",
        here / "until-11-15.csv.zst": "timestamp >= '2026-10-16'",
    }
    paths, runs = (sample, here / "runs.ndjson.zst") if arguments.sample else ({arguments.output: "true"}, None)
    write(arguments.events, arguments.days, arguments.seed, arguments.start, paths, runs)


if __name__ == "__main__":
    sys.exit(main())
