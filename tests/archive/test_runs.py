"""Run summaries: what is read of them, and which session each is, on recordings of real clients of many versions."""

import gzip
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CASES, RECORDED, Cli, event, report_of

VERSIONS = sorted(path for path in (RECORDED / "versions").iterdir())
FOLDERS = [*VERSIONS, RECORDED]


def recording(folder: Path) -> list[dict[str, Any]]:
    """The runs of a recording that have a summary: its path, its sessions, and what turbo printed."""
    runs = json.loads((folder / "oracle.json").read_text())
    at = folder / "runs" if folder == RECORDED else folder
    suffix = ".gz" if folder == RECORDED else ""
    return [run | {"path": at / (run["summary_file"] + suffix)} for run in runs if run["summary_file"]]


def content(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def matched(cli: Cli, *sources: object) -> dict[str, str]:
    found = cli("sql", *sources, "SELECT id, session FROM runs ORDER BY id", "--format", "json")
    assert found.code == 0, found.err
    return {row["id"]: row["session"] for row in found.json["tables"][0]["rows"]}


def truth(runs: list[dict[str, Any]]) -> dict[str, str | None]:
    return {content(run["path"])["id"]: next(iter(run["sessions"]), None) for run in runs}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_recorded_session_is_matched_to_its_run_and_no_other(cli: Cli, folder: Path) -> None:
    runs = recording(folder)
    assert matched(cli, folder / "requests.ndjson", *(run["path"] for run in runs)) == truth(runs)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("seed", range(3))
def test_with_summaries_missing_the_others_match_as_before(cli: Cli, folder: Path, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311  (no secret)
    runs = [run for run in recording(folder) if draw.random() < 0.6]
    assert matched(cli, folder / "requests.ndjson", *(run["path"] for run in runs)) == truth(runs)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("seed", range(3))
def test_with_sessions_missing_the_others_match_as_before(
    cli: Cli, log: Callable[..., Path], folder: Path, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311  (no secret)
    runs = recording(folder)
    kept = {session for run in runs for session in run["sessions"] if draw.random() < 0.6}
    lines = [json.loads(line) for line in (folder / "requests.ndjson").read_text().splitlines()]
    left = [line for line in lines if line["body"][0]["sessionId"] in kept]
    right = {run: session if session in kept else None for run, session in truth(runs).items()}
    assert matched(cli, log(left), *(run["path"] for run in runs)) == right


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_summaries_alone_give_what_turbo_printed(cli: Cli, folder: Path) -> None:
    for run in recording(folder):
        if run["printed"] is None or "force" in run["desc"].lower():
            continue
        found = cli("stats", run["path"], "--format", "json")
        tasks, printed = content(run["path"])["tasks"], run["printed"]
        uncacheable = sum(not task["resolvedTaskDefinition"]["cache"] for task in tasks)
        totals = found.table("totals")[0]
        assert (totals["hits"], totals["lookups"]) == (printed["cached"], printed["total"] - uncacheable), run["desc"]
        assert found.json["view"] == "runs"
        assert "answered from run summaries (1)" in found.err


def test_captured_summaries_alone_give_the_time_turbo_says_it_saved(cli: Cli) -> None:
    for run in recording(RECORDED):
        totals = cli("stats", run["path"], "--format", "json").table("totals")[0]
        saved_ms = run["summary"]["timeSaved_ms"]
        assert totals["time_saved_ms"] == (saved_ms if saved_ms or not totals["hits"] else None)
        assert (totals["local_hits"], totals["remote_hits"]) == (
            run["summary"]["local_hits"],
            run["summary"]["remote_hits"],
        )


def test_an_archive_knows_the_matches_whatever_came_first(cli: Cli, tmp_path: Path) -> None:
    runs = recording(RECORDED)
    parts = [RECORDED / "requests.ndjson", RECORDED / "runs"]
    for name, order in (("one", parts), ("two", parts[::-1])):
        for part in order:
            assert cli("load", part, "--into", tmp_path / f"{name}.duckdb").code == 0
        assert matched(cli, tmp_path / f"{name}.duckdb") == truth(runs)
    again = cli("load", RECORDED / "runs", "--into", tmp_path / "one.duckdb", "--format", "json")
    assert again.code == 0
    assert len(matched(cli, tmp_path / "one.duckdb")) == len(runs)


def test_runs_and_events_are_never_added(cli: Cli) -> None:
    sources = [RECORDED / "requests.ndjson", RECORDED / "runs"]
    events = cli("stats", RECORDED / "requests.ndjson", "--format", "json")
    both = cli("stats", *sources, "--format", "json")
    assert both.table("totals") == events.table("totals")
    assert both.json["input"] == events.json["input"]
    assert "answered from events; 55 of 61 run summaries match a session, the other 6 are not counted" in both.err
    runs = cli("stats", *sources, "--view", "runs", "--format", "json")
    assert runs.table("totals")[0]["sessions"] == 61
    # 2 misses that asked the local cache alone, and 111 lookups that asked the remote one alone, are an event each.
    assert runs.json["input"]["kept"] == runs.table("totals")[0]["events"] == 4598 - 113
    assert "they may have been forced" in runs.err


def test_a_dry_run_is_ignored_with_a_note(cli: Cli, tmp_path: Path) -> None:
    dry = VERSIONS[0] / "dry.json"
    alone = cli("stats", dry)
    assert alone.code == 3
    assert "dry run" in alone.err
    shutil.copy(dry, tmp_path)
    beside = cli("stats", tmp_path, RECORDED / "runs")
    assert beside.code == 0
    assert "ignored (a dry run, which runs no task): " in beside.err


def test_a_damaged_summary_is_an_error_that_names_it(cli: Cli, tmp_path: Path) -> None:
    whole = recording(RECORDED)[0]["path"]
    cut, odd = tmp_path / "cut.json", tmp_path / "odd.json"
    cut.write_text(json.dumps(content(whole))[:20_000])
    odd.write_text(json.dumps(content(whole) | {"tasks": [{"hash": "a"}]}))
    found = cli("stats", cut, odd, whole)
    assert found.code == 3
    assert f"{cut}: not a complete JSON document" in found.err
    assert f"{odd}: not a supported run summary" in found.err
    assert "sessions" in found.out


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": [{"hash": "a"}]},
        {"tasks": [{"taskId": "a#b", "hash": 12}]},
        {"tasks": [{"taskId": "a#b"}]},
        {"tasks": [{"taskId": 5, "hash": "h"}]},
        {"tasks": {"a": 1}},
        {"tasks": ["a"]},
        {"execution": {"startTime": "soon", "endTime": 1}},
        {"execution": {"startTime": 1, "endTime": -1}},
        {"execution": {"startTime": 1, "endTime": 1e300}},
        {"execution": {"startTime": 1, "endTime": 2**51}},
        {"execution": {"startTime": 1, "endTime": 2, "attempted": 10**12}},
        {"execution": {"startTime": 1, "endTime": 2, "attempted": 1.5}},
        {"execution": [1]},
        {"scm": "git"},
        {"user": 7},
    ],
)
def test_an_odd_summary_is_an_error_and_never_a_traceback(cli: Cli, log: Callable[..., Path], change: Any) -> None:
    path = log(json.dumps(content(recording(RECORDED)[0]["path"]) | change), "odd.json")
    found = cli("stats", path)
    assert found.code == 3
    assert f"{path}: not a supported run summary" in found.err


@pytest.mark.parametrize(
    "change",
    [
        {"user": "J\ud800"},
        {"id": "\ud800"},
        {"execution": {"startTime": 1, "endTime": 2, "exitCode": 3221225786, "attempted": 37}},
        {"execution": {"startTime": 1, "endTime": 2, "exitCode": -1073741510}},
    ],
)
def test_odd_but_possible_values_are_taken(cli: Cli, log: Callable[..., Path], change: Any) -> None:
    path = log("\ufeff" + json.dumps(content(recording(RECORDED)[0]["path"]) | change), "odd.json")
    found = cli("stats", path, "--format", "json")
    assert (found.code, found.table("totals")[0]["lookups"]) == (0, 37), found.err


def test_a_second_summary_of_a_run_is_noted(cli: Cli, log: Callable[..., Path]) -> None:
    runs = [content(run["path"]) for run in recording(RECORDED)[:2]]
    paths = [log(json.dumps(run | {"id": "same"}), f"{number}.json") for number, run in enumerate(runs)]
    found = cli("stats", *paths, "--format", "json")
    assert found.table("totals")[0]["sessions"] == 1
    assert "run summaries ignored (another has the same run id): 1" in found.err


def test_times_in_whole_seconds_match_nothing_falsely(cli: Cli, log: Callable[..., Path]) -> None:
    lines = [json.loads(line) for line in (RECORDED / "requests.ndjson").read_text().splitlines()]
    whole = [line | {"received_at": line["received_at"][:19] + "Z"} for line in lines]
    runs = recording(RECORDED)
    found = matched(cli, log(whole), *(run["path"] for run in runs))
    assert {run: session for run, session in found.items() if session}.items() <= truth(runs).items()
    assert sum(session is not None for session in found.values()) > 20


def test_metadata_gives_durations(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "h1-meta.json").write_text('{"hash":"h1","duration":789,"sha":"abc"}')
    (tmp_path / "h2-meta.json").write_text('{"hash":"h2","duration":0}')
    log = tmp_path / "log.ndjson"
    events = [
        {"sessionId": "s", "source": source, "event": "MISS", "hash": name, "duration": 0}
        for name in ("h1", "h2")
        for source in ("LOCAL", "REMOTE")
    ]
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    found = cli("misses", tmp_path, "--format", "json").table("misses")[0]
    assert (found["misses"], found["time_lost_ms"], found["imputed_coverage"]) == (2, 789, 0.5)


def test_whole_seconds_of_one_log_do_not_blur_another(cli: Cli, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (RECORDED / "requests.ndjson").read_text().splitlines()]
    sessions = sorted({event["sessionId"] for line in lines for event in line["body"]})
    coarse = set(sessions[::2])
    for name, is_coarse in (("coarse.ndjson", True), ("fine.ndjson", False)):
        chosen = [line for line in lines if (line["body"][0]["sessionId"] in coarse) == is_coarse]
        cut = [line | {"received_at": line["received_at"][:19] + "Z"} if is_coarse else line for line in chosen]
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in cut))
    runs = recording(RECORDED)
    found = matched(cli, tmp_path, *(run["path"] for run in runs))
    wanted = {run: session for run, session in truth(runs).items() if session and session not in coarse}
    assert {run: found[run] for run in wanted} == wanted
    assert {run: session for run, session in found.items() if session}.items() <= truth(runs).items()


def test_a_matched_run_asked_the_caches_its_session_asked(cli: Cli) -> None:
    sources = (RECORDED / "requests.ndjson", RECORDED / "runs")
    by_view = {
        view: {row["session"]: row for row in cli(
            "stats", *sources, "--view", view, "--by", "session", "--format", "json").table("by_session")}
        for view in ("events", "runs")
    }  # fmt: skip
    both = by_view["events"].keys() & by_view["runs"].keys()
    local_alone = {name for name in both if by_view["events"][name]["remote_hit_rate"] is None}
    missed = {name for name in local_alone if by_view["events"][name]["misses"]}
    assert missed
    assert {name for name in missed if by_view["runs"][name]["remote_hit_rate"] is not None} == set()
    assert all(by_view["runs"][n]["local_only_misses"] == by_view["events"][n]["misses"] for n in missed)


def test_a_team_that_summaries_do_not_name_is_noted(cli: Cli) -> None:
    said = cli("stats", RECORDED / "runs", "--team", "web").err
    assert "run summaries have a team, CI or status only if they match a session" in said


def test_metadata_alone_says_that_it_holds_no_lookup(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "h1-meta.json").write_text('{"hash":"h1","duration":789}')
    assert "1 artifact metadata files give durations of tasks but no lookups" in cli("stats", tmp_path).err


# A red build of 15 tasks that was cut short after 11, of which 5 hit: turbo printed 5 of 15.
RED_RUN = CASES / "red-run-2.11.11.json"


def interrupted(listed: int) -> dict[str, Any]:
    """The red run, interrupted after `listed` tasks; turbo lists hits first."""
    summary = content(RED_RUN)
    hits_first = sorted(summary["tasks"], key=lambda task: task["cache"]["status"])
    return summary | {"tasks": hits_first[:listed]}


def session_of(summary: dict[str, Any], more: list[str], **changes: str) -> list[dict[str, Any]]:
    """The events of the session that reported a run and lookups of `more` hashes; all came at the run's end."""
    at = {"sessionId": "red", "timestamp": summary["execution"]["endTime"], "duration": 0}
    hits = [event(**at, hash=t["hash"]) for t in summary["tasks"] if t["cache"]["status"] == "HIT"]
    missed = [t["hash"] for t in summary["tasks"] if t["cache"]["status"] == "MISS"]
    sources = ("LOCAL", "REMOTE")
    misses = [event(**at, source=source, event="MISS", hash=name) for name in missed for source in sources]
    return [*hits, *misses, *(event(**at | {"event": "MISS"} | changes, hash=name) for name in more)]


def test_tasks_that_a_run_cut_short_does_not_list_are_misses(cli: Cli) -> None:
    found = report_of(cli, "stats", RED_RUN, "--by", "task")
    totals = found.table("totals")[0]
    assert (totals["hits"], totals["misses"], totals["lookups"], totals["hit_rate"]) == (5, 10, 15, 1 / 3)
    by_task = {row["task"]: (row["hits"], row["lookups"]) for row in found.table("by_task")}
    assert by_task == {"bad": (0, 5), "build": (5, 5), "lint": (0, 1), "(unlisted)": (0, 4)}
    assert "runs that were cut short: 1; their summaries do not list 4 tasks, which count as misses" in found.err
    assert "whether 4 of them could be cached at all is unknown" in found.err


def test_an_interrupted_run_has_the_rate_that_turbo_printed(cli: Cli, log: Callable[..., Path]) -> None:
    path = log(json.dumps(interrupted(4)), "run.json")
    assert report_of(cli, "stats", path).table("totals")[0]["hit_rate"] == 4 / 15
    classes = {row["class"]: row["misses"] for row in report_of(cli, "misses", path).table("classes")}
    assert classes == {"unlisted": 11}
    checked = cli("check", path, "--min-hit-rate", "0.3", "--min-lookups", "1", "--format", "json")
    assert (checked.code, checked.table("checks")[0]["lookups"]) == (5, 15)
    assert "do not list 11 tasks" in checked.err


def test_doctor_names_runs_that_were_cut_short(cli: Cli) -> None:
    found = report_of(cli, "doctor", RED_RUN, *(run["path"] for run in recording(RECORDED)[:2])).table("findings")
    finding = found[-1]
    assert (finding["finding"], finding["count"]) == ("runs_cut_short", 1)
    assert "1 of 3 runs were cut short: their summaries do not list 4 tasks" in finding["what"]


@pytest.mark.parametrize("listed", [11, 4, 1])
def test_a_run_cut_short_matches_its_session(cli: Cli, log: Callable[..., Path], listed: int) -> None:
    run, more = interrupted(listed), [f"other{number}" for number in range(15 - listed)]
    sources = [log(json.dumps(run), "run.json"), log(session_of(run, more), "log.ndjson")]
    assert matched(cli, *sources) == {run["id"]: "red"}
    assert report_of(cli, "stats", *sources, "--view", "runs").table("totals")[0]["lookups"] == 15


def test_a_session_with_a_hit_that_a_run_does_not_list_is_another(cli: Cli, log: Callable[..., Path]) -> None:
    run = interrupted(11)
    sources = [log(json.dumps(run), "run.json"), log(session_of(run, ["other"], event="HIT"), "log.ndjson")]
    assert matched(cli, *sources) == {run["id"]: None}


@pytest.mark.parametrize(("uncacheable", "unlisted"), [((), 4), (("@x/c#lint",), 4), (("@x/a#lint",), 3)])
def test_complete_runs_tell_which_unlisted_tasks_are_no_lookups(
    cli: Cli, log: Callable[..., Path], uncacheable: tuple[str, ...], unlisted: int
) -> None:
    # The red run lists @x/c#lint alone of five lint tasks. A complete run of its command lists them all.
    cut = content(RED_RUN)
    lint = next(task for task in cut["tasks"] if task["task"] == "lint")
    for task in cut["tasks"]:
        task["resolvedTaskDefinition"]["cache"] = task["taskId"] not in uncacheable
    others = [f"@x/{name}" for name in "abde"]
    complete = content(RED_RUN) | {"id": "complete"}
    complete["tasks"] += [
        lint | {"package": package, "taskId": f"{package}#lint", "hash": f"lint of {package}"} for package in others
    ]
    for task in complete["tasks"]:
        cache = task["taskId"] not in uncacheable
        task["resolvedTaskDefinition"] = task["resolvedTaskDefinition"] | {"cache": cache}
    sources = [log(json.dumps(run), f"{run['id']}.json") for run in (cut, complete)]
    found = report_of(cli, "stats", *sources, "--by", "session")
    assert [row["lookups"] for row in found.table("by_session")] == [15 - len(uncacheable)] * 2
    assert f"do not list {unlisted} tasks, which count as misses" in found.err
    assert "could be cached at all" not in found.err
