"""Tests of `misses` on recorded runs: the classes are those of what was done in each run."""

import gzip
import json
from pathlib import Path

import brute
import brute_misses as slow
from conftest import RECORDED, Cli
from log_of_misses import (
    Events,
    assert_matches_oracle,
    classes,
    run_misses,
)
from test_recordings import flat

SHORT = "1e-9"
"""A retention so short that only the log's first moment is `unknown_cold`: the recordings span minutes."""

# Of the runs that have a miss: its classes, as `desc` says them. Cold are the edits and new hashes.
RECORDED_CLASSES = {
    "run001": {"unknown_cold": 37},  # cold: nothing cached anywhere
    "run005": {"cold": 3},  # one leaf package edited: build, test, lint of web
    "run006": {"cold": 23},  # a root library edited
    "run032": {"local_only": 2},  # --cache=local:rw, docs edited: the remote cache is not asked
    "run033": {"cold": 2},  # --cache=remote:rw: what run032 built never reached the remote cache, nor was it asked
    "run034": {"cold": 2},  # docs edited
    "run036": {"cold": 10},  # --cache=local:rw,remote:r after an edit: nothing is uploaded
    "run038": {"repeat": 10},  # so the same ten miss again
    "run040": {"cold": 3},  # --no-cache, api edited: nothing is written
    "run041": {"repeat": 3},  # the same again
    "run045": {"repeat": 3},  # and once more, now with the caches on
    "run046": {"cold": 37},  # a new team's cache is empty, whatever the other team's holds
    "run054": {"cold": 5},  # a failing test: new hashes, one of them of the test
    "run055": {"repeat": 1},  # the failing test again: failures are not cached
    "run057": {"cold": 10},  # an environment variable changes the hash of every test task
    "run087": {"cold": 240},
    **{f"run0{number}": {"cold": 2} for number in (10, 13, 16, 19, 22, 25)},  # docs edited, on CI
}


def recorded_sources() -> list[Path]:
    return [RECORDED / "requests.ndjson", RECORDED / "runs"]


def test_recorded_misses_have_the_expected_classes(cli: Cli, tmp_path: Path, oracle: Events) -> None:
    archive = tmp_path / "recorded.duckdb"
    assert cli("load", *recorded_sources(), "--into", archive).code == 0
    sessions = {run["run"]: run["sessions"][0] for run in oracle if run["sessions"]}
    for run in ("run032", "run038", "run046", "run055"):
        found = classes(cli, archive, "--session", sessions[run], "--retention", SHORT)
        assert found == RECORDED_CLASSES.get(run, {}), run
    whole: dict[str, int] = {}
    for counts in RECORDED_CLASSES.values():
        for name, count in counts.items():
            whole[name] = whole.get(name, 0) + count
    assert classes(cli, archive, "--retention", SHORT) == whole
    # Artifacts kept for a week: all the log is within it, and what was new may be older.
    week = {name: count for name, count in whole.items() if name != "cold"}
    assert classes(cli, archive) == week | {"unknown_cold": whole["unknown_cold"] + whole["cold"]}


def test_recorded_misses_match_the_oracle(cli: Cli, requests: Events, oracle: Events) -> None:
    events = flat(requests)
    summaries = [json.loads(gzip.decompress(path.read_bytes())) for path in (RECORDED / "runs").iterdir()]
    tasks = [one for summary in summaries for one in summary["tasks"]]
    result = run_misses(cli, *recorded_sources(), "--retention", SHORT, "--by", "hash", "--limit", 1000)
    misses = slow.classified(events, float(SHORT), tasks)
    assert_matches_oracle(result, events, misses, slow.everything)
    for run in oracle:
        kinds = [miss.kind for miss in misses if miss.lookup.session in run["sessions"]]
        assert {name: kinds.count(name) for name in kinds} == RECORDED_CLASSES.get(run["run"], {}), run["desc"]


def test_recorded_runs_with_force_or_without_caches_have_no_lookups(oracle: Events, requests: Events) -> None:
    """Such runs send no events, so that they have no session."""
    silent = [run for run in oracle if "--force" in run["desc"] or "FORCE" in run["desc"] or "no cache" in run["desc"]]
    assert [run["run"] for run in silent] == ["run028", "run029", "run030", "run042"]
    assert all(run["sessions"] == [] for run in silent)
    expected = {run["sessions"][0] for run in oracle if RECORDED_CLASSES.get(run["run"])}
    missed = {one[0]["sessionId"] for one in brute.lookups(flat(requests)) if all(e["event"] == "MISS" for e in one)}
    assert missed == expected


def test_a_recorded_failing_task_is_a_likely_cause(cli: Cli, oracle: Events) -> None:
    runs = {run["run"]: run["sessions"] for run in oracle}
    (no_cache,), (failed,) = runs["run041"], runs["run055"]
    result = run_misses(cli, *recorded_sources(), "--session", no_cache, "--session", failed, "--by", "hash")
    rows = {row["name"]: row for row in result.table("top")}
    assert [row["repeat"] for row in rows.values()] == [1, 1, 1, 1]
    # It failed in run054 too, which is not selected. What --no-cache did not write never failed.
    causes_of_failed = {name: row["likely_causes"] for name, row in rows.items() if "failed in" in row["likely_causes"]}
    ((name, causes),) = causes_of_failed.items()
    assert name.endswith("i18n#test")
    assert causes.startswith("the task failed in 1 of its runs; repeat (1): failed task")
