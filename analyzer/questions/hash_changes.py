"""Finds why the hash of a task changed: what differs between two runs of it, followed through its dependencies.

Each task of a run is compared with its baseline: the latest earlier run that lists the same task of the same package,
on the same branch, else on any branch. What differs among its own inputs, and those that all tasks share, is its own
cause. Where the hash of a dependency that it had before differs too, between the same two runs, the causes of the
dependency are causes of the task. What is left at the end are root causes, which are real changes: a file, a variable,
the lockfile.

Some differences explain a hash only where nothing else does:

- A dependency that was added or removed, because what adds or removes it shows as well: an edited `package.json`, or
  `dependsOn` in turbo.json.
- Another version of turbo, because most versions compute the same hashes. Where they do not, the key that turbo puts
  into every hash differs (`rootKey`): then the version is the only cause, as all hashes change.
- Nothing that a summary shows.

`dependsOn` is not in a hash itself (but in that of turbo 1.9): it is a cause where the dependencies of a task differ.
The environment mode is none where `passThroughEnv` differs, which sets the mode in turbo 1.

One edit is one cause: a file or variable that all tasks share is not named again as an input of the task, nor a
variable that turbo.json begins or ceases to name, nor what an edited turbo.json defines where that file is an input of
the task itself.
"""

from dataclasses import dataclass

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import fetch_rows

# All kinds of causes, in the order in which they are explained, each with its meaning.
KINDS = {
    "file": "a file among the inputs of a task",
    "variable": "an environment variable in `env` of a task, or one that turbo infers from the framework",
    "external_dependencies": "packages of the lockfile that a package, or the root, depends on",
    "global_file": "a file of `globalDependencies`",
    "global_variable": "an environment variable of `globalEnv`",
    "global_setting": "engines, the environment mode, or packages that the root depends on",
    "arguments": "what follows -- on the command line",
    "definition": "turbo.json: outputs, names of variables, or dependsOn",
    "dependency": "a task that was added to the dependencies of a task, or removed from them",
    "turbo_version": "a version of turbo that computes hashes in another way",
    "unknown": "nothing that a summary shows",
}

# How text names a cause. Files, the lockfile and arguments are clear without their kind.
_TEXTS = {
    "variable": "variable {name}",
    "global_variable": "global variable {name}",
    "definition": "{name} in turbo.json",
    "dependency": "dependency {name}",
    "turbo_version": "turbo {name}",
    "unknown": "nothing that a summary shows",
}

# A row for each task that a run lists. `name` is package and task.
LISTED = """
CREATE TEMP TABLE {table} AS
SELECT row_number() OVER (ORDER BY started_at, run, position)::INTEGER AS id, run_id, position,
       coalesce(package || '#', '') || task AS name, hash_id, t.kinds, cacheable AND NOT forced AS is_lookup, files_set,
       settings_set, global_set, branch, sha, version, started_at
FROM store.task t JOIN store.run r ON r.id = t.run_id
QUALIFY row_number() OVER (PARTITION BY run_id, name ORDER BY position) = 1
"""

# The ids are in the order of time. The branch of a run may be unknown.
BASELINES = """
CREATE TEMP TABLE {table} AS
SELECT id, coalesce(CASE WHEN branch IS NOT NULL THEN lag(id) OVER (PARTITION BY name, branch ORDER BY id) END,
                    lag(id) OVER (PARTITION BY name ORDER BY id)) AS base
FROM {listed}
"""

# The pairs that are explained by default: each task whose hash differs from that of its baseline.
CHANGED = """
SELECT t.id, o.id AS base
FROM {baselines} b JOIN {listed} t ON t.id = b.id JOIN {listed} o ON o.id = b.base WHERE t.hash_id <> o.hash_id
"""

# The dependencies of each task that its run lists; `input_id` is that of the input which names it.
DEPENDENCIES = """
CREATE TEMP TABLE {table} AS
SELECT t.id, i.id AS input_id, d.id AS on_id, d.name, d.hash_id
FROM {listed} t
JOIN store.input_set s ON s.set_id = t.settings_set
JOIN store.input i ON i.id = s.input_id AND i.kind = 'dependency'
JOIN {listed} d ON d.run_id = t.run_id AND d.name = i.name
"""

# Pairs of a task and its counterpart that have different hashes: those to explain, and those of the dependencies that
# both have. A dependency that the earlier run does not list is compared with its own baseline.
COMPARED = """
CREATE TEMP TABLE {table} AS
WITH RECURSIVE compared AS (
    SELECT id, base, NULL::INTEGER AS dependent, NULL::INTEGER AS dependent_base FROM {changed}
    UNION
    SELECT d.on_id, other.id, c.id, c.base
    FROM compared c
    JOIN {dependencies} d ON d.id = c.id
    JOIN {listed} o ON o.id = c.base
    LEFT JOIN {listed} same ON same.run_id = o.run_id AND same.name = d.name
    LEFT JOIN {baselines} own ON own.id = d.on_id
    JOIN {listed} other ON other.id = coalesce(same.id, own.base)
    WHERE other.hash_id <> d.hash_id
      AND EXISTS (FROM store.input_set s WHERE s.set_id = o.settings_set AND s.input_id = d.input_id))
FROM compared
"""

DIFFERENCES = """
CREATE TEMP TABLE {table} AS
WITH compared AS (SELECT DISTINCT id, base FROM {compared}),
sets AS (
    SELECT c.id, c.base, unnest([t.files_set, t.settings_set, t.global_set]) AS new,
           unnest([o.files_set, o.settings_set, o.global_set]) AS old, unnest([false, false, true]) AS is_global
    FROM compared c JOIN {listed} t ON t.id = c.id JOIN {listed} o ON o.id = c.base),
pairs AS (SELECT DISTINCT new, old FROM sets WHERE new <> old),
members AS (
    SELECT new, old, input_id, sum(side) AS side
    FROM (SELECT new, old, input_id, 1 AS side FROM pairs JOIN store.input_set ON set_id = new
          UNION ALL SELECT new, old, input_id, -1 FROM pairs JOIN store.input_set ON set_id = old)
    GROUP BY ALL HAVING sum(side) <> 0),
differences AS (
    SELECT new, old, kind, name,
           CASE WHEN min(side) = max(side) THEN CASE WHEN max(side) > 0 THEN 'added' ELSE 'removed' END ELSE 'changed'
                END AS change
    FROM members JOIN store.input i ON i.id = input_id GROUP BY ALL)
SELECT id, base, kind, name, min(change) AS change, bool_or(is_global) AS is_global
FROM sets JOIN differences USING (new, old) GROUP BY ALL
"""

# The own causes of each pair.
CAUSES = """
CREATE TEMP TABLE {table} AS
WITH pairs AS (
    SELECT c.id, c.base, coalesce(o.version, 'unknown') || ' → ' || coalesce(t.version, 'unknown') AS versions,
           t.version IS DISTINCT FROM o.version AS is_other_version
    FROM (SELECT DISTINCT id, base FROM {compared}) c
    JOIN {listed} t ON t.id = c.id JOIN {listed} o ON o.id = c.base),
facts AS (
    SELECT id, base, bool_or(kind = 'turbo_version') AS is_rekeyed,
           bool_or(kind = 'dependency') AS has_other_dependencies,
           bool_or(kind = 'definition' AND ends_with(lower(name), 'passthroughenv')) AS has_other_passthrough,
           bool_or(kind = 'definition' AND ends_with(name, '.env')) AS has_other_env,
           bool_or(kind = 'definition' AND name = 'globalEnv') AS has_other_global_env,
           bool_or(kind = 'file' AND regexp_matches(name, '(^|/)turbo.jsonc?$')) AS has_other_turbo_json,
           bool_or(kind = 'file' AND name IN ('turbo.json', 'turbo.jsonc')) AS has_other_root_turbo_json
    FROM {differences} GROUP BY ALL),
plain AS (
    SELECT id, base, kind, name, change
    FROM {differences} JOIN facts USING (id, base)
    WHERE NOT is_rekeyed AND kind <> 'dependency'
      AND (NOT (kind = 'definition' AND ends_with(name, '.dependsOn')) OR is_global OR has_other_dependencies)
      AND NOT (kind = 'definition'
               AND CASE WHEN is_global THEN has_other_root_turbo_json ELSE has_other_turbo_json END)
      AND NOT (name = 'environment mode' AND kind = 'global_setting' AND has_other_passthrough)
      AND NOT (change <> 'changed'
               AND CASE kind WHEN 'variable' THEN has_other_env WHEN 'global_variable' THEN has_other_global_env
                        ELSE false END)
      AND (id, base, 'global_' || kind, name) NOT IN (SELECT (id, base, kind, name) FROM {differences})
    UNION ALL SELECT id, base, 'turbo_version', versions, 'changed' FROM pairs JOIN facts USING (id, base)
    WHERE is_rekeyed),
unexplained AS (
    SELECT p.*, coalesce(has_other_dependencies, false) AS has_other_dependencies
    FROM pairs p ANTI JOIN plain USING (id, base)
    ANTI JOIN (SELECT dependent AS id, dependent_base AS base FROM {compared}) USING (id, base)
    LEFT JOIN facts USING (id, base))
FROM plain
UNION ALL SELECT id, base, d.kind, d.name, d.change FROM unexplained u JOIN {differences} d USING (id, base)
WHERE has_other_dependencies AND d.kind = 'dependency'
UNION ALL SELECT id, base, CASE WHEN is_other_version THEN 'turbo_version' ELSE 'unknown' END,
                 CASE WHEN is_other_version THEN versions ELSE '' END, 'changed'
FROM unexplained WHERE NOT has_other_dependencies
"""

# Tasks that depend on each other, which turbo refuses, could leave a pair without a cause.
ROOTS = """
CREATE TEMP TABLE {table} AS
WITH RECURSIVE inherited AS (
    FROM {compared} WHERE dependent IS NOT NULL
    AND (dependent, dependent_base) NOT IN (SELECT (id, base) FROM {differences} WHERE kind = 'turbo_version')),
root AS (
    SELECT id, base, kind, name FROM {causes}
    UNION
    SELECT i.dependent, i.dependent_base, r.kind, r.name
    FROM root r JOIN inherited i ON i.id = r.id AND i.base = r.base)
FROM root
UNION ALL SELECT DISTINCT id, base, 'unknown', '' FROM {compared} ANTI JOIN root USING (id, base)
"""


def cause_text(kind: str, name: str) -> str:
    """Return the name of a cause as it stands in text.

    >>> cause_text("variable", "NODE_ENV"), cause_text("external_dependencies", "lockfile")
    ('variable NODE_ENV', 'lockfile')
    """
    return _TEXTS.get(kind, "{name}").replace("{name}", name)


def has_runs(log: OpenLog) -> bool:
    """Return whether a log has run summaries."""
    return bool(fetch_rows(log.connection, "SELECT EXISTS (FROM store.run)", {})[0][0])


def listed_tasks(log: OpenLog) -> str:
    """Return the name of a table with one row for each task that a run lists, in the order of time.

    Its columns are id, run_id, position, name (package and task), hash_id, kinds, is_lookup, files_set, settings_set,
    global_set, branch, sha, version and started_at.
    """
    return log.derived_table("listed tasks", lambda table: log.connection.execute(LISTED.format(table=table)))


def baselines(log: OpenLog) -> str:
    """Return the name of a table (id, base): each listed task with its baseline, null for the first run of a task."""
    sql = BASELINES.replace("{listed}", listed_tasks(log))
    return log.derived_table("baselines", lambda table: log.connection.execute(sql.format(table=table)))


def _dependencies(log: OpenLog) -> str:
    sql = DEPENDENCIES.replace("{listed}", listed_tasks(log))
    return log.derived_table("dependencies", lambda table: log.connection.execute(sql.format(table=table)))


@dataclass(frozen=True, slots=True)
class HashChanges:
    """The names of tables about pairs of listed tasks (id, base) with different hashes.

    `changed` (id, base) has the pairs that were to be explained, `compared` (id, base, dependent, dependent_base) also
    those of their dependencies, each for the pair that depends on it. `differences` and `causes` (id, base, kind, name,
    change) have all inputs that differ, and those that are causes of a pair itself; `roots` (id, base, kind, name) its
    root causes, at least one.
    """

    changed: str
    compared: str
    differences: str
    causes: str
    roots: str


def explain_changes(log: OpenLog, pairs: str = CHANGED) -> HashChanges:
    """Explain pairs of listed tasks: by default all whose hash differs from that of their baseline.

    `pairs` is a query of (id, base), which may read `{listed}` and `{baselines}`.
    """
    names = {"listed": listed_tasks(log), "baselines": baselines(log), "dependencies": _dependencies(log)}
    key = pairs.format(**names)
    steps = {
        "changed": f"CREATE TEMP TABLE {{table}} AS {pairs}",
        "compared": COMPARED,
        "differences": DIFFERENCES,
        "causes": CAUSES,
        "roots": ROOTS,
    }
    for step, sql in steps.items():

        def build(table: str, sql: str = sql) -> None:
            log.connection.execute(sql.format(table=table, **names))

        names[step] = log.derived_table((step, key), build)
    return HashChanges(*(names[step] for step in steps))
