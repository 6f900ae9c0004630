"""`misses`: each class worked out by hand, each boundary at the edge."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import brute_misses as slow
import pytest
from conftest import Cli
from log_of_misses import BEGIN, MS, NO_TIME, US, answered, asked, at, classes, local, nowhere


def assert_each(cli: Cli, path: Path, expected: dict[str, str], *options: object) -> None:
    """Check the class of the one miss that each session has; one question a class."""
    for name in set(expected.values()):
        sessions = [session for session, one in expected.items() if one == name]
        chosen = [part for session in sessions for part in ("--session", session)]
        assert classes(cli, path, *chosen, *options) == {name: len(sessions)}, sessions


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
            "avoidable_misses": 6,
            "avoidable_time_ms": 6000,
            "avoidable_coverage": 1,
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
    assert "select single events" in failed.err


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
    assert f"{option[0]}: `{command}` needs both events of a lookup" in result.err


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
