"""Tests of `misses`: every class and every boundary, with expected values worked out by hand."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import brute_misses as slow
import pytest
from conftest import Cli
from log_of_misses import BEGIN, MS, NO_TIME, US, at, classes, local, missed, remote, run_misses


def assert_each(cli: Cli, path: Path, expected: dict[str, str], *options: object) -> None:
    """Check the class of the only miss of each session, with one query per class."""
    for name in set(expected.values()):
        sessions = [session for session, one in expected.items() if one == name]
        chosen = [part for session in sessions for part in ("--session", session)]
        assert classes(cli, path, *chosen, *options) == {name: len(sessions)}, sessions


def test_one_hash_from_cold_to_evicted_and_expired(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            *missed("a", "h", at(10)),  # asked for the first time, 10 d after the start: cold
            *missed("b", "h", at(11)),  # missed by a, no hit between: repeat
            *missed("c", "h", at(11, 500 * MS)),  # 0.5 s after b, the task takes 1 s: concurrent
            remote("d", "HIT", "h", at(12)),
            *missed("e", "h", at(13)),  # present 1 d ago: evicted
            *missed("f", "h", at(14)),  # missed by e, no hit between: repeat
            remote("g", "HIT", "h", at(15)),
            remote("h", "HIT", "h", at(16)),
            *missed("i", "h", at(24)),  # present 8 d ago, kept for 7: expired
            *missed("j", "h", at(25)),  # missed by i: repeat
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
    result = run_misses(cli, path)
    assert result.table("misses") == [
        {
            "lookups": 12,
            "misses": 8,
            "miss_rate": 8 / 12,
            "time_lost_ms": 8000,
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
        (row["class"], row["misses"], row["sessions"], row["time_lost_ms"], row["avoidable"])
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
    """Return the class of the only avoidable miss of each hash that has one."""
    rows = run_misses(cli, path, *options, "--by", "hash", "--limit", 100).table("top")
    assert all(row["avoidable_misses"] == 1 for row in rows)
    return {row["hash"]: next(name for name in slow.AVOIDABLE if row[name]) for row in rows}


WEEK, HALF_DAY = timedelta(days=7), timedelta(hours=12)


@pytest.mark.parametrize("retention", [WEEK, HALF_DAY])
def test_expired_begins_right_after_the_retention(cli: Cli, log: Any, retention: timedelta) -> None:
    # Each hash is hit at day 10 and missed after a gap. A gap of exactly the retention is not longer than it.
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
        events += [remote("a", "HIT", name, at(10)), remote("b", "MISS", name, at(10, gap))]
    # At one moment the miss comes before the hit: it is cold.
    events += [remote("a", "HIT", "at once", at(10)), remote("b", "MISS", "at once", at(10))]
    path = log(events)
    days = retention / timedelta(days=1)
    assert by_hash(cli, path, "--retention", days) == {name: kind for name, (_, kind) in gaps.items()}
    assert classes(cli, path, "--retention", days, "--hash", "at once") == {"cold": 1}


@pytest.mark.parametrize("retention", [WEEK, HALF_DAY])
def test_first_misses_soon_after_the_start_are_unknown_cold(cli: Cli, log: Any, retention: timedelta) -> None:
    # Each hash is missed for the first time after a gap since the log's start; exactly the retention is within it.
    since_start = {
        "start": (NO_TIME, "unknown_cold"),
        "less": (retention - US, "unknown_cold"),
        "exactly": (retention, "unknown_cold"),
        "1 us more": (retention + US, "cold"),
        "1 ms more": (retention + MS, "cold"),
    }
    misses = [one for name, (gap, _) in since_start.items() for one in missed(name, name, at(0, gap))]
    # An event without a time does not begin the log, but a LOCAL event of another team does.
    path = log([remote("z", "HIT", "x", None), *misses[::-1], BEGIN])
    kinds = {name: kind for name, (_, kind) in since_start.items()}
    assert_each(cli, path, kinds, "--retention", retention / timedelta(days=1))


def test_concurrent_until_the_earlier_task_has_ended(cli: Cli, log: Any) -> None:
    # The duration of each hash, and the gap between the misses of a and b.
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
        events += [remote("a", "MISS", name, at(10)), remote("b", "MISS", name, at(10, gap))]
        # The duration comes from a later hit of another team: a task takes the same time everywhere.
        later = remote("z", "HIT", name, at(20), slug="elsewhere") | {"duration": duration}
        events.append({key: value for key, value in later.items() if value is not ...})
    assert by_hash(cli, log(events)) == {name: kind for name, (_, _, kind) in cases.items()}


def test_concurrent_counts_from_the_previous_miss(cli: Cli, log: Any) -> None:
    """Three misses, each 0.9 s after the previous one; the third is 1.8 s after the first."""
    path = log(
        [
            BEGIN,
            *(remote(f"s{n}", "MISS", "h", at(10, 900 * n * MS)) for n in range(3)),
            remote("s3", "MISS", "h", at(10, 3000 * MS)),
            remote("z", "HIT", "h", at(12)),
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


def test_local_events_are_no_evidence_about_the_remote_cache(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            local("a", "HIT", "h", at(10), duration=300),  # present, but in a's own cache
            *missed("b", "h", at(11)),  # cold: the remote cache is asked for the first time
            local("c", "MISS", "h", at(12)),  # local_only, and no miss of the remote cache
            *missed("d", "h", at(13)),  # repeat, of b
            local("e", "MISS", "i", at(14)),  # local_only
            *missed("f", "i", at(15)),  # cold: e did not ask
            # A lookup with a LOCAL HIT and a REMOTE MISS is a hit, but the remote cache had missed.
            local("g", "HIT", "j", at(16), duration=70),
            remote("g", "MISS", "j", at(16)),
            *missed("h", "j", at(17)),  # repeat
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
    totals = run_misses(cli, path).table("misses")[0]
    assert (totals["time_lost_ms"], totals["imputed_coverage"], totals["avoidable_time_ms"]) == (970, 4 / 6, 370)


def test_each_team_has_a_cache_of_its_own(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            *missed("a", "h", at(10), slug="web"),
            *missed("b", "h", at(11), slug="data"),  # cold there
            *missed("c", "h", at(12), teamId="team_1"),  # cold there
            *missed("d", "h", at(13)),  # cold where no team is named
            *missed("e", "h", at(14), teamId="team_1", slug="web"),  # the slug counts: repeat of a
            *missed("f", "h", at(15), teamId="team_1"),  # repeat of c
            *missed("g", "h", at(16)),  # repeat of d
            remote("i", "HIT", "h", at(17), slug="data", duration=40),
            *missed("j", "h", at(18), slug="web"),  # repeat: the hit is of another team
            *missed("k", "h", at(19), slug="data"),  # evicted
        ]
    )
    expected = dict.fromkeys("abcd", "cold") | dict.fromkeys("efgj", "repeat") | {"k": "evicted"}
    assert_each(cli, path, expected)
    # Both that have this id, one of them with a slug: e and f, and c.
    assert classes(cli, path, "--team", "team_1") == {"cold": 1, "repeat": 2}
    assert classes(cli, path, "--team", "web") == {"cold": 1, "repeat": 2}
    # The hit of team data tells what the task takes everywhere.
    assert run_misses(cli, path, "--team", "web").table("misses")[0]["time_lost_ms"] == 120


def test_a_lookup_has_the_team_and_time_of_its_first_event(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            remote("a", "MISS", "h", at(10), slug="web"),
            remote("b", "MISS", "h", at(12), slug="data"),
            local("b", "MISS", "h", at(11), slug="web"),  # the first of b's: so b asked web, and repeats a
            remote("c", "MISS", "h", at(13), slug="data"),  # so this is the first of data
            remote("d", "HIT", "i", at(15)),
            local("d", "MISS", "i", at(13)),  # d asked at day 13
            remote("e", "MISS", "i", at(14)),  # after d
        ]
    )
    assert_each(cli, path, {"a": "cold", "b": "repeat", "c": "cold", "e": "evicted"})


def test_a_batch_logged_twice_is_one_lookup(cli: Cli, log: Any) -> None:
    refused = missed("a", "h", at(10), status=500)
    again = missed("a", "h", at(10, 2000 * MS), status=200)
    path = log([BEGIN | {"status": 200}, *refused, *again, *missed("b", "h", at(11), status=200)])
    assert_each(cli, path, {"a": "cold", "b": "repeat"})
    assert classes(cli, path, "--status", "ok") == {"cold": 1, "repeat": 1}
    failed = run_misses(cli, path, "--status", "failed")
    # Of the failed requests alone the log starts with a's first event.
    assert {row["class"]: row["misses"] for row in failed.table("classes")} == {"unknown_cold": 1}
    assert "select single events" in failed.err


def test_misses_without_a_time_are_untimed(cli: Cli, log: Any) -> None:
    path = log(
        [
            *missed("a", "h", None),
            remote("b", "HIT", "h", None, duration=20),
            *missed("c", "h", None),
            local("d", "MISS", "h", None),  # that the remote cache was not asked needs no time
            *missed("e", "i", None),
        ]
    )
    result = run_misses(cli, path)
    assert {row["class"]: row["misses"] for row in result.table("classes")} == {"local_only": 1, "untimed": 3}
    totals = result.table("misses")[0]
    assert (totals["time_lost_ms"], totals["avoidable_time_ms"], totals["imputed_coverage"]) == (60, 0, 3 / 4)
    assert result.table("top") == []


def test_lookups_without_a_time_are_no_earlier_lookups(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            remote("a", "HIT", "h", None),
            remote("b", "MISS", "h", None),
            *missed("c", "h", at(10)),
            local("d", "MISS", "h", None),
            remote("d", "MISS", "h", at(11)),  # half of it has a time
        ]
    )
    assert_each(cli, path, {"b": "untimed", "c": "cold", "d": "repeat"})
    assert "events without a time are excluded" in run_misses(cli, path, "--since", at(5)).err


def test_order_of_lookups_at_the_same_time(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            remote("z", "MISS", "h", at(10)),  # z and y at one moment; y was seen first, at day 2
            remote("y", "MISS", "h", at(10)),
            remote("x", "HIT", "h", at(10), duration=1),  # and a hit, which comes after them
            remote("w", "MISS", "h", at(11)),  # so this is after a hit
            local("y", "HIT", "i", at(2)),
            local("x", "HIT", "i", at(1)),
            local("z", "HIT", "i", at(3)),
        ]
    )
    assert_each(cli, path, {"y": "cold", "z": "concurrent", "w": "evicted"})


def test_order_of_ties_does_not_depend_on_the_load_order(cli: Cli, log: Any, tmp_path: Path) -> None:
    late = [remote("z", "MISS", "h", at(10)), local("z", "HIT", "i", at(3))]
    early = [BEGIN, remote("y", "MISS", "h", at(10)), local("y", "HIT", "i", at(2))]
    for name, content in (("late", late), ("early", early)):
        assert cli("load", log(content, f"{name}.ndjson"), "--into", tmp_path / "a.duckdb").code == 0
    assert_each(cli, tmp_path / "a.duckdb", {"y": "cold", "z": "repeat"})


def test_earlier_lookups_outside_the_selection_count(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            *missed("a", "h", at(10), slug="web", ci="GITLAB"),
            *missed("b", "h", at(12), slug="web", ci="CIRCLE"),
            remote("c", "HIT", "h", at(14), slug="web", ci="GITLAB", duration=30),
            *missed("d", "h", at(16), slug="web", ci="CIRCLE"),
            *missed("e", "h", at(30), slug="web", ci="CIRCLE"),
        ]
    )
    assert classes(cli, path, "--since", at(11), "--until", at(13)) == {"repeat": 1}
    assert classes(cli, path, "--since", at(12), "--until", at(16)) == {"repeat": 1}
    assert classes(cli, path, "--since", at(15)) == {"evicted": 1, "repeat": 1}
    assert classes(cli, path, "--ci", "CIRCLE") == {"repeat": 2, "evicted": 1}
    assert classes(cli, path, "--session", "d") == {"evicted": 1}
    assert classes(cli, path, "--hash", "other") == {}
    late = run_misses(cli, path, "--since", at(15)).table("misses")[0]
    # Saved is what was saved in the selection; what a miss takes is known from the whole log.
    assert (late["time_lost_ms"], late["time_saved_ms"], late["avoidance_ratio"]) == (60, 0, 0)
    assert (late["lookups"], late["one_hit_wonders"], late["hashes"]) == (2, 0, 1)


@pytest.mark.parametrize("command", ["misses", "retention"])
@pytest.mark.parametrize("option", [["--source", "remote"], ["--source", "LOCAL"], ["--event", "miss"]])
def test_filters_of_single_events_are_rejected(cli: Cli, log: Any, command: str, option: list[str]) -> None:
    result = cli(command, log([BEGIN]), *option)
    assert (result.code, result.out) == (2, "")
    assert f"{option[0]}: `{command}` needs both events of a lookup" in result.err


@pytest.mark.parametrize("retention", ["0", "-1", "week", "nan", "inf", "1e12"])
@pytest.mark.parametrize("command", ["misses", "retention"])
def test_an_invalid_retention_is_rejected(cli: Cli, log: Any, command: str, retention: str) -> None:
    """A very long retention may be accepted; none of these values may end in a traceback."""
    result = cli(command, log([BEGIN, *missed("a", "h", at(10))]), "--retention", retention)
    assert result.code in ((0, 2) if retention == "1e12" else (2,))


@pytest.mark.parametrize("content", ["", [BEGIN], [remote("a", "HIT", "h", at())]])
def test_no_misses(cli: Cli, log: Any, content: Any) -> None:
    path = log(content)
    result = run_misses(cli, path)
    totals = result.table("misses")[0]
    saved = sum(one["duration"] for one in content) if content else 0
    assert totals["miss_rate"] == (0 if content else None)
    assert (totals["misses"], totals["time_lost_ms"], totals["imputed_coverage"]) == (0, 0, None)
    assert (totals["time_saved_ms"], totals["avoidance_ratio"]) == (saved, 1 if saved else None)
    assert (result.table("classes"), result.table("top")) == ([], [])
    lines = [line.split() for line in cli("misses", path).out.splitlines()]
    assert ["imputed", "coverage", "—"] in lines
