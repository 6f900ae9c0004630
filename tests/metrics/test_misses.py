"""`misses`: each class worked out by hand, each boundary at the edge, a slow oracle, and the recordings."""

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import brute
import brute_misses as slow
import pytest
from conftest import RECORDED, Cli, event, ndjson
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_recordings import flat

START = datetime(2026, 3, 1, tzinfo=UTC)
MS, US = timedelta(milliseconds=1), timedelta(microseconds=1)
NO_TIME = timedelta(0)

Events = list[dict[str, Any]]


def at(days: float = 0, more: timedelta = NO_TIME) -> str:
    """So many days after the log's start, and a little more; microseconds are written only where there are some."""
    moment = START + timedelta(days=days) + more
    return (
        moment.replace(tzinfo=None).isoformat(timespec="microseconds" if moment.microsecond % 1000 else "milliseconds")
        + "Z"
    )


def asked(session: str, answer: str, name: str, time: str | None, **more: Any) -> dict[str, Any]:
    """The remote cache was asked for a hash. A hit takes 1 s unless another duration is given."""
    envelope = {"timestamp": time, **more}
    default = 1000 if answer == "HIT" else 0
    return event(
        sessionId=session, source="REMOTE", event=answer, hash=name, duration=envelope.pop("duration", default),
        **{key: value for key, value in envelope.items() if value is not None},
    )  # fmt: skip


def local(session: str, answer: str, name: str, time: str | None, **more: Any) -> dict[str, Any]:
    return asked(session, answer, name, time, **more) | {"source": "LOCAL"}


def nowhere(session: str, name: str, time: str | None, **more: Any) -> Events:
    """What a client sends for a task that is in neither cache."""
    return [local(session, "MISS", name, time, **more), asked(session, "MISS", name, time, **more)]


def answered(cli: Cli, *arguments: object) -> Any:
    result = cli("misses", *arguments, "--format", "json")
    assert result.code == 0, result.err
    return result


def classes(cli: Cli, *arguments: object) -> dict[str, int]:
    return {row["class"]: row["misses"] for row in answered(cli, *arguments).table("classes")}


def assert_each(cli: Cli, path: Path, expected: dict[str, str], *options: object) -> None:
    """Check the class of the one miss that each session has; one question a class."""
    for name in set(expected.values()):
        sessions = [session for session, one in expected.items() if one == name]
        chosen = [part for session in sessions for part in ("--session", session)]
        assert classes(cli, path, *chosen, *options) == {name: len(sessions)}, sessions


# The first event of the log, of another team, hash and cache: from it the log's first days are counted.
BEGIN = local("begin", "HIT", "other", at(), slug="elsewhere", duration=5)


def test_one_hash_from_cold_to_evicted_and_expired(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            *nowhere("a", "h", at(10)),  # asked for the first time, 10 d after the start: cold
            *nowhere("b", "h", at(11)),  # missed by a, no hit between: repeat
            *nowhere("c", "h", at(11, 500 * MS)),  # 0.5 s after b, the task takes 1 s: concurrent
            asked("d", "HIT", "h", at(12)),
            *nowhere("e", "h", at(13)),  # present 1 d ago: evicted
            *nowhere("f", "h", at(14)),  # missed by e, no hit between: repeat
            asked("g", "HIT", "h", at(15)),
            asked("h", "HIT", "h", at(16)),
            *nowhere("i", "h", at(24)),  # present 8 d ago, kept for 7: expired
            *nowhere("j", "h", at(25)),  # missed by i: repeat
            local("k", "MISS", "h", at(25)),  # the remote cache was not asked: local_only
        ]
    )
    assert_each(
        cli,
        path,
        {
            "a": "cold",
            "b": "repeat",
            "c": "concurrent",
            "e": "evicted",
            "f": "repeat",
            "i": "expired",
            "j": "repeat",
            "k": "local_only",
        },
    )
    # 8 misses of 1 s each; avoidable are b, c, e, f, i, j. Saved are three times 1 s, and 5 ms by the session `begin`.
    result = answered(cli, path)
    assert result.table("misses") == [
        {
            "lookups": 12,
            "misses": 8,
            "miss_rate": 8 / 12,
            "imputed_time_ms": 8000,
            "imputed_coverage": 1,
            "avoidable_time_ms": 6000,
            "time_saved_ms": 3005,
            "avoidance_ratio": 3005 / 11005,
            "one_hit_wonders": 1,
            "hashes": 2,
        }
    ]
    shown = [
        (row["class"], row["misses"], row["sessions"], row["imputed_time_ms"], row["avoidable"])
        for row in result.table("classes")
    ]
    assert shown == [
        ("cold", 1, 1, 1000, False),
        ("repeat", 3, 3, 3000, True),
        ("concurrent", 1, 1, 1000, True),
        ("expired", 1, 1, 1000, True),
        ("evicted", 1, 1, 1000, True),
        ("local_only", 1, 1, 1000, False),
    ]
    assert [row["share"] for row in result.table("classes")] == [1 / 8, 3 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 8]
    (top,) = result.table("top")
    causes = top.pop("likely_causes")
    assert top == {
        "hash": "h",
        "name": None,
        "avoidable_time_ms": 6000,
        "avoidable_misses": 6,
        "sessions": 6,
        "first_seen": "2026-03-12T00:00:00.000Z",
        "last_seen": "2026-03-26T00:00:00.000Z",
        "repeat": 3,
        "concurrent": 1,
        "expired": 1,
        "evicted": 1,
    }
    assert causes.startswith("repeat (3): failed task, read-only client")
    assert all(f"{name} (1): " in causes for name in ("concurrent", "expired", "evicted"))
    assert "failed in" not in causes


def by_hash(cli: Cli, path: Path, *options: object) -> dict[str, str]:
    """The class of each hash's one avoidable miss; a hash without one is not in it."""
    rows = answered(cli, path, *options, "--by", "hash", "--limit", 100).table("top")
    assert all(row["avoidable_misses"] == 1 for row in rows)
    return {row["hash"]: next(name for name in slow.AVOIDABLE if row[name]) for row in rows}


WEEK, HALF_DAY = timedelta(days=7), timedelta(hours=12)


@pytest.mark.parametrize("retention", [WEEK, HALF_DAY])
def test_expired_begins_right_after_the_retention(cli: Cli, log: Any, retention: timedelta) -> None:
    # Each hash is hit at day 10, and missed so much later. As long as artifacts are kept is not over R.
    gaps = {
        "exactly": (retention, "evicted"),
        "1 us less": (retention - US, "evicted"),
        "1 us more": (retention + US, "expired"),
        "1 ms more": (retention + MS, "expired"),
        "1 us": (US, "evicted"),
        "a month": (timedelta(days=30), "expired"),
    }
    events = [BEGIN]
    for name, (gap, _) in gaps.items():
        events += [asked("a", "HIT", name, at(10)), asked("b", "MISS", name, at(10, gap))]
    # At one moment the miss comes before the hit: it is cold.
    events += [asked("a", "HIT", "at once", at(10)), asked("b", "MISS", "at once", at(10))]
    path = log(events)
    days = retention / timedelta(days=1)
    assert by_hash(cli, path, "--retention", days) == {name: kind for name, (_, kind) in gaps.items()}
    assert classes(cli, path, "--retention", days, "--hash", "at once") == {"cold": 1}


@pytest.mark.parametrize("retention", [WEEK, HALF_DAY])
def test_the_first_days_of_the_log_know_nothing_of_before(cli: Cli, log: Any, retention: timedelta) -> None:
    # Each hash is missed for the first time so long after the log's start: exactly R after it is within R.
    since_start = {
        "start": (NO_TIME, "unknown_cold"),
        "less": (retention - US, "unknown_cold"),
        "exactly": (retention, "unknown_cold"),
        "1 us more": (retention + US, "cold"),
        "1 ms more": (retention + MS, "cold"),
    }
    misses = [one for name, (gap, _) in since_start.items() for one in nowhere(name, name, at(0, gap))]
    # What has no time does not begin the log; that it begins with a LOCAL event of another team is no matter.
    path = log([asked("z", "HIT", "x", None), *misses[::-1], BEGIN])
    kinds = {name: kind for name, (_, kind) in since_start.items()}
    assert_each(cli, path, kinds, "--retention", retention / timedelta(days=1))


def test_concurrent_ends_where_the_task_would_have(cli: Cli, log: Any) -> None:
    # The duration of each hash, and how long after a's miss that of b comes.
    cases: dict[str, tuple[Any, timedelta, str]] = {
        "less": (1000, 999 * MS, "concurrent"),
        "exactly": (1000, 1000 * MS, "repeat"),  # as long as the task takes is not sooner
        "1 us less": (1000, 1000 * MS - US, "concurrent"),
        "1 us more": (1000, 1000 * MS + US, "repeat"),
        "fraction less": (0.5, 499 * US, "concurrent"),
        "fraction": (0.5, 500 * US, "repeat"),
        "at once": (1000, NO_TIME, "concurrent"),
        "unknown at once": (0, NO_TIME, "repeat"),  # 0 means unknown: nothing is sooner than that
        "unknown": (0, MS, "repeat"),
        "missing": (..., MS, "repeat"),
    }
    events = [BEGIN]
    for name, (duration, gap, _) in cases.items():
        events += [asked("a", "MISS", name, at(10)), asked("b", "MISS", name, at(10, gap))]
        # Of a hit after both, by another team: what a task takes, it takes anywhere.
        later = asked("z", "HIT", name, at(20), slug="elsewhere") | {"duration": duration}
        events.append({key: value for key, value in later.items() if value is not ...})
    assert by_hash(cli, log(events)) == {name: kind for name, (_, _, kind) in cases.items()}


def test_concurrent_counts_from_the_miss_before(cli: Cli, log: Any) -> None:
    """A chain: each 0.9 s after the one before, the last one 1.8 s after the first."""
    path = log(
        [
            BEGIN,
            *(asked(f"s{n}", "MISS", "h", at(10, 900 * n * MS)) for n in range(3)),
            asked("s3", "MISS", "h", at(10, 3000 * MS)),
            asked("z", "HIT", "h", at(12)),
        ]
    )
    assert_each(
        cli,
        path,
        {
            "s0": "cold",
            "s1": "concurrent",
            "s2": "concurrent",
            "s3": "repeat",
        },
    )


def test_what_a_local_cache_has_says_nothing_of_the_remote_one(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            local("a", "HIT", "h", at(10), duration=300),  # present, but in a's own cache
            *nowhere("b", "h", at(11)),  # cold: the remote cache is asked for the first time
            local("c", "MISS", "h", at(12)),  # local_only, and no miss of the remote cache
            *nowhere("d", "h", at(13)),  # repeat, of b
            local("e", "MISS", "i", at(14)),  # local_only
            *nowhere("f", "i", at(15)),  # cold: e did not ask
            # A lookup with a LOCAL HIT and a REMOTE MISS is a hit, but the remote cache had missed.
            local("g", "HIT", "j", at(16), duration=70),
            asked("g", "MISS", "j", at(16)),
            *nowhere("h", "j", at(17)),  # repeat
        ]
    )
    assert_each(
        cli,
        path,
        {
            "b": "cold",
            "c": "local_only",
            "d": "repeat",
            "e": "local_only",
            "f": "cold",
            "h": "repeat",
        },
    )
    # h: b, c, d of 300 ms; i is unknown; j: h of 70 ms. Avoidable: d and h.
    totals = answered(cli, path).table("misses")[0]
    assert (totals["imputed_time_ms"], totals["imputed_coverage"], totals["avoidable_time_ms"]) == (970, 4 / 6, 370)


def test_each_team_has_a_cache_of_its_own(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            *nowhere("a", "h", at(10), slug="web"),
            *nowhere("b", "h", at(11), slug="data"),  # cold there
            *nowhere("c", "h", at(12), teamId="team_1"),  # cold there
            *nowhere("d", "h", at(13)),  # cold where no team is named
            *nowhere("e", "h", at(14), teamId="team_1", slug="web"),  # the slug counts: repeat of a
            *nowhere("f", "h", at(15), teamId="team_1"),  # repeat of c
            *nowhere("g", "h", at(16)),  # repeat of d
            asked("i", "HIT", "h", at(17), slug="data", duration=40),
            *nowhere("j", "h", at(18), slug="web"),  # repeat: the hit is of another team
            *nowhere("k", "h", at(19), slug="data"),  # evicted
        ]
    )
    expected = dict.fromkeys("abcd", "cold") | dict.fromkeys("efgj", "repeat") | {"k": "evicted"}
    assert_each(cli, path, expected)
    # Both that have this id, one of them with a slug: e and f, and c.
    assert classes(cli, path, "--team", "team_1") == {"cold": 1, "repeat": 2}
    assert classes(cli, path, "--team", "web") == {"cold": 1, "repeat": 2}
    # The hit of team data tells what the task takes everywhere.
    assert answered(cli, path, "--team", "web").table("misses")[0]["imputed_time_ms"] == 120


def test_a_lookup_is_of_the_team_and_time_of_its_first_event(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            asked("a", "MISS", "h", at(10), slug="web"),
            asked("b", "MISS", "h", at(12), slug="data"),
            local("b", "MISS", "h", at(11), slug="web"),  # the first of b's: so b asked web, and repeats a
            asked("c", "MISS", "h", at(13), slug="data"),  # so this is the first of data
            asked("d", "HIT", "i", at(15)),
            local("d", "MISS", "i", at(13)),  # d asked at day 13
            asked("e", "MISS", "i", at(14)),  # after d
        ]
    )
    assert_each(cli, path, {"a": "cold", "b": "repeat", "c": "cold", "e": "evicted"})


def test_a_batch_that_is_logged_twice_is_one_lookup(cli: Cli, log: Any) -> None:
    refused = nowhere("a", "h", at(10), status=500)
    again = nowhere("a", "h", at(10, 2000 * MS), status=200)
    path = log([BEGIN | {"status": 200}, *refused, *again, *nowhere("b", "h", at(11), status=200)])
    assert_each(cli, path, {"a": "cold", "b": "repeat"})
    assert classes(cli, path, "--status", "ok") == {"cold": 1, "repeat": 1}
    failed = answered(cli, path, "--status", "failed")
    # Of the failed requests alone the log starts with a's first event.
    assert {row["class"]: row["misses"] for row in failed.table("classes")} == {"unknown_cold": 1}
    assert "choose single events" in failed.err


def test_without_a_time_it_cannot_be_said(cli: Cli, log: Any) -> None:
    path = log(
        [
            *nowhere("a", "h", None),
            asked("b", "HIT", "h", None, duration=20),
            *nowhere("c", "h", None),
            local("d", "MISS", "h", None),  # that the remote cache was not asked needs no time
            *nowhere("e", "i", None),
        ]
    )
    result = answered(cli, path)
    assert {row["class"]: row["misses"] for row in result.table("classes")} == {"local_only": 1, "untimed": 3}
    totals = result.table("misses")[0]
    assert (totals["imputed_time_ms"], totals["avoidable_time_ms"], totals["imputed_coverage"]) == (60, 0, 3 / 4)
    assert result.table("top") == []


def test_what_has_no_time_is_no_history(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            asked("a", "HIT", "h", None),
            asked("b", "MISS", "h", None),
            *nowhere("c", "h", at(10)),
            local("d", "MISS", "h", None),
            asked("d", "MISS", "h", at(11)),  # half of it has a time
        ]
    )
    assert_each(cli, path, {"b": "untimed", "c": "cold", "d": "repeat"})
    assert "events without a time are left out" in answered(cli, path, "--since", at(5)).err


def test_at_one_moment_misses_come_before_hits_and_sessions_as_they_were_first_seen(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            asked("z", "MISS", "h", at(10)),  # z and y at one moment; y was seen first, at day 2
            asked("y", "MISS", "h", at(10)),
            asked("x", "HIT", "h", at(10), duration=1),  # and a hit, which comes after them
            asked("w", "MISS", "h", at(11)),  # so this is after a hit
            local("y", "HIT", "i", at(2)),
            local("x", "HIT", "i", at(1)),
            local("z", "HIT", "i", at(3)),
        ]
    )
    assert_each(cli, path, {"y": "cold", "z": "concurrent", "w": "evicted"})


def test_ties_are_settled_the_same_whatever_was_loaded_first(cli: Cli, log: Any, tmp_path: Path) -> None:
    late = [asked("z", "MISS", "h", at(10)), local("z", "HIT", "i", at(3))]
    early = [BEGIN, asked("y", "MISS", "h", at(10)), local("y", "HIT", "i", at(2))]
    for name, content in (("late", late), ("early", early)):
        assert cli("load", log(content, f"{name}.ndjson"), "--into", tmp_path / "a.duckdb").code == 0
    assert_each(cli, tmp_path / "a.duckdb", {"y": "cold", "z": "repeat"})


def test_the_whole_log_is_history_whatever_is_selected(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            *nowhere("a", "h", at(10), slug="web", ci="GITLAB"),
            *nowhere("b", "h", at(12), slug="web", ci="CIRCLE"),
            asked("c", "HIT", "h", at(14), slug="web", ci="GITLAB", duration=30),
            *nowhere("d", "h", at(16), slug="web", ci="CIRCLE"),
            *nowhere("e", "h", at(30), slug="web", ci="CIRCLE"),
        ]
    )
    assert classes(cli, path, "--since", at(11), "--until", at(13)) == {"repeat": 1}
    assert classes(cli, path, "--since", at(12), "--until", at(16)) == {"repeat": 1}
    assert classes(cli, path, "--since", at(15)) == {"evicted": 1, "repeat": 1}
    assert classes(cli, path, "--ci", "CIRCLE") == {"repeat": 2, "evicted": 1}
    assert classes(cli, path, "--session", "d") == {"evicted": 1}
    assert classes(cli, path, "--hash", "other") == {}
    late = answered(cli, path, "--since", at(15)).table("misses")[0]
    # Saved is what was saved in the selection; what a miss takes is known from the whole log.
    assert (late["imputed_time_ms"], late["time_saved_ms"], late["avoidance_ratio"]) == (60, 0, 0)
    assert (late["lookups"], late["one_hit_wonders"], late["hashes"]) == (2, 0, 1)


@pytest.mark.parametrize("command", ["misses", "retention"])
@pytest.mark.parametrize("option", [["--source", "remote"], ["--source", "LOCAL"], ["--event", "miss"]])
def test_half_a_lookup_is_refused(cli: Cli, log: Any, command: str, option: list[str]) -> None:
    result = cli(command, log([BEGIN]), *option)
    assert (result.code, result.out) == (2, "")
    assert f"{option[0]}: analyzer {command} needs both events of a lookup" in result.err


@pytest.mark.parametrize("retention", ["0", "-1", "week", "nan", "inf", "1e12"])
@pytest.mark.parametrize("command", ["misses", "retention"])
def test_a_retention_that_is_no_length_of_time_is_refused(cli: Cli, log: Any, command: str, retention: str) -> None:
    """Or answered, where it is only very long; never a traceback."""
    result = cli(command, log([BEGIN, *nowhere("a", "h", at(10))]), "--retention", retention)
    assert result.code in ((0, 2) if retention == "1e12" else (2,))


@pytest.mark.parametrize("content", ["", [BEGIN], [asked("a", "HIT", "h", at())]])
def test_no_misses(cli: Cli, log: Any, content: Any) -> None:
    path = log(content)
    result = answered(cli, path)
    totals = result.table("misses")[0]
    saved = sum(one["duration"] for one in content) if content else 0
    assert totals["miss_rate"] == (0 if content else None)
    assert (totals["misses"], totals["imputed_time_ms"], totals["imputed_coverage"]) == (0, 0, None)
    assert (totals["time_saved_ms"], totals["avoidance_ratio"]) == (saved, 1 if saved else None)
    assert (result.table("classes"), result.table("top")) == ([], [])
    lines = [line.split() for line in cli("misses", path).out.splitlines()]
    assert ["imputed", "coverage", "—"] in lines


def test_nothing_known_is_nothing_and_not_0(cli: Cli, log: Any) -> None:
    """Only misses, and hits whose duration is unknown: the ratio has no denominator."""
    path = log([BEGIN | {"duration": 0}, *nowhere("a", "h", at(10)), asked("b", "HIT", "i", at(10), duration=0)])
    totals = answered(cli, path).table("misses")[0]
    assert (totals["imputed_coverage"], totals["avoidance_ratio"], totals["imputed_time_ms"]) == (0, None, 0)
    assert [row["imputed_coverage"] for row in answered(cli, path).table("classes")] == [0]


def test_the_durations_of_misses_and_zeros_are_none(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            asked("a", "MISS", "h", at(10), duration=99),  # the 99 of a MISS says nothing
            asked("b", "HIT", "h", at(11), duration=0),  # unknown
            asked("c", "MISS", "i", at(10), duration=99),
            asked("d", "HIT", "i", at(11), duration=0.25),
            local("e", "HIT", "i", at(12), duration=0),  # unknown, while d's is known
        ]
    )
    totals = answered(cli, path).table("misses")[0]
    assert (totals["imputed_time_ms"], totals["imputed_coverage"]) == (0.25, 1 / 2)
    assert (totals["time_saved_ms"], totals["avoidance_ratio"]) == (5.25, 5.25 / 5.5)


def task(name: str, package: str, **changes: Any) -> dict[str, Any]:
    """A task of a run summary that missed and took 700 ms."""
    took, exit_code = changes.get("took", 700), changes.get("exit_code", 0)
    saved = changes.get("saved")
    cache = {"status": "MISS", "timeSaved": 0}
    if saved is not None:
        cache = {"status": "HIT", "source": "REMOTE", "timeSaved": saved}
    return {
        "taskId": f"{package}#build",
        "task": "build",
        "package": package,
        "hash": name,
        "cache": cache,
        "execution": {"startTime": 1000, "endTime": 1000 + took, "exitCode": exit_code},
        "resolvedTaskDefinition": {"cache": True},
    }


def run_of(number: int, tasks: Sequence[dict[str, Any]], ended_ms: int | None = None) -> str:
    """A run summary; without a time of long before any log, so that it is no session's."""
    end = 1_700_000_000_000 + number * 60_000 if ended_ms is None else ended_ms
    execution = {
        "startTime": end - 1000,
        "endTime": end,
        "exitCode": 0,
        "attempted": len(tasks),
        "command": "turbo run",
    }
    return json.dumps(
        {"id": f"run{number}", "version": "1", "turboVersion": "2.5.8", "execution": execution, "tasks": tasks}
    )


def test_durations_come_from_the_hash_then_from_its_task(cli: Cli, log: Any) -> None:
    hashes = ("hit", "saved", "meta", "built", "failed", "median", "alone", "nobody")
    path = log(
        [
            BEGIN,
            *(one for name in hashes for one in nowhere("a", name, at(10)) + nowhere("b", name, at(11))),
            asked("c", "HIT", "hit", at(12), duration=1),
        ]
    )
    runs = log(
        run_of(
            1,
            [
                task("hit", "web", saved=2),  # 1: a hit's event says it
                task("saved", "web", saved=20),  # 20: what a hit in a run saved, before the metadata's 21
                task("built", "web", took=400),  # 400: what the run took to build it
                task("meta", "web", took=301),  # 300: the metadata's, before what a run took
                task("failed", "web", took=9, exit_code=1),  # a failed task's time is none: the median
                task("median", "web", saved=0),  # unknown: the median of web#build, of 1, 20, 300, 400
                task("alone", "docs", saved=0),  # docs#build is of nothing known
            ],
        ),
        "run1.json",
    )
    log('{"hash":"saved","duration":21}', "saved-meta.json")
    log('{"hash":"meta","duration":300}', "meta-meta.json")
    metas = [path.parent / "saved-meta.json", path.parent / "meta-meta.json"]
    result = answered(cli, path, runs, *metas, "--by", "hash")
    # Each hash is missed twice, and the second time is a repeat: what that cost is the duration.
    assert {row["hash"]: row["avoidable_time_ms"] for row in result.table("top")} == {
        "hit": 1, "saved": 20, "meta": 300, "built": 400, "failed": 160, "median": 160, "alone": 0, "nobody": 0,
    }  # fmt: skip
    totals = result.table("misses")[0]
    assert (totals["imputed_time_ms"], totals["imputed_coverage"]) == (2 * 1041, 6 / 8)


def test_the_costliest_by_task_and_by_hash(cli: Cli, log: Any) -> None:
    # Twice missed each; h1 and h2 are web#build, h3 is docs#build, h4 has no name. Repeats take 100, 100, 250, 30 ms.
    events = [BEGIN]
    for name, took in (("h1", 100), ("h2", 100), ("h3", 250), ("h4", 30)):
        events += nowhere("a", name, at(10)) + nowhere("b", name, at(11))
        events.append(asked("c", "HIT", name, at(12), duration=took, slug="elsewhere"))
    path = log(events)
    runs = log(run_of(1, [task("h1", "web"), task("h2", "web"), task("h3", "docs")]), "run1.json")

    def costliest(*options: object) -> list[tuple[Any, ...]]:
        rows = answered(cli, path, runs, *options).table("top")
        label = "task" if "task" in rows[0] else "hash"
        return [(row[label], row["avoidable_time_ms"], row["avoidable_misses"], row["sessions"]) for row in rows]

    assert costliest() == [("docs#build", 250, 1, 1), ("web#build", 200, 2, 1), (None, 30, 1, 1)]
    assert costliest("--by", "task", "--limit", 1) == [("docs#build", 250, 1, 1)]
    by_hash = costliest("--by", "hash")
    assert (by_hash[0], by_hash[3]) == (("h3", 250, 1, 1), ("h4", 30, 1, 1))
    assert sorted(by_hash[1:3]) == [("h1", 100, 1, 1), ("h2", 100, 1, 1)]
    names = {row["hash"]: row["name"] for row in answered(cli, path, runs, "--by", "hash").table("top")}
    assert names == {"h1": "web#build", "h2": "web#build", "h3": "docs#build", "h4": None}
    # Without run summaries, hashes.
    assert "hash" in answered(cli, path).table("top")[0]


def test_a_failed_task_is_a_likely_cause(cli: Cli, log: Any) -> None:
    # web#build failed with h1 in run 1 and 2 and with h2 in run 3; docs#build never did.
    path = log(
        [
            BEGIN,
            *(one for name in ("h1", "h2", "h3") for one in nowhere("a", name, at(10)) + nowhere("b", name, at(11))),
        ]
    )
    runs = [
        log(run_of(1, [task("h1", "web", exit_code=1), task("h3", "docs")]), "run1.json"),
        log(run_of(2, [task("h1", "web", exit_code=1)]), "run2.json"),
        log(run_of(3, [task("h2", "web", exit_code=2)]), "run3.json"),
    ]
    by_hash = {row["hash"]: row["likely_causes"] for row in answered(cli, path, *runs, "--by", "hash").table("top")}
    assert by_hash["h1"].startswith("the task failed in 2 of its runs; repeat (1): ")
    assert by_hash["h2"].startswith("the task failed in 1 of its runs; ")
    assert "failed in" not in by_hash["h3"]
    by_task = {row["task"]: row["likely_causes"] for row in answered(cli, path, *runs, "--by", "task").table("top")}
    assert "failed in" not in by_task["docs#build"]
    assert by_task["web#build"].startswith("the task failed in 3 of its runs; ")


def test_run_summaries_alone(cli: Cli, log: Any) -> None:
    """web#build misses in run 1, again in run 2 (a repeat), and after the hit of run 3 in runs 4 and 5: at once."""
    day_ms, first_ms = 86_400_000, 1_772_323_200_000
    runs = [
        log(run_of(0, [task("other", "docs")], first_ms), "run0.json"),
        log(run_of(1, [task("h", "web")], first_ms + 10 * day_ms), "run1.json"),
        log(run_of(2, [task("h", "web")], first_ms + 11 * day_ms), "run2.json"),
        log(run_of(3, [task("h", "web", saved=600)], first_ms + 12 * day_ms), "run3.json"),
        log(run_of(4, [task("h", "web")], first_ms + 19 * day_ms), "run4.json"),
        log(run_of(5, [task("h", "web")], first_ms + 19 * day_ms + 599), "run5.json"),
    ]
    result = answered(cli, *runs)
    assert result.json["view"] == "runs"
    assert {row["class"]: row["misses"] for row in result.table("classes")} == {
        "unknown_cold": 1, "cold": 1, "repeat": 1, "evicted": 1, "concurrent": 1,
    }  # fmt: skip
    assert result.table("misses")[0]["avoidable_time_ms"] == 3 * 600
    assert [row["task"] for row in result.table("top")] == ["web#build"]


def test_the_table_is_for_people(cli: Cli, log: Any) -> None:
    path = log([BEGIN, *nowhere("a", "h", at(10)), *nowhere("b", "h", at(11)), asked("c", "HIT", "h", at(12))])
    result = cli("misses", path)
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "avoidable time 1 s" in lines
    assert "class misses share sessions imputed time imputed coverage" in lines
    assert "repeat * 1 50.0 % 1 1 s 100.0 %" in lines
    assert "cold 1 50.0 % 1 1 s 100.0 %" in lines
    assert any(line.startswith("* avoidable: ") for line in lines)
    csv = cli("misses", path, "--format", "csv").out.splitlines()
    assert [line.split(",")[0] for line in csv] == ["class", "cold", "repeat"]


# Generated logs: few hashes, times on and right beside half days, so that gaps are often exactly R, and ties frequent.
TEAMS = st.sampled_from([{}, {"slug": "web"}, {"teamId": "team_1"}, {"teamId": "team_1", "slug": "web"}])
NEAR = [NO_TIME, NO_TIME, NO_TIME, MS, -MS, 250 * MS, 1000 * MS]
FINE = [*NEAR, US, -US, 250 * MS + US]
SESSIONS = [f"s{n}" for n in range(8)]
HASHES = [f"h{n}" for n in range(1, 7)]


def generated(near: Sequence[timedelta]) -> st.SearchStrategy[dict[str, Any]]:
    half_days = st.integers(2, 60)
    times = st.tuples(half_days, st.sampled_from(near)).map(lambda found: at(found[0] / 2, found[1]))
    return st.tuples(
        st.fixed_dictionaries(
            {
                "sessionId": st.sampled_from(SESSIONS),
                "source": st.sampled_from(["LOCAL", "REMOTE", "REMOTE"]),
                "event": st.sampled_from(["HIT", "MISS", "MISS"]),
                "hash": st.sampled_from(HASHES),
            },
            optional={
                "duration": st.sampled_from([0, 0.25, 250, 250, 1000.5, None]),
                "timestamp": st.one_of(*[times] * 9, st.just(at(1))),
                "ci": st.sampled_from(["GITLAB", "CIRCLE"]),
            },
        ),
        TEAMS,
    ).map(lambda found: found[0] | found[1])


LOGS = st.one_of(
    *(st.lists(generated(near), min_size=least, max_size=90) for near in (NEAR, FINE) for least in (0, 40))
)
RETENTIONS = st.sampled_from([7, 7, 0.5, 1, 3.5, 30])
FILTERS: dict[str, tuple[list[str], Callable[[slow.Lookup], bool]]] = {
    "all": ([], slow.everything),
    "since": (["--since", at(12)], lambda one: one.at_us is not None and one.at_us >= micros(at(12))),
    "until": (["--until", at(12)], lambda one: one.at_us is not None and one.at_us < micros(at(12))),
    "team": (["--team", "web"], lambda one: one.team == "web"),
    "id": (["--team", "team_1"], lambda one: one.team_id == "team_1"),
    "ci": (["--ci", "GITLAB"], lambda one: one.ci == "GITLAB"),
    "session": (["--session", "s1", "--session", "s2"], lambda one: one.session in ("s1", "s2")),
    "hash": (["--hash", "h1"], lambda one: one.hash == "h1"),
}


def micros(time: str) -> int:
    found = slow.microseconds({"timestamp": time})
    assert found is not None
    return found


def in_order(sessions: Sequence[str]) -> Events:
    """An event of each session before all others: which was seen first is never open."""
    return [local(name, "HIT", f"first of {name}", at(0, n * MS), duration=1) for n, name in enumerate(sessions)]


TASKS = st.lists(
    st.builds(
        task,
        st.sampled_from(["h1", "h2", "h3", "h4"]),
        st.just("web"),
        took=st.sampled_from([0, 60, 500, 2000]),
        exit_code=st.sampled_from([0, 0, 1]),
        saved=st.sampled_from([None, None, 0, 125, 750]),
    ),
    max_size=5,
)
METADATA = st.dictionaries(st.sampled_from(["h1", "h2", "h3"]), st.sampled_from([0, 40, 300.5]), max_size=2)


def assert_as_the_oracle_says(result: Any, events: Events, misses: list[slow.Miss], keep: Any) -> None:
    assert result.table("misses")[0] == slow.summary(events, misses, keep)
    shown = [{k: v for k, v in row.items() if k != "definition"} for row in result.table("classes")]
    assert shown == slow.by_class(misses, keep)
    costliest = slow.top(misses, keep)
    by_hash = {row["hash"]: {k: row[k] for k in next(iter(costliest.values()))} for row in result.table("top")}
    assert by_hash == costliest
    sums = [row["avoidable_time_ms"] for row in result.table("top")]
    assert sums == sorted(sums, reverse=True)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=LOGS, retention=RETENTIONS, chosen=st.sampled_from(sorted(FILTERS)), tasks=TASKS, metadata=METADATA)
def test_against_brute_force(
    cli: Cli,
    tmp_path_factory: pytest.TempPathFactory,
    events: Events,
    retention: float,
    chosen: str,
    tasks: list[dict[str, Any]],
    metadata: dict[str, float],
) -> None:
    events = events + in_order(SESSIONS)
    here = tmp_path_factory.mktemp("log")
    (here / "log.ndjson").write_text(ndjson(events))
    if tasks:
        (here / "run.json").write_text(run_of(1, tasks))
    for name, took in metadata.items():
        (here / f"{name}-meta.json").write_text(json.dumps({"hash": name, "duration": took}))
    options, keep = FILTERS[chosen]
    result = answered(cli, here, *options, "--retention", retention, "--by", "hash")
    misses = slow.classified(events, retention, tasks, metadata)
    assert_as_the_oracle_says(result, events, misses, keep)


@settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    events=st.lists(generated(NEAR), min_size=3, max_size=25),
    cut=st.integers(1, 24),
    data=st.data(),
)
def test_an_archive_of_shuffled_pieces_answers_the_same(
    cli: Cli, tmp_path_factory: pytest.TempPathFactory, events: Events, cut: int, data: st.DataObject
) -> None:
    """No two events at one moment here: ties have a test of their own."""
    events = [
        one | {"timestamp": at(0, timedelta(microseconds=micros(one["timestamp"]) - micros(at()), milliseconds=n))}
        if "timestamp" in one
        else one
        for n, one in enumerate(events)
    ]
    here = tmp_path_factory.mktemp("pieces")
    edges = sorted({0, min(cut, len(events)), len(events)})
    pieces = [events[a:b] for a, b in pairwise(edges)]
    named = [[{**one, "piece": number} for one in piece] for number, piece in enumerate(pieces)]
    for number, piece in enumerate(data.draw(st.permutations(named))):
        (path := here / f"{number}.ndjson").write_text(ndjson(piece))
        assert cli("load", path, "--into", here / "archive.duckdb").code == 0
    result = answered(cli, here / "archive.duckdb")
    assert_as_the_oracle_says(result, events, slow.classified(events, 7), slow.everything)


def test_the_costliest_stand_in_the_same_order_whatever_was_loaded_first(cli: Cli, log: Any, tmp_path: Path) -> None:
    """Five hashes that cost the same: --limit shows the same two of them, from logs and from any archive."""
    pieces = [[BEGIN], *([*nowhere("a", f"h{n}", at(10)), *nowhere("b", f"h{n}", at(11))] for n in range(5))]
    paths = [log(piece, f"{number}.ndjson") for number, piece in enumerate(pieces)]
    for path in reversed(paths):
        assert cli("load", path, "--into", tmp_path / "a.duckdb").code == 0
    shown = [
        [row["hash"] for row in answered(cli, *source, "--limit", 2).table("top")]
        for source in (paths, [tmp_path / "a.duckdb"])
    ]
    assert shown[0] == shown[1]


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


def test_recorded_misses_are_what_was_done(cli: Cli, tmp_path: Path, oracle: Events) -> None:
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


def test_recorded_misses_are_what_the_oracle_says(cli: Cli, requests: Events, oracle: Events) -> None:
    events = flat(requests)
    summaries = [json.loads(gzip.decompress(path.read_bytes())) for path in (RECORDED / "runs").iterdir()]
    tasks = [one for summary in summaries for one in summary["tasks"]]
    result = answered(cli, *recorded_sources(), "--retention", SHORT, "--by", "hash", "--limit", 1000)
    misses = slow.classified(events, float(SHORT), tasks)
    assert_as_the_oracle_says(result, events, misses, slow.everything)
    for run in oracle:
        kinds = [miss.kind for miss in misses if miss.lookup.session in run["sessions"]]
        assert {name: kinds.count(name) for name in kinds} == RECORDED_CLASSES.get(run["run"], {}), run["desc"]


def test_recorded_runs_with_force_or_without_caches_have_no_lookups_at_all(oracle: Events, requests: Events) -> None:
    """They send nothing; so no session of them is there to miss."""
    silent = [run for run in oracle if "--force" in run["desc"] or "FORCE" in run["desc"] or "no cache" in run["desc"]]
    assert [run["run"] for run in silent] == ["run028", "run029", "run030", "run042"]
    assert all(run["sessions"] == [] for run in silent)
    expected = {run["sessions"][0] for run in oracle if RECORDED_CLASSES.get(run["run"])}
    missed = {one[0]["sessionId"] for one in brute.lookups(flat(requests)) if all(e["event"] == "MISS" for e in one)}
    assert missed == expected


def test_recorded_failing_test_is_told_as_failed(cli: Cli, oracle: Events) -> None:
    runs = {run["run"]: run["sessions"] for run in oracle}
    (no_cache,), (failed,) = runs["run041"], runs["run055"]
    result = answered(cli, *recorded_sources(), "--session", no_cache, "--session", failed, "--by", "hash")
    rows = {row["name"]: row for row in result.table("top")}
    assert [row["repeat"] for row in rows.values()] == [1, 1, 1, 1]
    # In run054 and run055, and nowhere else. What --no-cache did not write never failed.
    told = {name: row["likely_causes"] for name, row in rows.items() if "failed in" in row["likely_causes"]}
    ((name, causes),) = told.items()
    assert name.endswith("i18n#test")
    assert causes.startswith("the task failed in 2 of its runs; repeat (1): failed task")
