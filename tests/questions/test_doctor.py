"""`doctor`: each finding on hand-written rows, cases just below its threshold, and no finding in a clean log."""

import gzip
import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from conftest import RECORDED, Cli, event, ndjson, report_of

import analyzer
from analyzer.questions import doctor
from analyzer.questions.doctor import Finding
from analyzer.questions.doctor.report import FINDINGS

Log = Callable[..., Path]
Events = list[dict[str, Any]]
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday."""

KINDS = {"LH": ("LOCAL", "HIT"), "LM": ("LOCAL", "MISS"), "RH": ("REMOTE", "HIT"), "RM": ("REMOTE", "MISS")}
REMOTE = "LM RH"


def session(name: str, *lookups: str, at: datetime = START, **changes: Any) -> Events:
    """The events of a session; each lookup is its kinds: `LM RH`."""
    return [
        event(**{
            "sessionId": name, "hash": f"{name}{place}", "source": KINDS[kind][0], "event": KINDS[kind][1],
            "duration": 50 if kind.endswith("H") else 0, "timestamp": at.isoformat(), "slug": "web", **changes,
        })
        for place, kinds in enumerate(lookups) for kind in kinds.split()
    ]  # fmt: skip


def hourly(hours: range, *lookups: str, name: str = "s", **changes: Any) -> Iterator[dict[str, Any]]:
    """A session an hour."""
    for hour in hours:
        yield from session(f"{name}{hour}", *lookups, at=START + timedelta(hours=hour), **changes)


def rows(cli: Cli, *arguments: object) -> list[dict[str, Any]]:
    return report_of(cli, "doctor", *arguments).table("findings")


def found(cli: Cli, *arguments: object) -> dict[str, str]:
    return {row["finding"]: row["what"] for row in rows(cli, *arguments)}


CLEAN = [*hourly(range(200), REMOTE, "LM RM", "LH"), *hourly(range(200), "RH", "RM", name="ci", ci="GITLAB")]


def test_every_finding_is_listed() -> None:
    modules = [importlib.import_module(f"{doctor.__name__}.{one.name}") for one in iter_modules(doctor.__path__)]
    declared = {one.name for module in modules for one in vars(module).values() if isinstance(one, Finding)}
    listed = [one for findings in FINDINGS.values() for one in findings]
    assert sorted(one.name for one in listed) == sorted(declared)
    assert all("ORDER BY" in one.sql and "count_if" not in one.sql for one in listed)


def test_a_clean_log_an_empty_one_and_one_event(cli: Cli, log: Log) -> None:
    for path in (log(CLEAN), log(b""), log([event(timestamp="2026-03-02T09:00:00Z")])):
        result = cli("doctor", path, "--from", "ndjson", "--format", "json")
        assert (result.code, result.table("findings")) == (0, [])
        assert "note: nothing found wrong with the log" in result.err
    assert found(cli, log([event()])).keys() == {"untimed_events"}


def test_columns_of_a_finding(cli: Cli, log: Log) -> None:
    (row,) = rows(cli, log([*session("a", *["LM RH"] * 10, duration=0), *session("b", "LH", slug="api")]))
    assert list(row) == ["finding", "severity", "count", "what", "remedy", "definition"]
    assert (row["finding"], row["severity"], row["count"]) == ("unknown_durations", "problem", 10)
    assert row["what"].startswith("team web: 10 of 10 remote hits and 0 of 0 local hits have no duration")


def test_remedies_name_options_as_the_front_end_spells_them(cli: Cli, log: Log) -> None:
    path = log(ndjson(session("a", "LH")) + "broken\n")
    assert "(--rejects FILE, --map COLUMN=THEIRS)" in rows(cli, path)[0]["remedy"]
    with analyzer.load(path) as opened:
        assert "(rejects, columns)" in opened.doctor()["remedy"][0]


def test_unknown_durations(cli: Cli, log: Log) -> None:
    known, unknown = session("a", *["LM RH"] * 10), session("b", *["LM RH"] * 10, duration=0)
    assert found(cli, log(known)) == {}
    mixed = found(cli, log(known + unknown))
    assert mixed == {
        "partly_unknown_durations": "team web: 10 of 20 remote hits and 0 of 0 local hits have no duration"
    }
    absent = session("c", *["RH"] * 12, duration=..., slug=...) + session("d", "LH", duration=0, slug=...)
    (what,) = found(cli, log(known + absent)).values()
    assert what.startswith("lookups without a team: 12 of 12 remote hits and 1 of 1 local hits")
    assert found(cli, log(known + absent), "--team", "web") == {}
    assert found(cli, log(session("b", "LM RH", duration=0))).keys() == {"partly_unknown_durations"}


def test_lost_events(cli: Cli, log: Log) -> None:
    assert found(cli, log(session("off", "LM", "LM", "LH") + session("on", "LM RM", "LH"))) == {}
    whole = found(cli, log(session("a", REMOTE, "LM", "LM") + session("b", REMOTE)))
    assert whole["lost_events"] == (
        "1 of 2 sessions of unknown turbo versions lost events: 2 local misses have no remote event although others of"
        " the session have one, and 0 lookups of run summaries are missing; such as a"
    )


def versioned(tmp_path: Path, version: str) -> list[Path]:
    """Run summaries of the recording with another version of turbo."""
    paths = []
    for path in (RECORDED / "runs").iterdir():
        summary = json.loads(gzip.decompress(path.read_bytes())) | {"turboVersion": version}
        paths.append(tmp_path / path.name.removesuffix(".gz"))
        paths[-1].write_text(json.dumps(summary))
    return paths


def test_lost_events_of_a_version(cli: Cli, log: Log, tmp_path: Path, requests: Events) -> None:
    lines = [json.loads(json.dumps(line)) for line in requests]
    hashes = sorted(one["hash"] for one in lines[0]["body"])
    lost = [one["sessionId"] for one in lines[0]["body"] if one["hash"] == hashes[0]]
    for line in lines:
        line["body"] = [one for one in line["body"] if (one["sessionId"], one["hash"]) != (lost[0], hashes[0])]
    runs = versioned(tmp_path, "2.10.13")
    what = found(cli, log(ndjson(line for line in lines if line["body"])), *runs)["lost_events"]
    assert what.startswith("1 of 55 sessions of turbo 2.10.13 lost events: 0 local misses")
    assert what.endswith(
        f"1 lookups of run summaries are missing; such as {lost[0]}; this version is known to lose about 12 %"
    )
    assert "lost_events" not in found(cli, RECORDED / "requests.ndjson", *runs)


def test_cut_sessions(cli: Cli, log: Log) -> None:
    assert found(cli, log(session("a", "RH", "RM") + session("b", REMOTE, "LH"))) == {}
    what = found(cli, log(session("a", "RH", "RM", REMOTE)))["cut_sessions"]
    assert what.startswith(
        "2 remote events lack the local event that precedes them (sessions: 1), from 2026-03-02 09:00"
    )


def test_cut_files(cli: Cli, log: Log, tmp_path: Path) -> None:
    whole = ndjson(session("a", REMOTE))
    cut = found(cli, log(whole + whole[:40], "cut.ndjson"))
    assert cut["cut_files"].startswith(
        f"1 of 1 files are incomplete: {tmp_path / 'cut.ndjson'} (it ends in the middle of an item)"
    )
    (tmp_path / "cut.ndjson").unlink()
    data = gzip.compress(ndjson(CLEAN).encode())
    damaged = log(data[: len(data) // 2], "damaged.gz")
    assert "data is cut off" in found(cli, damaged)["cut_files"]
    assert found(cli, log(whole.rstrip("\n"))) == {}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (500, "the first attempt had failed with status 500"),
        (200, "the first attempt had succeeded, so this is no retry"),
        (..., "the log does not say whether the first attempt failed"),
    ],
)
def test_retried_batches(cli: Cli, log: Log, status: Any, why: str) -> None:
    first = session("a", REMOTE, "LH", status=status)
    again = session("a", REMOTE, "LH", status=200, at=START + timedelta(seconds=2))
    assert found(cli, log(first + again)) == {
        "retried_batches": f"3 events are repeats (sessions: 1): {why}; such as a"
    }
    assert found(cli, log(first + again), "--session", "b") == {}
    split = [log(first, "1.ndjson"), log(again, "2.ndjson")]
    assert found(cli, *split) == {}


def test_never_remote(cli: Cli, log: Log) -> None:
    assert found(cli, log(session("a", *["LM"] * 19))) == {}
    assert found(cli, log(session("a", *["LM"] * 30) + session("b", "LM RM"))) == {}
    assert found(cli, log(session("a", *["LM"] * 20, slug=...) + session("b", "LM RM"))) == {
        "never_remote": "lookups without a team: none of 20 local misses from 2026-03-02 09:00 to 2026-03-02 09:00 UTC"
        " was looked up in the remote cache"
    }


def test_outages(cli: Cli, log: Log) -> None:
    before, after = hourly(range(100), REMOTE, REMOTE, "LM RM"), hourly(range(112, 200), REMOTE, REMOTE, "LM RM")
    rest = [*before, *after]
    dark = list(hourly(range(100, 112), "LM", "LM", "LM"))
    assert found(cli, log(rest + dark)) == {
        "outages": "from 2026-03-06 13:00 to 2026-03-07 00:00 UTC, 36 local misses of 12 sessions were not looked up in"
        " the remote cache (team: web)"
    }
    other = [{**one, "slug": "api", "sessionId": "x" + one["sessionId"]} for one in rest + dark]
    (row,) = rows(cli, log(rest + dark + other))
    assert (row["count"], row["what"].endswith("(team: api, web)")) == (72, True)
    assert found(cli, log(rest + list(hourly(range(100, 112), "LM")))) == {}, "fewer than 20 misses"
    assert found(cli, log(rest + list(hourly(range(100, 103), *["LM"] * 9)))) == {}, "three sessions"
    assert found(cli, log(rest + list(hourly(range(100, 112), "LH", "LH", "LH")))) == {}, "nothing to ask for"


def test_machines_without_a_token_are_no_outage(cli: Cli, log: Log) -> None:
    on, off = ["LM RM"] * 5, ["LM"] * 5
    mixed = [one for hour in range(400) for one in hourly(range(hour, hour + 1), *(off if hour * 7 % 10 < 4 else on))]
    assert found(cli, log(mixed)) == {}


def requests_at(*minutes: int) -> str:
    """A request log whose requests arrived so many minutes after the start."""
    return ndjson(
        {
            "received_at": (START + timedelta(minutes=minute)).isoformat(), "query": {"slug": "web"}, "headers": {},
            "status": 200, "body": [event(sessionId=f"s{place}")],
        }
        for place, minute in enumerate(minutes)
    )  # fmt: skip


def test_clock_steps(cli: Cli, log: Log, tmp_path: Path) -> None:
    assert found(cli, log(requests_at(10, 9, 11, 30))) == {}, "a minute"
    assert found(cli, log(requests_at(10, 30, 5, 40, 38))) == {
        "clock_steps": f"{tmp_path / 'log.ndjson'}: time steps back (steps: 2), by up to 25 minutes: at event 3,"
        " from 2026-03-02 09:30 to 2026-03-02 09:05 UTC"
    }
    unordered = [one for hour in (3, 1, 2) for one in hourly(range(hour, hour + 1), REMOTE)]
    assert found(cli, log(unordered)) == {}, "the order of rows says nothing"


def test_impossible_times(cli: Cli, log: Log, tmp_path: Path) -> None:
    early, late = session("a", "LH", at=datetime(2021, 11, 30, tzinfo=UTC)), session("b", "LH", at=START)
    ahead = datetime.now(UTC) + timedelta(days=2)
    assert found(cli, log(session("c", "LH", at=ahead - timedelta(days=1.5)))) == {}
    whats = [row["what"] for row in rows(cli, log(early + late + session("c", REMOTE, at=ahead)))]
    assert whats[0].startswith("2 events are dated in the future")
    assert whats[1] == (
        "1 events are dated before December 2021, when no client reported events: from 2021-11-30 00:00"
        f" to 2021-11-30 00:00 UTC; in {tmp_path / 'log.ndjson'} (1)"
    )


def working_days(days: list[int]) -> Events:
    """Sessions from nine to five of these days after the start."""
    return [one for day in days for one in hourly(range(day * 24, day * 24 + 8), REMOTE)]


def test_gaps(cli: Cli, log: Log) -> None:
    weekdays = [day for day in range(40) if day % 7 < 5]
    assert found(cli, log(working_days(weekdays))) == {}, "weekends"
    assert found(cli, log(working_days([day for day in weekdays if day != 14]))) == {}, "a long weekend"
    week_missing = [day for day in weekdays if day // 7 != 2]
    assert found(cli, log(working_days(week_missing))) == {
        "gaps": "no event from 2026-03-13 16:00 to 2026-03-23 09:00 UTC, 9 days; usually sessions start at most 17.0"
        " hours apart, not counting weekends"
    }
    assert found(cli, log([*hourly(range(1), "LH"), *hourly(range(240, 241), "LH")])) == {}, "two sessions tell nothing"
    few = [*hourly(range(0, 96, 24), "LH"), *hourly(range(336, 360, 24), "LH")]
    assert found(cli, log(few)).keys() == {"gaps"}


def test_overlapping_files(cli: Cli, tmp_path: Path) -> None:
    first, more = session("a", REMOTE, "LH"), session("b", REMOTE)
    (old := tmp_path / "1.ndjson").write_text(ndjson(first))
    (grown := tmp_path / "2.ndjson").write_text(ndjson(first + more))
    assert found(cli, old, grown) == {
        "overlapping_files": f"{grown} (5 events) shares events with files read before it (1): 3 with {old}"
    }
    grown.write_text(ndjson([{**one, "timestamp": None} for one in first] + more))
    assert "overlapping_files" in found(cli, old, grown), "one has no time"
    (rotated := tmp_path / "3.ndjson").write_text(ndjson(first[2:] + more))
    old.write_text(ndjson(first[:2]))
    assert found(cli, old, rotated) == {}, "a session in two files"


def test_rejects_and_unknown_keys(cli: Cli, log: Log) -> None:
    at = START.isoformat()
    path = log(ndjson([event(timestamp=at, colour="red"), event(hash="b", duration="1")]) + "broken\nbroken too\n")
    assert found(cli, path) == {
        "rejects": f"3 of 4 events were rejected: not JSON (2), duration is not a number (1); files (1): {path} (3)",
        "unknown_keys": f"1 unknown keys are ignored; files (1): {path} (1)",
    }


def test_untimed_events(cli: Cli, log: Log) -> None:
    path = log(session("a", REMOTE, timestamp=...) + session("b", "LH") + session("c", "LH", timestamp=..., slug="api"))
    assert found(cli, path)["untimed_events"].startswith(f"3 events have no time (sessions: 2): in {path} (3);")
    assert found(cli, path, "--team", "api")["untimed_events"].startswith("1 events have no time (sessions: 1)")
    assert found(cli, path, "--session", "b") == {}


def test_recordings(cli: Cli) -> None:
    log, runs = RECORDED / "requests.ndjson", RECORDED / "runs"
    assert found(cli, log).keys() == {"partly_unknown_durations"}, "one of the recorded servers returns none"
    both = found(cli, log, runs)
    assert both.keys() == {"partly_unknown_durations", "unmatched_runs", "unreproducible_hashes"}
    assert both["unmatched_runs"].startswith("6 of 60 run summaries"), "forced, or without token or team"
    assert found(cli, log, runs, "--view", "runs").keys() == both.keys()
    assert found(cli, runs).keys() == {"partly_unknown_durations", "unreproducible_hashes"}


def test_the_same_requests_in_two_formats_overlap(cli: Cli) -> None:
    what = found(cli, RECORDED / "requests.ndjson", RECORDED / "events.har")["overlapping_files"]
    assert "4,115 with" in what


def test_unmatched_sessions(cli: Cli, tmp_path: Path, oracle: Events) -> None:
    matched = [run for run in oracle if run["sessions"] and run["summary_file"]]
    for run in matched[:1] + matched[2:]:
        shutil.copy(RECORDED / "runs" / f"{run['summary_file']}.gz", tmp_path)
    what = found(cli, RECORDED / "requests.ndjson", tmp_path)["unmatched_sessions"]
    assert what.startswith("1 of ")
    assert what.endswith(f"such as {matched[1]['sessions'][0]}")


def test_sample_data(cli: Cli) -> None:
    by_name = found(cli, Path(__file__).parents[2] / "sample_data")
    assert by_name["outages"].startswith("from 2026-10-06 10:11 to 2026-10-07 15:20 UTC, 1,541 local misses")
    assert by_name["unknown_durations"].startswith("team mobile: 13,114 of 13,114 remote hits")
    assert by_name["unreproducible_hashes"].startswith("tasks with different hashes in runs of the same commit: 20")


def test_filters_of_single_events_are_refused(cli: Cli, log: Log) -> None:
    assert cli("doctor", log(CLEAN), "--source", "LOCAL").code == 2
