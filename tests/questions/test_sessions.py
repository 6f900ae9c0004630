"""Tests of `sessions` with values worked out by hand: outliers, percentiles, and one session."""

import math
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, report_of

DAY = "2026-03-02T09:00:{:02d}Z"


def sent_event(session: str, source: str, kind: str, name: str, second: int, **more: Any) -> dict[str, Any]:
    """Return an event at a second of one morning; its duration is 0, as clients send it, unless given."""
    made = {"duration": 0, "slug": "web", "timestamp": DAY.format(second), **more}
    return event(sessionId=session, source=source, event=kind, hash=name, **made)


# a: both are local. b: h1 is nowhere, h2 comes from the remote cache, h3 is asked for locally only. c: h2 is nowhere.
BY_HAND = [
    sent_event("a", "LOCAL", "HIT", "h1", 1, duration=100),
    sent_event("a", "LOCAL", "HIT", "h2", 1, duration=300),
    sent_event("b", "REMOTE", "MISS", "h1", 12),
    sent_event("b", "REMOTE", "HIT", "h2", 11, duration=250, ci="GITLAB"),
    sent_event("b", "LOCAL", "MISS", "h2", 12, ci="GITLAB"),
    sent_event("b", "LOCAL", "MISS", "h1", 10, ci="GITLAB"),
    sent_event("b", "LOCAL", "MISS", "h3", 14, ci="GITLAB"),
    sent_event("c", "LOCAL", "MISS", "h2", 20, slug=...),
    sent_event("c", "REMOTE", "MISS", "h2", 21, slug=...),
]


def test_outliers_by_hand(cli: Cli, log: Any) -> None:
    """The pooled rate is 3 of 6. The duration of h2 is the longest one known, that of h3 is not known."""
    result = report_of(cli, "sessions", log(BY_HAND))
    low = result.table("low_hit_rate")
    assert [row["session"] for row in low] == ["c", "b"]
    assert [row["deviation"] for row in low] == pytest.approx([-1, (1 / 3 - 1 / 2) / math.sqrt(1 / 12)])
    lost = result.table("time_lost")
    b = {
        "session": "b", "hit_rate": 1 / 3, "lookups": 3, "time_lost_ms": 100, "imputed_coverage": 1 / 2,
        "time_saved_ms": 250, "duration_coverage": 1,
        "first_at": "2026-03-02T09:00:10.000Z", "team": "web", "ci": "GITLAB", "branch": None, "command": None,
    }  # fmt: skip
    c = {
        "session": "c", "hit_rate": 0, "lookups": 1, "time_lost_ms": 300, "imputed_coverage": 1,
        "time_saved_ms": 0, "duration_coverage": None,
        "first_at": "2026-03-02T09:00:20.000Z", "team": None, "ci": None, "branch": None, "command": None,
    }  # fmt: skip
    assert [{key: value for key, value in row.items() if key != "deviation"} for row in lost] == [c, b]


def test_percentiles_by_hand(cli: Cli, log: Any) -> None:
    rows = report_of(cli, "sessions", log(BY_HAND)).table("percentiles")
    assert [row["percentile"] for row in rows] == ["p5", "p25", "p50", "p75", "p95"]
    assert [row["lookups"] for row in rows] == [1, 1, 2, 3, 3]
    assert [row["hit_rate"] for row in rows] == pytest.approx([1 / 30, 1 / 6, 1 / 3, 2 / 3, 14 / 15])
    assert [row["time_saved_ms"] for row in rows] == pytest.approx([25, 125, 250, 325, 385])
    assert [row["time_lost_ms"] for row in rows] == pytest.approx([10, 50, 100, 200, 280])


def run_of(session: str, lookups: int, hits: int, **more: Any) -> list[dict[str, Any]]:
    kinds = ["HIT"] * hits + ["MISS"] * (lookups - hits)
    return [event(sessionId=session, hash=f"{session}-{n}", event=kind, **more) for n, kind in enumerate(kinds)]


def test_a_short_run_is_no_outlier_against_a_long_one(cli: Cli, log: Any) -> None:
    """1 of 3 is a lower rate than 50 of 100, but against a pooled rate of 90 % it is fewer standard errors off."""
    path = log(run_of("short", 3, 1) + run_of("long", 100, 50) + run_of("rest", 417, 417))
    low = report_of(cli, "sessions", path).table("low_hit_rate")
    assert [row["session"] for row in low] == ["long", "short"]
    expected = [(0.5 - 0.9) / math.sqrt(0.09 / 100), (1 / 3 - 0.9) / math.sqrt(0.09 / 3)]
    assert [row["deviation"] for row in low] == pytest.approx(expected)
    assert [row["session"] for row in report_of(cli, "sessions", path, "--limit", 1).table("low_hit_rate")] == ["long"]


def test_no_outliers_if_all_lookups_hit(cli: Cli, log: Any) -> None:
    result = report_of(cli, "sessions", log(run_of("a", 4, 4) + run_of("b", 2, 2)))
    assert (result.table("low_hit_rate"), result.table("time_lost")) == ([], [])
    assert {row["hit_rate"] for row in result.table("percentiles")} == {1}


def test_no_outliers_if_all_lookups_miss(cli: Cli, log: Any) -> None:
    result = report_of(cli, "sessions", log(run_of("a", 4, 0) + run_of("b", 2, 0)))
    assert (result.table("low_hit_rate"), result.table("time_lost")) == ([], [])
    assert {row["hit_rate"] for row in result.table("percentiles")} == {0}


def test_percentiles_of_a_single_session(cli: Cli, log: Any) -> None:
    result = report_of(cli, "sessions", log(run_of("only", 4, 3)))
    assert result.table("low_hit_rate") == []
    rows = [{key: value for key, value in row.items() if key != "percentile"} for row in result.table("percentiles")]
    assert (
        rows
        == [
            {
                "lookups": 4,
                "hit_rate": 0.75,
                "time_saved_ms": 30,
                "duration_coverage": 1,
                "time_lost_ms": None,
                "imputed_coverage": 0,
                "sessions": 1,
            }
        ]
        * 5
    )


def test_no_sessions_have_no_percentiles(cli: Cli, log: Any) -> None:
    result = report_of(cli, "sessions", log(BY_HAND), "--team", "nobody")
    assert [table["rows"] for table in result.json["tables"]] == [[], [], []]


def test_unknown_durations_do_not_lower_the_percentiles_of_time(cli: Cli, log: Any) -> None:
    """Three sessions have only unknown durations and two have known ones: the median time saved is not 0."""
    unknown = [one for n in range(3) for one in run_of(f"u{n}", 2, 2, duration=0)]
    known = [one for n in range(2) for one in run_of(f"k{n}", 2, 2, duration=50)]
    rows = report_of(cli, "sessions", log(unknown + known)).table("percentiles")
    assert next(row for row in rows if row["percentile"] == "p50")["time_saved_ms"] == 100


def test_unknown_durations_are_no_time_lost(cli: Cli, log: Any) -> None:
    rows = report_of(cli, "sessions", log(run_of("a", 3, 0) + run_of("b", 3, 3, duration=0)))
    assert rows.table("time_lost") == []
    assert [row["session"] for row in rows.table("low_hit_rate")] == ["a"]


def test_ties_are_ordered_by_id(cli: Cli, log: Any, tmp_path: Path) -> None:
    """Three sessions miss only the same artifact; another session hits it and nine more."""
    missed = {name: sent_event(name, "LOCAL", "MISS", "h", second) for second, name in enumerate("xyz")}
    hit = [sent_event("w", "LOCAL", "HIT", name, 4, duration=7) for name in "habcdefgij"]
    first, second = log([*hit, missed["z"]], "1.ndjson"), log([missed["y"], missed["x"]], "2.ndjson")
    for order in ([first, second], [second, first]):
        archive = tmp_path / f"{order[0].stem}.duckdb"
        for path in order:
            assert cli("load", path, "--into", archive).code == 0
        result = report_of(cli, "sessions", archive, "--limit", 2)
        for table in ("low_hit_rate", "time_lost"):
            assert [row["session"] for row in result.table(table)] == ["x", "y"], (table, order[0].name)


def test_filters_select_the_compared_sessions(cli: Cli, log: Any) -> None:
    result = report_of(cli, "sessions", log(BY_HAND), "--team", "web", "--hash", "h1")
    assert [(row["session"], row["lookups"]) for row in result.table("low_hit_rate")] == [("b", 1)]
    assert result.json["input"] | {"files": 1} == {
        "read": 9, "kept": 3, "rejected": 0, "filtered": 6, "duplicate": 0, "files": 1,
    }  # fmt: skip


@pytest.mark.parametrize("option", [["--source", "LOCAL"], ["--event", "HIT"]])
def test_filters_of_single_events_are_rejected(cli: Cli, log: Any, option: list[str]) -> None:
    result = cli("sessions", log(BY_HAND), *option)
    assert (result.code, result.out) == (2, "")
    assert option[0] in result.err


# --- one session -----------------------------------------------------------------------------------------------------


def test_one_session_by_hand(cli: Cli, log: Any) -> None:
    result = report_of(cli, "sessions", log(BY_HAND), "b")
    assert result.table("session") == [
        {
            "session": "b", "run": None, "command": None, "branch": None, "sha": None, "user": None, "team": "web",
            "ci": "GITLAB", "first_at": "2026-03-02T09:00:10.000Z", "last_at": "2026-03-02T09:00:14.000Z",
            "lookups": 3, "hits": 1, "hit_rate": 1 / 3, "time_saved_ms": 250,
            "duration_coverage": 1, "time_lost_ms": 100, "imputed_coverage": 1 / 2,
            "warm_cache_saves_ms": 350, "warm_cache_coverage": 2 / 3,
        }
    ]  # fmt: skip
    assert [tuple(row.values()) for row in result.table("lookups")] == [
        ("h1", None, "miss", "unknown_cold", 100, "2026-03-02T09:00:10.000Z"),
        ("h2", None, "remote_hit", None, 250, "2026-03-02T09:00:11.000Z"),
        ("h3", None, "miss", "local_only", None, "2026-03-02T09:00:14.000Z"),
    ]
    assert (result.json["input"]["kept"], result.json["input"]["filtered"]) == (5, 4)


def test_the_retention_of_the_class(cli: Cli, log: Any) -> None:
    """The first remote lookup of h1 is 9 s after the log began; h2 was looked up by another team only."""
    path = log(BY_HAND)
    second = 1 / 86400
    classes = {
        days: [row["class"] for row in report_of(cli, "sessions", path, "b", "--retention", days).table("lookups")]
        for days in (8 * second, 10 * second)
    }
    assert list(classes.values()) == [["cold", None, "local_only"], ["unknown_cold", None, "local_only"]]
    assert [row["class"] for row in report_of(cli, "sessions", path, "c", "--retention", second).table("lookups")] == [
        "cold"
    ]


@pytest.mark.parametrize(
    ("gap", "took", "kind"), [(30, 29_999, "repeat"), (30, 30_001, "concurrent"), (30, 0, "repeat")]
)
def test_classes_look_at_the_whole_log(cli: Cli, log: Any, gap: int, took: int, kind: str) -> None:
    path = log(
        [
            sent_event("early", "REMOTE", "MISS", "h", 0),
            sent_event("late", "REMOTE", "MISS", "h", gap),
            sent_event("after", "LOCAL", "HIT", "h", 50, duration=took),
        ]
    )
    assert [row["class"] for row in report_of(cli, "sessions", path, "late").table("lookups")] == [kind]


def test_the_order_of_lookups(cli: Cli, log: Any) -> None:
    """By time, then by position in the files; lookups without a time come last."""
    rows = [
        sent_event("s", "LOCAL", "HIT", "no-time", 0, timestamp=...),
        sent_event("s", "LOCAL", "HIT", "z", 5),
        sent_event("s", "LOCAL", "HIT", "a", 5),
        sent_event("s", "LOCAL", "MISS", "m", 5),
        sent_event("s", "LOCAL", "HIT", "early", 1),
        sent_event("s", "REMOTE", "HIT", "m", 3),
    ]
    assert [row["hash"] for row in report_of(cli, "sessions", log(rows), "s").table("lookups")] == [
        "early",
        "m",
        "z",
        "a",
        "no-time",
    ]


def test_a_lookup_with_two_hits_counts_once(cli: Cli, log: Any) -> None:
    rows = [sent_event("s", "LOCAL", "HIT", "h", 1, duration=5), sent_event("s", "REMOTE", "HIT", "h", 1, duration=8)]
    result = report_of(cli, "sessions", log(rows), "s")
    assert [(row["outcome"], row["duration_ms"]) for row in result.table("lookups")] == [("local_hit", 8)]
    assert result.table("session")[0]["warm_cache_saves_ms"] == 8


@pytest.mark.parametrize(
    ("text", "session"),
    [("abc", "abc"), ("abcd", "abcd"), ("abd", "abd-2"), ("ü", "über")],
)
def test_find_a_session_by_id_or_unique_prefix(cli: Cli, log: Any, text: str, session: str) -> None:
    """A complete id finds its session even if longer ids start with it."""
    names = ["abcd", "abc", "abcde1", "abcde2", "abcde3", "abcde4", "abd-2", "über"]
    path = log([event(sessionId=name) for name in names])
    assert [row["session"] for row in report_of(cli, "sessions", path, text).table("session")] == [session]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ab", ["ab:", "abc1", "abc2", "write more"]),
        ("nobody", ["nobody:", "no session or run"]),
        ("%", ["%:", "no session or run"]),
        ("a_c1", ["a_c1:", "no session or run"]),
    ],
)
def test_an_unknown_or_ambiguous_id(cli: Cli, log: Any, text: str, words: list[str]) -> None:
    result = cli("sessions", log([event(sessionId=name) for name in ("abc1", "abc2", "abd")]), text)
    assert (result.code, result.out) == (2, "")
    assert all(word in result.err for word in words), result.err


@pytest.mark.parametrize(
    ("name", "options"),
    [("table", ["--team", "nobody"]), ("markdown", ["--since", "2027-01-01"]), ("json", ["--hash", "none"])],
)
def test_filters_without_lookups_of_the_session(cli: Cli, log: Any, name: str, options: list[str]) -> None:
    """Every format has an empty answer, and a note says why."""
    result = cli("sessions", log(BY_HAND), "b", *options, "--format", name)
    assert result.code == 0
    assert "the filters match none" in result.err


def test_csv_has_the_lookups(cli: Cli, log: Any) -> None:
    lines = cli("sessions", log(BY_HAND), "a", "--format", "csv").out.splitlines()
    assert lines[0] == "hash,name,outcome,class,duration_ms,first_at"
    assert len(lines) == 3
