"""`compare`: its tables, how sides are chosen and parsed, and how its answer is displayed."""

import json
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli, event
from sessions_of_hits import DAY, Run, asked, at, drawn, rate_of, runs, sides

import analyzer
from analyzer.questions.compare import SideMeasures, comparison_tables
from analyzer.render.display import display_table


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([(10, 9), (10, 8)] * 5, [(10, 2), (10, 3)] * 5, "fell"),
        ([(10, 2), (10, 3)] * 5, [(10, 9), (10, 8)] * 5, "rose"),
        ([(10, 2), (10, 8)] * 5, [(10, 3), (10, 8)] * 5, "no significant change"),
    ],
)
def test_the_verdict(cli: Cli, log: Any, before: list[Run], after: list[Run], words: str) -> None:
    path = log(runs("a", 0, before) + runs("b", 1, after))
    (change,) = asked(cli, path, f"..{at(1)}", f"{at(1)}..").table("change")
    assert change["change"] == words
    assert (change["hit_rate_change_low"] <= 0 <= change["hit_rate_change_high"]) == (words == "no significant change")


def test_remote_rates_and_times(cli: Cli, log: Any) -> None:
    """The remote rate is of lookups that asked remotely; time lost is of misses whose hash has a duration anywhere."""
    rows = [
        event(sessionId="a", hash="h1", source="LOCAL", event="MISS", duration=0, timestamp=at(0)),
        event(sessionId="a", hash="h1", source="REMOTE", event="HIT", duration=70, timestamp=at(0)),
        event(sessionId="a", hash="h2", source="LOCAL", event="HIT", duration=30, timestamp=at(0)),
        event(sessionId="a", hash="h3", source="LOCAL", event="MISS", duration=0, timestamp=at(0)),
        event(sessionId="a", hash="h3", source="REMOTE", event="MISS", duration=0, timestamp=at(0)),
        event(sessionId="b", hash="h1", source="LOCAL", event="MISS", duration=0, timestamp=at(1)),
        event(sessionId="b", hash="h1", source="REMOTE", event="MISS", duration=0, timestamp=at(1)),
        event(sessionId="b", hash="h3", source="LOCAL", event="HIT", duration=5, timestamp=at(1)),
    ]
    result = asked(cli, log(rows), f"..{at(1)}", f"{at(1)}..")
    found = [
        (row["hit_rate"], row["remote_hit_rate"], row["time_saved_ms"], row["time_lost_ms"])
        for row in result.table("sides")
    ]
    assert found == [(2 / 3, 1 / 2, 100, 5), (1 / 2, 0, 5, 70)]
    (change,) = result.table("change")
    assert (change["remote_hit_rate_change"], change["time_saved_change_ms"], change["time_lost_change_ms"]) == (
        -0.5,
        -95,
        65,
    )


def test_effects_of_a_log(cli: Cli, log: Any) -> None:
    """Of teams only the mix changes: web is seldom hit, and becomes rare. There is one CI vendor: its rate changes."""
    path = log(
        runs("a", 0, [(10, 2)] * 9, slug="web", ci="CIRCLE")
        + runs("b", 0, [(10, 9)], slug="data", ci="CIRCLE")
        + runs("c", 1, [(10, 2)], slug="web", ci="CIRCLE")
        + runs("d", 1, [(10, 9)] * 9, slug="data", ci="CIRCLE")
    )
    result = asked(cli, path, f"..{at(1)}", f"{at(1)}..")
    rows = {row["by"]: row for row in result.table("effects")}
    assert set(rows) == {"team", "ci"}
    for row in rows.values():
        assert row["hit_rate_change"] == pytest.approx(0.83 - 0.27)
        assert row["rate_effect"] + row["mix_effect"] == pytest.approx(row["hit_rate_change"], abs=1e-12)
    assert (rows["team"]["rate_effect"], rows["team"]["groups"]) == (pytest.approx(0), 2)
    assert (rows["ci"]["mix_effect"], rows["ci"]["groups"]) == (pytest.approx(0), 1)
    web = next(row for row in result.table("by_team") if row["team"] == "web")
    assert (web["hit_rate_a"], web["hit_rate_b"], web["lookups_a"], web["lookups_b"]) == (0.2, 0.2, 90, 10)
    assert web["effect"] == pytest.approx(web["mix_effect"]) == pytest.approx(-0.8 * (0.2 - 0.55))
    one = asked(cli, path, f"..{at(1)}", f"{at(1)}..", "--limit", 1)
    assert [table["name"] for table in one.json["tables"]] == ["change", "sides", "effects", "by_ci", "by_team"]
    assert [len(one.table(name)) for name in ("by_ci", "by_team")] == [1, 1]


TEAMS: dict[str | None, Run] = {"a-team-of-a-long-name": (98_765, 93_000), None: (2, 1)}
SIDE = SideMeasures(
    rate_of([(10, 3), (10, 9)] * 5), rate_of([(9, 3), (9, 5)] * 5), 0, 7, None, None, 9e7, 1, 9e6, 0.5, {"team": TEAMS}
)


def test_a_screen_of_80_columns_shows_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out but the sum of two effects that are shown, and the times of first and last lookups."""
    monkeypatch.setattr("analyzer.questions.compare.COMPARED_DIMENSIONS", ("team",))
    after = replace(SIDE, groups={"team": {**TEAMS, "a-team-of-a-long-name": (12_345, 1_234)}})
    names = ("A: 2026-10-12..2026-10-26", "B: 2026-10-26..2026-11-09")
    found = {table.name: display_table(table, 80) for table in comparison_tables(names, (SIDE, after), None, 5)}
    assert found["change"].cells[0] == ["hit rate change", "0.0 points (-29.7…+29.7)"]
    measures = {row[0]: row[1:] for row in found["sides"].cells}
    assert measures["hit rate"] == ["60.0 % (37.4…82.6)"] * 2
    assert {"lookups", "remote hit rate", "time saved", "time lost"} < measures.keys()
    assert found["sides"].notes == ["not shown: first_at, last_at; the JSON format has all columns"]
    groups = found["by_team"]
    assert groups.titles == ["team", "hit rate", "rate effect", "mix effect"]
    assert groups.cells[0] == ["a-team-of-a-long-name", "94.2 → 10.0 %", "-84.2 points", "0.0 points"]


def test_data_formats_keep_the_bounds_apart(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(10, 5), (10, 6)] * 5) + runs("b", 1, [(10, 5), (10, 6)] * 5))
    (header, row) = cli("compare", path, f"..{at(1)}", f"{at(1)}..", "--format", "csv").out.splitlines()
    assert header.startswith("hit_rate_change,hit_rate_change_low,hit_rate_change_high,remote_hit_rate_change,")
    value, low, high = map(float, row.split(",")[:3])
    assert -low == pytest.approx(high)
    assert high > value == 0


@pytest.mark.parametrize("by", ["task", "package"])
def test_changes_by_task_where_run_summaries_name_tasks(cli: Cli, by: str) -> None:
    """Groups have the names and lookups of `stats --by`."""
    summaries = sorted((RECORDED / "runs").iterdir())[:12]
    middle = "2026-11-23T04:34:00Z"
    log = [RECORDED / "requests.ndjson", *summaries]
    result = asked(cli, *log, f"..{middle}", f"{middle}..", "--limit", 100)
    row = next(row for row in result.table("effects") if row["by"] == by)
    (change,) = result.table("change")
    assert row["rate_effect"] + row["mix_effect"] == pytest.approx(change["hit_rate_change"], abs=1e-12)
    found = {row[by]: (row["lookups_a"], row["lookups_b"]) for row in result.table(f"by_{by}")}
    halves = [
        {row[by]: row["lookups"] for row in cli("stats", *log, "--by", by, *half, "--format", "json").table(f"by_{by}")}
        for half in (["--until", middle], ["--since", middle])
    ]
    assert found == {name: tuple(half.get(name, 0) for half in halves) for name in halves[0].keys() | halves[1].keys()}
    assert {"build", "lint", "test"} <= found.keys() if by == "task" else len(found) > 3


def test_the_last_two_weeks_at_their_edges(cli: Cli, log: Any) -> None:
    """The last event is of day 20: B reaches back seven days, A fourteen; no lookup is in both."""
    tick = timedelta(milliseconds=1) / DAY
    times = {"last": 20, "late": 13 + tick, "edge": 13, "early": 6 + tick, "out": 6, "old": 1}
    path = log([one for name, days in times.items() for one in runs(name, days, [(2, 1)])])
    result = asked(cli, path)
    assert [row["side"] for row in result.table("sides")] == ["A: the 7 days before", "B: the last 7 days"]
    assert sides(result) == [(2, 4, 0.5), (2, 4, 0.5)]
    a, b = result.table("sides")
    assert (a["first_at"], a["last_at"], b["first_at"], b["last_at"]) == (at(6 + tick), at(13), at(13 + tick), at(20))


def test_the_last_two_weeks_of_the_selection(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(4, 1)], slug="web") + runs("b", 7.5, [(4, 3)], slug="web") + runs("c", 40, [(2, 2)]))
    assert sides(asked(cli, path, "--team", "web")) == [(1, 4, 0.25), (1, 4, 0.75)]
    assert sides(asked(cli, path, "--until", at(40))) == [(1, 4, 0.25), (1, 4, 0.75)]


def test_since_narrows_the_last_two_weeks(cli: Cli, log: Any) -> None:
    """What is before --since is on neither side."""
    path = log(runs("a", 0, [(4, 1)]) + runs("b", 1.5, [(4, 2)]) + runs("c", 9, [(4, 3)]))
    assert sides(asked(cli, path, "--since", at(1))) == [(1, 4, 0.5), (1, 4, 0.75)]


def test_periods_include_their_start_and_exclude_their_end(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(1, 1)]) + runs("b", 1, [(2, 1)]) + runs("c", 2, [(4, 1)]))
    assert sides(asked(cli, path, "2026-03-02..2026-03-03", "2026-03-03..2026-03-04")) == [(1, 1, 1), (1, 2, 0.5)]
    assert sides(asked(cli, path, "..2026-03-03", "2026-03-03..")) == [(1, 1, 1), (2, 6, 2 / 6)]
    zoned = ["2026-03-02T01:00+01:00..2026-03-03T01:00+01:00", "2026-03-03T01:00+01:00..2026-03-03T01:00:01+01:00"]
    assert sides(asked(cli, path, *zoned)) == [(1, 1, 1), (1, 2, 0.5)]


def test_a_lookup_belongs_to_the_time_of_its_first_event(cli: Cli, log: Any) -> None:
    rows = [
        event(event="MISS", duration=0, timestamp=at(0)),
        event(source="REMOTE", event="HIT", duration=4, timestamp=at(1)),
        event(sessionId="s2", timestamp=at(1)),
    ]
    assert sides(asked(cli, log(rows), f"..{at(1)}", f"{at(1)}..")) == [(1, 1, 1), (1, 1, 1)]


MIXED = (
    runs("a", 0, [(10, 1)], slug="web", ci="CIRCLE", interactive=True, status=200)
    + runs("b", 0, [(10, 2)], slug="web", ci="GITLAB", interactive=False, status=500)
    + runs("c", 1, [(10, 3)], slug="mobile", ci="CIRCLE", status=200)
    + runs("d", 1, [(10, 4)], teamId="team_9", ci="GITLAB", interactive=True)
)


@pytest.mark.parametrize(
    ("arguments", "rates"),
    [
        (["team=web", "team=mobile"], (0.15, 0.3)),
        (["team=web", "team=team_9"], (0.15, 0.4)),
        (["team=web,team=mobile", "team=team_9"], (0.2, 0.4)),
        (["interactive=yes", "interactive=no"], (0.25, 0.2)),
        (["team=web,ci=CIRCLE", "team=web,ci=GITLAB"], (0.1, 0.2)),
        ([f"ci=CIRCLE,..{at(1)}", f"ci=CIRCLE,{at(1)}.."], (0.1, 0.3)),
        (["session=a-0", "session=d-0,session=c-0"], (0.1, 0.35)),
        (["hash=h0", "hash=h3"], (1, 0.25)),
        (["status=ok", "status=failed"], (0.2, 0.2)),
        (["team=web", "team=mobile", "--ci", "CIRCLE"], (0.1, 0.3)),
        (["ci=CIRCLE", "ci=GITLAB", "--since", at(1)], (0.3, 0.4)),
    ],
)
def test_filters_as_sides(cli: Cli, log: Any, arguments: list[str], rates: tuple[float, float]) -> None:
    result = asked(cli, log(MIXED), *arguments)
    assert [row["hit_rate"] for row in result.table("sides")] == pytest.approx(list(rates))
    assert [row["side"] for row in result.table("sides")] == [f"A: {arguments[0]}", f"B: {arguments[1]}"]
    assert result.table("change")[0]["hit_rate_change"] == pytest.approx(rates[1] - rates[0])


def test_no_change_point_where_sides_differ_by_filters(cli: Cli, log: Any) -> None:
    draw = random.Random(8)  # noqa: S311  (no secret)
    events = []
    for day in range(14):
        events += runs(f"d{day}", day, drawn(draw, 12, 0.9 if day < 9 else 0.4), slug="web" if day % 2 else "data")
    assert asked(cli, log(events), "team=web", "team=data").table("change")[0]["change_began"] is None


def test_two_logs_are_the_sides(cli: Cli, log: Any, tmp_path: Path) -> None:
    """As two archives they give the same; the same session in both is a session of each."""
    a, b = log(runs("s", 0, [(10, 3)] * 6), "a.ndjson"), log(runs("s", 0, [(10, 3)] * 3 + [(20, 16)] * 4), "b.ndjson")
    direct = asked(cli, a, b)
    assert sides(direct) == [(6, 60, 0.3), (7, 110, 73 / 110)]
    assert direct.table("sides")[0]["side"] == f"A: {a}"
    assert direct.json["input"] == {"read": 170, "kept": 170, "rejected": 0, "filtered": 0, "duplicate": 0, "files": 2}
    stored = []
    for path in (a, b):
        stored.append(tmp_path / f"{path.stem}.duckdb")
        assert cli("load", path, "--into", stored[-1]).code == 0
    assert sides(asked(cli, *stored)) == sides(direct)
    tables = [
        json.loads(json.dumps(one.json["tables"])) for one in (direct, asked(cli, *stored), asked(cli, a, stored[1]))
    ]
    for other in tables[1:]:
        assert [table["rows"] for table in other if table["name"] != "sides"] == [
            table["rows"] for table in tables[0] if table["name"] != "sides"
        ]


def test_two_logs_and_two_filters_are_one_source(cli: Cli, log: Any) -> None:
    a, b = log(MIXED[:20], "a.ndjson"), log(MIXED[20:], "b.ndjson")
    assert sides(asked(cli, a, b, "ci=CIRCLE", "ci=GITLAB")) == sides(asked(cli, log(MIXED), "ci=CIRCLE", "ci=GITLAB"))


def test_notes_on_both_logs_are_reported(cli: Cli, log: Any) -> None:
    plain, untimed = (
        log(runs("s", 0, [(10, 3)]), "a.ndjson"),
        log([event(), event(timestamp=at(0), hash="h2")], "b.ndjson"),
    )
    for order in ([untimed, plain], [plain, untimed]):
        result = asked(cli, *order, "--since", at(-1))
        assert "1 events without a time" in result.err, order[0].name


def test_a_log_that_is_missing(cli: Cli, log: Any, tmp_path: Path) -> None:
    result = cli("compare", log(MIXED), tmp_path / "none.ndjson")
    assert (result.code, result.out) == (3, "")
    assert "none.ndjson: no such file" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["team=web"], ["team=web", "two sides"]),
        (["team=web", "team=mobile", "team=data"], ["team=data", "two sides"]),
        (["2026-03-02..2026-13-45", "2026-03-02.."], ["2026-13-45", "2026-08-31"]),
        (["2026-03-02..soon", "2026-03-02.."], ["soon", "2026-08-31"]),
        (["interactive=maybe", "interactive=no"], ["interactive=maybe", "yes or no"]),
        (["status=fine", "status=ok"], ["status=fine", "ok"]),
        (["team=web", "tem=mobile"], ["tem=mobile"]),
        (["tem=web", "tem=mobile"], ["tem=web"]),
        (["branch=main", "branch=dev"], ["branch=main"]),
        (["team=web", "team="], ["team="]),
        (["team=web", "2026-03-02"], ["2026-03-02"]),
        (["team=web", "team=mobile", "--source", "LOCAL"], ["--source"]),
        (["team=web", "team=mobile", "--limit", "0"], ["--limit"]),
    ],
)  # fmt: skip
def test_wrong_usage(cli: Cli, log: Any, arguments: list[str], words: list[str]) -> None:
    result = cli("compare", log(MIXED), *arguments)
    assert (result.code, result.out) == (2, "")
    assert all(word in result.err for word in words), result.err


def test_a_side_without_lookups(cli: Cli, log: Any) -> None:
    result = asked(cli, log(MIXED), "team=nobody", "team=web")
    assert "A: team=nobody has no lookups" in result.err
    assert sides(result) == [(0, 0, None), (2, 20, 0.15)]
    (change,) = result.table("change")
    rates = [value for name, value in change.items() if "rate" in name]
    assert rates == [None] * 6
    assert (change["change"], change["change_began"]) == ("not enough sessions to tell", None)
    assert [table["name"] for table in result.json["tables"]] == ["change", "sides", "effects"]
    assert result.table("effects") == []
    table = cli("compare", log(MIXED), "team=nobody", "team=web")
    assert (table.code, "nan" in table.out, "0.0 points" in table.out) == (0, False, False)


def test_a_log_without_times(cli: Cli, log: Any) -> None:
    """There are no last seven days; a note says why."""
    path = log([event(sessionId=f"s{n}", hash=f"h{n % 3}") for n in range(9)])
    result = asked(cli, path)
    assert sides(result) == [(0, 0, None), (0, 0, None)]
    assert "without a time" in result.err
    assert sides(asked(cli, path, "hash=h0", "hash=h1")) == [(3, 3, 1), (3, 3, 1)]


@pytest.mark.parametrize(
    "arguments", [[], ["team=web", "team=mobile"], ["--team", "web"], ["ci=CIRCLE", "ci=GITLAB", "--since", at(1)]]
)
def test_the_accounting_adds_up(cli: Cli, log: Any, arguments: list[str]) -> None:
    text = log(MIXED)
    text.write_text(text.read_text() + "broken\n")
    counts = asked(cli, text, *arguments).json["input"]
    assert counts["read"] == 41
    assert counts["rejected"] == 1
    assert counts["read"] == counts["kept"] + counts["rejected"] + counts["filtered"] + counts["duplicate"]
    expected = {(): 40, ("--team", "web"): 20}.get(tuple(arguments), 20 if "--since" in arguments else 30)
    assert counts["kept"] == expected, "what is on neither side is filtered"


def test_a_comparison_counts_its_own_sides_alone(log: Any) -> None:
    """Not those of one before it; and a log that stands on both sides is read once."""
    days = [one for day in range(14) for one in runs(f"d{day}", day, [(5, 3)], slug="web")]
    with analyzer.load(log(days, "a")) as first, analyzer.load(log(runs("e", 0, [(7, 7)]), "b")) as other:
        first.compare(f"..{at(7)}", f"{at(7)}..")
        first.compare(b=other, since=at(10))
        assert (first.accounting.kept, first.accounting.filtered) == (4 * 5, 10 * 5 + 7)
        first.compare("team=web", "team=web", until=at(1))
        assert (first.accounting.kept, first.accounting.filtered) == (5, 13 * 5)
        first.compare(b=first, until=at(2))
        assert (first.accounting.read, first.accounting.kept, first.accounting.filtered) == (70, 10, 60)


def test_cautions_are_in_each_answer(cli: Cli, log: Any) -> None:
    """Side A has 4 days and a remote cache, side B a day on which most misses never asked it."""
    path = log(
        [one for day in range(4) for one in runs(f"a{day}", day, [(10, 5)], source="REMOTE")]
        + runs("b", 4, [(10, 5)], source="LOCAL")
    )
    sides = (f"..{at(4)}", f"{at(4)}..")
    result = asked(cli, path, *sides)
    days = "compare with care: the number of days with lookups is 4 in A"
    local_only = "5 of 5 misses never asked the remote cache"
    assert [days in one or local_only in one for one in result.json["cautions"]] == [True, True]
    assert all(one in result.err for one in result.json["cautions"])
    rows = {row["side"][0]: (row["days"], row["local_only_misses"]) for row in result.table("sides")}
    assert rows == {"A": (4, 0), "B": (1, 5)}
    with analyzer.load(path) as opened:
        opened.compare(*sides)
        assert set(result.json["cautions"]) <= set(opened.notes)


def test_sides_without_a_common_group_have_no_rate_effect(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(10, 5)], slug="web") + runs("b", 1, [(10, 9)], slug="data"))
    (team,) = asked(cli, path, f"..{at(1)}", f"{at(1)}..").table("effects")
    assert (team["by"], team["rate_effect"], team["mix_effect"]) == ("team", None, pytest.approx(0.4))


def test_times_that_are_unknown_on_a_side_have_no_change(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(4, 2)]) + [one | {"duration": 0} for one in runs("b", 1, [(4, 2)])])
    result = asked(cli, path, f"..{at(1)}", f"{at(1)}..", "--cost-per-minute", "1")
    a, b = result.table("sides")
    assert (a["duration_coverage"], b["duration_coverage"], b["time_saved_ms"], b["time_saved_cost"]) == (
        1,
        0,
        None,
        None,
    )
    change = result.table("change")[0]
    assert (change["time_saved_change_ms"], change["time_saved_change_cost"]) == (None, None)


def test_an_outage_is_named(cli: Cli, sample_archive: Path) -> None:
    """The sample data has one, from 2026-10-06 to 2026-10-07; it is found whatever the period of the answer."""
    note = "an outage of the remote cache: from 2026-10-06 10:11 to 2026-10-07 15:20 UTC, 1,541 local misses"
    during = cli("compare", sample_archive, "2026-10-06..2026-10-07", "2026-10-07..2026-10-08")
    assert during.err.count(note) == 1
    assert note not in cli("compare", sample_archive, "2026-10-10..2026-10-12", "2026-10-12..2026-10-14").err
    options = ["--min-remote-hit-rate", "0.1", "--since", "2026-10-07"]
    assert note in cli("check", sample_archive, *options).err
    missed = cli("misses", sample_archive, "--since", "2026-10-06", "--until", "2026-10-08")
    assert note in missed.err
    assert "1,541 of the misses never asked the remote cache." in missed.out
    assert note not in cli("misses", sample_archive, "--since", "2026-10-10").err
    page = cli("report", sample_archive, "--format", "json", "--since", "2026-10-06", "--until", "2026-10-08")
    assert note in page.err
