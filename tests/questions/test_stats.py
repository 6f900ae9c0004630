"""`stats`: hand-written logs with known answers, a brute-force oracle, and edge cases."""

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import brute
import pytest
from conftest import Cli, event, ndjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NINE = "2026-03-02T09:00:00Z"
TEN = "2026-03-02T10:00:00Z"
NEXT_DAY = "2026-03-03T09:00:00Z"

# Session a: h1 is in the local cache, h2 in the remote one, h3 in neither. Session b: the remote cache is off.
BY_HAND = [
    event(sessionId="a", hash="h1", source="LOCAL", event="HIT", duration=100, timestamp=NINE, slug="web"),
    event(sessionId="a", hash="h2", source="REMOTE", event="HIT", duration=250.5, timestamp=TEN, slug="web"),
    event(sessionId="a", hash="h3", source="LOCAL", event="MISS", duration=0, timestamp=NINE, slug="web"),
    event(sessionId="a", hash="h2", source="LOCAL", event="MISS", duration=0, timestamp=NINE, slug="web"),
    event(sessionId="a", hash="h3", source="REMOTE", event="MISS", duration=0, timestamp=NINE, slug="web"),
    event(sessionId="b", hash="h1", source="LOCAL", event="HIT", duration=0, timestamp=NEXT_DAY, ci="GITLAB"),
    event(sessionId="b", hash="h4", source="LOCAL", event="MISS", duration=0, timestamp=NEXT_DAY, ci="GITLAB"),
]


def test_totals_by_hand(cli: Cli, log: Any) -> None:
    assert cli("stats", log(BY_HAND), "--format", "json").table("totals") == [
        {
            "events": 7,
            "sessions": 2,
            "lookups": 5,
            "hits": 3,
            "local_hits": 2,
            "remote_hits": 1,
            "misses": 2,
            "local_only_misses": 1,
            "hit_rate": 3 / 5,
            "local_hit_rate": 2 / 5,
            "remote_hit_rate": 1 / 2,
            "time_saved_ms": 350.5,
            "duration_coverage": 2 / 3,
            "first_at": "2026-03-02T09:00:00.000Z",
            "last_at": "2026-03-03T09:00:00.000Z",
        }
    ]


def groups(cli: Cli, path: Path, *by: str, options: tuple[str, ...] = ()) -> dict[Any, tuple[int, int, float]]:
    result = cli("stats", path, "--by", ",".join(by), "--format", "json", *options)
    assert result.code == 0, result.err
    rows = result.table("by_" + "_".join(by))
    return {tuple(row[name] for name in by): (row["lookups"], row["hits"], row["time_saved_ms"]) for row in rows}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (["day"], {("2026-03-02",): (3, 2, 350.5), ("2026-03-03",): (2, 1, None)}),
        (["hour"], {("2026-03-02T09:00Z",): (3, 2, 350.5), ("2026-03-03T09:00Z",): (2, 1, None)}),
        (["week"], {("2026-03-02",): (5, 3, 350.5)}),
        (["month"], {("2026-03",): (5, 3, 350.5)}),
        (["team"], {("web",): (3, 2, 350.5), (None,): (2, 1, None)}),
        (["ci", "day"], {("GITLAB", "2026-03-03"): (2, 1, None), (None, "2026-03-02"): (3, 2, 350.5)}),
        (["session"], {("a",): (3, 2, 350.5), ("b",): (2, 1, None)}),
        (["hash"], {("h1",): (2, 2, 100), ("h2",): (1, 1, 250.5), ("h3",): (1, 0, 0), ("h4",): (1, 0, 0)}),
        (["source"], {("LOCAL",): (5, 2, 100), ("REMOTE",): (2, 1, 250.5)}),
        (["interactive"], {(None,): (5, 3, 350.5)}),
    ],
)
def test_groups_by_hand(cli: Cli, log: Any, by: list[str], expected: dict[Any, Any]) -> None:
    assert groups(cli, log(BY_HAND), *by) == expected


@pytest.mark.parametrize(
    ("options", "lookups", "filtered"),
    [
        (["--since", "2026-03-03"], 2, 5),
        (["--until", "2026-03-03T09:00:00Z"], 3, 2),
        (["--since", "2026-03-02T10:00:00+01:00", "--until", "2026-03-02T10:00:01+01:00"], 3, 2),
        (["--since", "2026-03-02T09:30:00Z", "--until", "2026-03-03"], 0, 7),
        (["--team", "web"], 3, 2),
        (["--ci", "GITLAB", "--ci", "CIRCLE"], 2, 5),
        (["--session", "a"], 3, 2),
        (["--hash", "h1", "--hash", "h3"], 3, 3),
        (["--source", "REMOTE"], 2, 5),
        (["--event", "hit"], 3, 4),
        (["--where", "duration > 200"], 1, 6),
        (["--where", "duration > 50", "--where", "session = 'a' -- the first"], 2, 5),
        (["--source", "LOCAL", "--team", "web"], 3, 4),
        (["--no-interactive"], 0, 7),
        (["--status", "ok"], 0, 7),
    ],
)
def test_filters_by_hand(cli: Cli, log: Any, options: list[str], lookups: int, filtered: int) -> None:
    result = cli("stats", log(BY_HAND), *options, "--format", "json")
    assert (result.table("totals")[0]["lookups"], result.json["input"]["filtered"]) == (lookups, filtered)
    assert result.json["input"]["kept"] == 7 - filtered


def test_no_denominator_is_null_and_a_dash(cli: Cli, log: Any) -> None:
    path = log(BY_HAND)
    options = ["--session", "nobody"]
    totals = cli("stats", path, *options, "--format", "json").table("totals")[0]
    rates = ["hit_rate", "local_hit_rate", "remote_hit_rate", "duration_coverage", "first_at"]
    assert [totals[name] for name in rates] == [None] * 5
    assert "hit rate" in (table := cli("stats", path, *options).out)
    assert "0.0 %" not in table
    assert "—" in table


def test_status(cli: Cli, log: Any) -> None:
    path = log([event(hash="a", status=200), event(hash="b", status=500), event(hash="c", status=0), event(hash="d")])
    kept = {
        status: cli("stats", path, "--status", status, "--format", "json").table("totals")[0]["lookups"]
        for status in ("ok", "failed")
    }
    assert kept == {"ok": 1, "failed": 2}


@pytest.mark.parametrize(
    ("times", "tz", "by", "buckets"),
    [
        # Berlin leaves summer time at 01:00 UTC on 2026-10-25: 02:30 local comes twice.
        (["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"], "Europe/Berlin", "hour",
         ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]),
        (["2026-10-25T00:30:00Z", "2026-10-25T23:30:00Z"], "Europe/Berlin", "day", ["2026-10-25", "2026-10-26"]),
        (["2026-03-01T23:30:00Z"], "Asia/Kolkata", "hour", ["2026-03-02T05:00+05:30"]),
        (["2026-03-01T23:30:00Z"], "America/St_Johns", "hour", ["2026-03-01T20:00-03:30"]),
        (["2026-03-01T23:30:00Z"], "Asia/Tokyo", "week", ["2026-03-02"]),
        (["2026-03-01T23:30:00Z"], "UTC", "week", ["2026-02-23"]),
        (["2025-12-31T23:30:00Z"], "Asia/Tokyo", "month", ["2026-01"]),
    ],
)  # fmt: skip
def test_time_zones(cli: Cli, log: Any, times: list[str], tz: str, by: str, buckets: list[str]) -> None:
    path = log([event(hash=str(n), timestamp=time) for n, time in enumerate(times)])
    rows = cli("stats", path, "--by", by, "--tz", tz, "--format", "json").table(f"by_{by}")
    assert [row[by] for row in rows] == buckets


@pytest.mark.parametrize(
    ("tz", "meant"), [("utc", "UTC"), ("berlin", "Europe/Berlin"), ("Europe/Berln", "Europe/Berlin")]
)
def test_a_mistyped_time_zone_names_the_nearest(cli: Cli, log: Any, tz: str, meant: str) -> None:
    result = cli("stats", log([event()]), "--by", "day", "--tz", tz)
    assert (result.code, f"no such time zone; did you mean {meant}?" in result.err) == (2, True)


def test_partial_buckets_are_marked(cli: Cli, log: Any) -> None:
    path = log([event(hash=str(day), timestamp=f"2026-03-0{day}T12:00:00Z") for day in (1, 2, 3)])
    partial = [row["partial"] for row in cli("stats", path, "--by", "day", "--format", "json").table("by_day")]
    assert partial == [True, False, True]
    assert "2026-03-01 *" in cli("stats", path, "--by", "day").out
    options = ["--since", "2026-03-02", "--until", "2026-03-03"]
    rows = cli("stats", path, "--by", "day", "--format", "json", *options).table("by_day")
    assert [row["partial"] for row in rows] == [False]


def test_groups_of_few_lookups_are_left_out(cli: Cli, log: Any) -> None:
    path = log([event(hash=f"{n}", slug="big" if n else "small") for n in range(4)])
    result = cli("stats", path, "--by", "team", "--min-lookups", "2", "--format", "json")
    assert [(row["team"], row["lookups"]) for row in result.table("by_team")] == [("big", 3)]
    assert "groups with fewer than 2 lookups, left out: 1 (--min-lookups)" in result.err
    assert result.table("totals")[0]["lookups"] == 4
    assert cli("stats", path, "--min-lookups", "2").code == 2
    assert cli("stats", path, "--by", "team", "--min-lookups", "-1").code == 2


def test_groups_with_buckets_of_time_are_sorted_by_name_then_time(cli: Cli, log: Any) -> None:
    path = log([event(hash=f"{n}", slug="ab"[n % 2], timestamp=f"2026-1{n % 3}-01T00:00:00Z") for n in range(9)])
    rows = cli("stats", path, "--by", "team,month", "--format", "json").table("by_team_month")
    assert [(row["team"], row["month"]) for row in rows] == [
        (team, f"2026-1{month}") for team in "ab" for month in range(3)
    ]


def test_sort_and_limit(cli: Cli, log: Any) -> None:
    path = log(BY_HAND)
    result = cli("stats", path, "--by", "hash", "--sort", "-time_saved_ms", "--limit", "2", "--format", "json")
    assert [row["hash"] for row in result.table("by_hash")] == ["h2", "h1"]
    assert "2 of 4 groups shown" in result.err
    ascending = cli("stats", path, "--by", "hash", "--sort", "hash", "--format", "json").table("by_hash")
    assert [row["hash"] for row in ascending] == ["h1", "h2", "h3", "h4"]


def test_sort_by_several_columns(cli: Cli, log: Any) -> None:
    """The worst of each team: by team, and within a team by what was asked for."""
    path = log([event(hash=f"{n}{m}", slug="ab"[n % 2], ci=f"{n}") for n in range(4) for m in range(n + 1)])
    rows = cli("stats", path, "--by", "ci,team", "--sort", "team,-lookups", "--format", "json").table("by_ci_team")
    assert [(row["team"], row["ci"], row["lookups"]) for row in rows] == [
        ("a", "2", 3), ("a", "0", 1), ("b", "3", 4), ("b", "1", 2),
    ]  # fmt: skip
    wrong = cli("stats", path, "--by", "ci", "--sort", "-lookups,tem")
    assert (wrong.code, wrong.err.startswith("error: --sort tem: ")) == (2, True)


def test_durations_at_the_edges(cli: Cli, log: Any) -> None:
    path = log(
        [
            event(hash="a", duration=...),
            event(hash="b", duration=None),
            event(hash="c", duration=0.25),
            event(hash="d", duration=2**53 + 2),
            event(hash="e", event="MISS", duration=99),
        ]
    )
    totals = cli("stats", path, "--format", "json").table("totals")[0]
    assert totals["time_saved_ms"] == 2**53 + 2
    assert totals["duration_coverage"] == 2 / 4


def test_explain(cli: Cli, log: Any) -> None:
    rows = cli("stats", log(BY_HAND), "--explain", "--format", "json").table("definitions")
    hit_rate = next(row for row in rows if row["name"] == "hit_rate")
    assert hit_rate["definition"] == "hits / lookups"
    assert all(row["definition"] for row in rows)


def test_the_sql_of_each_definition_returns_the_total(cli: Cli, log: Any, tmp_path: Path) -> None:
    cli("load", log(BY_HAND), "--into", tmp_path / "a.duckdb")
    totals = cli("stats", tmp_path / "a.duckdb", "--format", "json").table("totals")[0]
    for row in cli("stats", tmp_path / "a.duckdb", "--explain", "--format", "json").table("definitions"):
        (answer,) = cli("sql", tmp_path / "a.duckdb", row["sql"], "--format", "json").table("result")[0].values()
        assert answer == totals[row["name"]], row["name"]


def test_measures_of_both_sides_are_null_for_one_side(cli: Cli, log: Any) -> None:
    path = log(BY_HAND)
    rows = cli("stats", path, "--by", "source", "--format", "json").table("by_source")
    assert [row["local_only_misses"] for row in rows] == [None, None]
    assert cli("stats", path, "--source", "LOCAL", "--format", "json").table("totals")[0]["local_only_misses"] is None


TEAMS = st.sampled_from(["web", "data", None])
EVENTS = st.fixed_dictionaries(
    {
        "sessionId": st.sampled_from(["s1", "s2", "s3"]),
        "source": st.sampled_from(["LOCAL", "REMOTE"]),
        "event": st.sampled_from(["HIT", "MISS"]),
        "hash": st.sampled_from(["h1", "h2", "h3"]),
    },
    optional={
        "duration": st.one_of(st.none(), st.integers(0, 100), st.integers(0, 400).map(lambda n: n / 4)),
        "timestamp": st.datetimes(min_value=__import__("datetime").datetime(2026, 3, 1)).map(
            lambda at: at.replace(year=2026, month=3).isoformat(timespec="milliseconds") + "Z"
        ),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, max_size=40), compact=st.booleans())
def test_against_brute_force(cli: Cli, tmp_path: Path, events: list[dict[str, Any]], compact: bool) -> None:  # noqa: FBT001
    """Compact JSON and JSON with white space are read in different ways."""
    path = tmp_path / "log.ndjson"
    path.write_text(ndjson(events) if compact else "".join(json.dumps(one) + "\n" for one in events))
    result = cli("stats", path, "--by", "day", "--format", "json")
    found = result.table("totals")[0]
    expected = brute.totals(events)
    assert {name: found[name] for name in expected} == expected
    days = defaultdict(list)
    for lookup in brute.lookups(events):
        at = brute.first_at(lookup)
        days[at.date().isoformat() if at else "unknown"].append(lookup)
    by_day = {row["day"]: {name: row[name] for name in expected} for row in result.table("by_day")}
    assert by_day == {day: brute.totals_of(lookups) for day, lookups in days.items()}


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, min_size=1, max_size=30), cuts=st.lists(st.integers(0, 30), max_size=4), data=st.data())
def test_an_archive_of_shuffled_pieces_answers_the_same(
    cli: Cli,
    tmp_path_factory: pytest.TempPathFactory,
    events: list[dict[str, Any]],
    cuts: list[int],
    data: st.DataObject,
) -> None:
    here = tmp_path_factory.mktemp("pieces")
    (whole := here / "whole.ndjson").write_text(ndjson(events))
    edges = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    pieces = [events[a:b] for a, b in pairwise(edges)]
    # Pieces of the same content would be duplicates: an unknown key makes them differ.
    named = [[{**one, "piece": number} for one in piece] for number, piece in enumerate(pieces)]
    for number, piece in enumerate(data.draw(st.permutations(named))):
        (path := here / f"{number}.ndjson").write_text(ndjson(piece))
        assert cli("load", path, "--into", here / "archive.duckdb").code == 0
    for by in ("day", "session", "hash", "source"):
        options = ["--by", by, "--format", "json"]
        direct, stored = (cli("stats", source, *options).json["tables"] for source in (whole, here / "archive.duckdb"))
        assert json.dumps(direct) == json.dumps(stored)


def test_large_logs_of_several_files_and_faults(cli: Cli, tmp_path: Path) -> None:
    """Compact JSON, JSON with white space, a file with a reject, and a duplicate: every way in which a file is read."""
    times = [f"2026-03-0{1 + n % 5}T10:00:00.000Z" for n in range(40)]
    events = [event(sessionId=f"s{n % 7}", hash=f"h{n % 5}", timestamp=times[n]) for n in range(40)]
    pieces = [events[:10], events[10:20], events[20:30], events[30:]]
    texts = [ndjson(piece) for piece in pieces]
    texts[1] = "".join(json.dumps(one) + "\n" for one in pieces[1])
    texts[2] += "broken\n"
    for number, text in enumerate([*texts, texts[0]]):
        (tmp_path / f"{number}").write_text(text)
    result = cli("stats", tmp_path, "--by", "day", "--format", "json")
    assert result.json["input"] == {
        "read": 51, "kept": 40, "rejected": 1, "filtered": 0, "duplicate": 10, "files": 5,
    }  # fmt: skip
    found = result.table("totals")[0]
    expected = brute.totals(events)
    assert {name: found[name] for name in expected} == expected
    since = cli("stats", tmp_path, "--since", "2026-03-03", "--format", "json")
    late = [lookup for lookup in brute.lookups(events) if str(brute.first_at(lookup)) >= "2026-03-03"]
    assert since.table("totals")[0]["lookups"] == len(late)
    alone = cli("stats", tmp_path / "2", "--format", "json")
    assert (alone.json["input"]["rejected"], "2:11: not JSON: broken" in alone.err) == (1, True)
