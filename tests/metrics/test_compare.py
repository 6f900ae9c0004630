"""`compare`: intervals, effects and the day a change began, each by a computation of its own; sides, and edges."""

import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli, Result, event
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.metrics.compare import compare
from analyzer.metrics.effects import effects
from analyzer.metrics.onset import onset
from analyzer.metrics.rate import Rate, change
from analyzer.metrics.side import Side
from analyzer.render.shown import shown, title

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
T_975 = {4: 2.7764, 5: 2.5706, 8: 2.3060, 16: 2.1199, 30: 2.0423, 120: 1.9799}
"""The 97.5 % quantiles of Student's t as tables have them."""

Run = tuple[int, int]
"""Lookups and hits of a session."""


def at(days: float) -> str:
    return (START + days * DAY).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def runs(name: str, days: float, sizes: Sequence[Run], **more: Any) -> list[dict[str, Any]]:
    """Sessions of so many lookups and hits, all at one time; every HIT saved 10 ms."""
    return [
        event(
            sessionId=f"{name}-{number}", hash=f"h{n}", event="HIT" if n < hits else "MISS",
            duration=10 if n < hits else 0, timestamp=at(days), **more,
        )
        for number, (lookups, hits) in enumerate(sizes)
        for n in range(lookups)
    ]  # fmt: skip


def asked(cli: Cli, *arguments: object) -> Result:
    result = cli("compare", *arguments, "--format", "json")
    assert result.code == 0, result.err
    return result


def sides(result: Result) -> list[tuple[int, int, float | None]]:
    return [(row["sessions"], row["lookups"], row["hit_rate"]) for row in result.table("sides")]


def own_error(sizes: Sequence[Run]) -> float:
    """The linearised ratio estimator, from the residuals themselves."""
    lookups, hits = (sum(column) for column in zip(*sizes, strict=True))
    residuals = [h - hits / lookups * n for n, h in sizes]
    count = len(sizes)
    return math.sqrt(count * sum(one * one for one in residuals) / (count - 1)) / lookups


def rate_of(sizes: Iterable[Run]) -> Rate:
    """What the sums over sessions make of them."""
    sizes = list(sizes)
    products = (sum(n * n for n, _ in sizes), sum(n * h for n, h in sizes), sum(h * h for _, h in sizes))
    return Rate(len(sizes), sum(n for n, _ in sizes), sum(h for _, h in sizes), *map(float, products))


def drawn(draw: random.Random, count: int, rate: float, size: tuple[int, int] = (5, 40), tight: float = 4) -> list[Run]:
    """Sessions that differ in size, and in their own rates."""
    found = []
    for _ in range(count):
        own = draw.betavariate(rate * tight, (1 - rate) * tight)
        lookups = draw.randint(*size)
        found.append((lookups, sum(draw.random() < own for _ in range(lookups))))
    return found


# --- the interval ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 9, 31])
def test_the_interval_is_that_of_the_linearised_ratio(cli: Cli, log: Any, count: int) -> None:
    draw = random.Random(count)  # noqa: S311  (no secret)
    before, after = drawn(draw, count, 0.5), drawn(draw, count, 0.5)
    path = log(runs("a", 0, before) + runs("b", 1, after))
    for row, sizes in zip(asked(cli, path, f"..{at(1)}", f"{at(1)}..").table("sides"), (before, after), strict=True):
        lookups, hits = (sum(column) for column in zip(*sizes, strict=True))
        reach = T_975[count - 1] * own_error(sizes)
        assert row["hit_rate"] == hits / lookups
        assert 0 < row["hit_rate_low"] < row["hit_rate_high"] < 1
        assert row["hit_rate"] - row["hit_rate_low"] == pytest.approx(reach, rel=0.005)
        assert row["hit_rate_high"] - row["hit_rate"] == pytest.approx(reach, rel=0.005)


def test_the_interval_ends_at_none_and_all(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(9, 9)] * 4 + [(9, 0)]) + runs("b", 1, [(9, 0)] * 4 + [(9, 9)]))
    a, b = asked(cli, path, f"..{at(1)}", f"{at(1)}..").table("sides")
    assert (a["hit_rate_high"], b["hit_rate_low"]) == (1, 0)
    assert a["hit_rate_low"] < 0.8
    assert b["hit_rate_high"] > 0.2


def test_the_interval_agrees_with_a_bootstrap(cli: Cli, log: Any) -> None:
    """Sessions are drawn anew a thousand times: nineteen of twenty pooled rates lie within the bounds."""
    draw = random.Random(5)  # noqa: S311  (no secret)
    sizes = drawn(draw, 60, 0.7)
    row = asked(cli, log(runs("a", 0, sizes) + runs("b", 1, [(1, 1)])), f"..{at(1)}", f"{at(1)}..").table("sides")[0]
    rates = []
    for _ in range(1000):
        lookups, hits = (sum(column) for column in zip(*draw.choices(sizes, k=len(sizes)), strict=True))
        rates.append(hits / lookups)
    within = sum(row["hit_rate_low"] <= rate <= row["hit_rate_high"] for rate in rates)
    assert 925 <= within <= 975
    naive = math.sqrt(row["hit_rate"] * (1 - row["hit_rate"]) / row["lookups"])
    assert (row["hit_rate_high"] - row["hit_rate_low"]) / 2 > 1.5 * 1.96 * naive, "lookups are not drawn singly"


def test_the_interval_covers_the_true_rate() -> None:
    draw = random.Random(6)  # noqa: S311  (no secret)
    covered = 0
    for _ in range(400):
        low, high = rate_of(drawn(draw, 50, 0.6)).interval
        covered += low <= 0.6 <= high  # type: ignore[operator]
    assert 364 <= covered <= 396


def test_too_few_sessions_have_no_interval(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(10, 5), (10, 6), (10, 7), (10, 8)]) + runs("b", 1, [(10, 1), (10, 2)] * 9))
    result = asked(cli, path, f"..{at(1)}", f"{at(1)}..")
    a, b = result.table("sides")
    assert (a["hit_rate"], a["hit_rate_low"], a["hit_rate_high"]) == (26 / 40, None, None)
    assert b["hit_rate_low"] is not None
    (told,) = result.table("change")
    assert told["hit_rate_change"] == pytest.approx(0.15 - 0.65)
    assert (told["hit_rate_change_low"], told["hit_rate_change_high"]) == (None, None)
    assert told["change"] == "not enough sessions to tell"


def test_five_lookups_do_not_make_a_rate_certain(cli: Cli, log: Any) -> None:
    """Five of five: with 95 % confidence the rate is above 48 % (exact binomial bounds), but hardly 100 %."""
    path = log(runs("a", 0, [(1, 1)] * 5) + runs("b", 1, [(1, 0)] * 5))
    a, b = asked(cli, path, f"..{at(1)}", f"{at(1)}..").table("sides")
    assert a["hit_rate_low"] is None or a["hit_rate_low"] < 0.95
    assert b["hit_rate_high"] is None or b["hit_rate_high"] > 0.05


def test_the_change_by_hand(cli: Cli, log: Any) -> None:
    """Both sides differ as much, the other way round: 16 degrees of freedom, by any formula."""
    before = [(10, 3), (10, 5), (10, 4), (20, 9), (10, 6), (10, 3), (10, 5), (20, 12), (10, 4)]
    after = [(n, n - h) for n, h in before]
    path = log(runs("a", 0, before) + runs("b", 1, after))
    (told,) = asked(cli, path, f"..{at(1)}", f"{at(1)}..").table("change")
    value, reach = 59 / 110 - 51 / 110, T_975[16] * math.sqrt(2) * own_error(before)
    assert told["hit_rate_change"] == pytest.approx(value)
    assert told["hit_rate_change_low"] == pytest.approx(value - reach, rel=0.01)
    assert told["hit_rate_change_high"] == pytest.approx(value + reach, rel=0.01)
    assert told["change"] == ("rose" if reach < value else "none to be told from chance")


def test_a_change_is_no_surer_than_its_smaller_side() -> None:
    """Of many sessions the rate is known exactly: what is not known of the change is what is not known of five."""
    before, after = rate_of([(10, 3), (10, 5), (10, 6), (10, 4), (10, 7)]), rate_of([(10, 6)] * 400)
    found = change(before, after)
    low, high = before.interval
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(high - low, rel=0.01)  # type: ignore[operator]


def test_changes_cover_none_where_there_is_none() -> None:
    """Five sessions against 300 that are alike: bounds of 95 % miss the truth about once in twenty."""
    draw = random.Random(7)  # noqa: S311  (no secret)
    covered = 0
    for _ in range(300):
        before, after = (rate_of(drawn(draw, count, 0.5, (10, 15), 50)) for count in (5, 150))
        found = change(before, after)
        covered += found.low <= 0 <= found.high  # type: ignore[operator]
    assert covered >= 276


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([(10, 9), (10, 8)] * 5, [(10, 2), (10, 3)] * 5, "fell"),
        ([(10, 2), (10, 3)] * 5, [(10, 9), (10, 8)] * 5, "rose"),
        ([(10, 2), (10, 8)] * 5, [(10, 3), (10, 8)] * 5, "none to be told from chance"),
    ],
)
def test_the_verdict(cli: Cli, log: Any, before: list[Run], after: list[Run], words: str) -> None:
    path = log(runs("a", 0, before) + runs("b", 1, after))
    (told,) = asked(cli, path, f"..{at(1)}", f"{at(1)}..").table("change")
    assert told["change"] == words
    assert (told["hit_rate_change_low"] <= 0 <= told["hit_rate_change_high"]) == (words.startswith("none"))


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
    (told,) = result.table("change")
    assert (told["remote_hit_rate_change"], told["time_saved_change_ms"], told["time_lost_change_ms"]) == (
        -0.5,
        -95,
        65,
    )


# --- effects ---------------------------------------------------------------------------------------------------------


def test_effects_by_hand() -> None:
    """A: 60 of x at 50 %, 40 of y at 100 %: 70 %. B: 20 of x at 75 %, 80 of y at 75 %: 75 %. The mean is 72.5 %."""
    x, y = sorted(
        effects({"x": (60, 30), "y": (40, 40)}, {"x": (20, 15), "y": (80, 60)}), key=lambda one: one.group or ""
    )
    assert (x.rate_effect, x.mix_effect) == pytest.approx((0.4 * 0.25, -0.4 * (0.625 - 0.725)))
    assert (y.rate_effect, y.mix_effect) == pytest.approx((0.6 * -0.25, 0.4 * (0.875 - 0.725)))
    assert x.total + y.total == pytest.approx(0.05)


def test_only_rates_changed_or_only_the_mix() -> None:
    rates = effects({"x": (50, 10), "y": (50, 40)}, {"x": (500, 200), "y": (500, 300)})
    assert [one.mix_effect for one in rates] == pytest.approx([0, 0])
    mix = effects({"x": (90, 9), "y": (10, 9)}, {"x": (10, 1), "y": (90, 81)})
    assert [one.rate_effect for one in mix] == pytest.approx([0, 0])
    assert sum(one.mix_effect for one in mix) == pytest.approx(0.82 - 0.18)


def test_a_group_of_one_side_only_is_all_mix() -> None:
    found = {one.group: one for one in effects({"old": (10, 4), "both": (10, 8)}, {"new": (10, 1), "both": (10, 8)})}
    assert (found["old"].rate_effect, found["new"].rate_effect, found["both"].rate_effect) == (0, 0, 0)
    assert (found["old"].rate_after, found["new"].rate_before) == (None, None)
    assert found["old"].mix_effect == pytest.approx(-0.5 * (0.4 - (0.6 + 0.45) / 2))
    assert found["new"].mix_effect == pytest.approx(0.5 * (0.1 - (0.6 + 0.45) / 2))
    assert sum(one.total for one in found.values()) == pytest.approx(0.45 - 0.6)


@pytest.mark.parametrize(
    ("before", "after"), [({}, {"x": (1, 1)}), ({"x": (1, 1)}, {}), ({}, {}), ({"x": (0, 0)}, {"x": (2, 1)})]
)
def test_no_effects_where_a_side_is_empty(before: Any, after: Any) -> None:
    assert effects(before, after) == []


GROUPS = st.dictionaries(
    st.sampled_from([None, "a", "b", "c", "d", "e"]),
    st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    min_size=1,
)


@settings(max_examples=80, deadline=None)
@given(before=GROUPS, after=GROUPS)
def test_the_effects_add_up_to_the_change(before: Any, after: Any) -> None:
    found = effects(before, after)
    rates = [sum(h for _, h in side.values()) / sum(n for n, _ in side.values()) for side in (before, after)]
    assert math.fsum(one.rate_effect + one.mix_effect for one in found) == pytest.approx(rates[1] - rates[0], abs=1e-12)
    assert {one.group for one in found} == before.keys() | after.keys()
    for one in found:
        shares = [side.get(one.group, (0, 0))[0] / sum(n for n, _ in side.values()) for side in (before, after)]
        pairs = [side.get(one.group, (0, 0)) for side in (before, after)]
        own = [hits / lookups if lookups else None for lookups, hits in pairs]
        old, new = (rate if rate is not None else own[1 - place] for place, rate in enumerate(own))
        assert one.rate_effect == pytest.approx((new - old) * sum(shares) / 2, abs=1e-12)  # type: ignore[operator]
        assert [one.total for one in found] == sorted((x.total for x in found), key=abs, reverse=True)


@settings(max_examples=30, deadline=None)
@given(before=GROUPS, after=GROUPS)
def test_the_effects_turn_round_with_the_sides(before: Any, after: Any) -> None:
    there = {one.group: one for one in effects(before, after)}
    for back in effects(after, before):
        assert (back.rate_effect, back.mix_effect) == pytest.approx(
            (-there[back.group].rate_effect, -there[back.group].mix_effect), abs=1e-12
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
SIDE = Side(rate_of([(10, 3), (10, 9)] * 5), rate_of([(9, 3), (9, 5)] * 5), None, None, 9e7, 9e6, {"team": TEAMS})


def test_a_screen_of_80_columns_shows_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out but the sum of two effects that are shown, and the times of first and last lookups."""
    monkeypatch.setattr("analyzer.metrics.compare.COMPARED", ("team",))
    after = replace(SIDE, groups={"team": {**TEAMS, "a-team-of-a-long-name": (12_345, 1_234)}})
    names = ("A: 2026-10-12..2026-10-26", "B: 2026-10-26..2026-11-09")
    found = {table.name: shown(table, 80) for table in compare(names, (SIDE, after), None, 5)}
    assert found["change"].cells[0] == ["hit rate change", "0.0 points (-29.7…+29.7)"]
    measures = {row[0]: row[1:] for row in found["sides"].cells}
    assert measures["hit rate"] == ["60.0 % (37.4…82.6)"] * 2
    assert {"lookups", "remote hit rate", "time saved", "time lost"} < measures.keys()
    assert found["sides"].notes == ["not shown: first_at, last_at; --format json has all"]
    groups = found["by_team"]
    assert [title(column) for column in groups.columns] == ["team", "hit rate", "rate effect", "mix effect", "lookups"]
    assert groups.cells[0] == [
        "a-team-of-a-long-name", "94.2 → 10.0 %", "-84.2 points", "0.0 points", "98,765 → 12,345",
    ]  # fmt: skip


def test_data_formats_keep_the_bounds_apart(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(10, 5), (10, 6)] * 5) + runs("b", 1, [(10, 5), (10, 6)] * 5))
    (header, row) = cli("compare", path, f"..{at(1)}", f"{at(1)}..", "--format", "csv").out.splitlines()
    assert header.startswith("hit_rate_change,hit_rate_change_low,hit_rate_change_high,remote_hit_rate_change,")
    value, low, high = map(float, row.split(",")[:3])
    assert -low == pytest.approx(high)
    assert high > value == 0


@pytest.mark.parametrize("by", ["task", "package"])
def test_tasks_are_told_where_summaries_name_them(cli: Cli, by: str) -> None:
    """They are called what `stats --by` calls them, and hold the same lookups."""
    summaries = sorted((RECORDED / "runs").iterdir())[:12]
    middle = "2026-11-23T04:34:00Z"
    log = [RECORDED / "requests.ndjson", *summaries]
    result = asked(cli, *log, f"..{middle}", f"{middle}..", "--limit", 100)
    row = next(row for row in result.table("effects") if row["by"] == by)
    (told,) = result.table("change")
    assert row["rate_effect"] + row["mix_effect"] == pytest.approx(told["hit_rate_change"], abs=1e-12)
    found = {row[by]: (row["lookups_a"], row["lookups_b"]) for row in result.table(f"by_{by}")}
    halves = [
        {row[by]: row["lookups"] for row in cli("stats", *log, "--by", by, *half, "--format", "json").table(f"by_{by}")}
        for half in (["--until", middle], ["--since", middle])
    ]
    assert found == {name: tuple(half.get(name, 0) for half in halves) for name in halves[0].keys() | halves[1].keys()}
    assert {"build", "lint", "test"} <= found.keys() if by == "task" else len(found) > 3


# --- the day a change began ------------------------------------------------------------------------------------------


def a_day(number: int, sizes: Iterable[Run]) -> tuple[date, Rate]:
    return date(2026, 3, 2) + number * DAY, rate_of(sizes)


@pytest.mark.parametrize("place", [3, 7, 10])
@pytest.mark.parametrize(("before", "after"), [(0.9, 0.5), (0.3, 0.8)])
def test_a_step_is_found_on_its_day(place: int, before: float, after: float) -> None:
    draw = random.Random(place)  # noqa: S311  (no secret)
    days = [a_day(n, drawn(draw, 20, before if n < place else after, tight=30)) for n in range(14)]
    assert onset(days) == date(2026, 3, 2) + place * DAY


@pytest.mark.parametrize(
    ("good", "bad", "place"), [((10, 10), (10, 0), 7), ((10, 10), (10, 5), 3), ((8, 6), (8, 2), 10)]
)
def test_a_step_without_noise_is_found_on_its_day(good: Run, bad: Run, place: int) -> None:
    """All sessions of a side are alike: no clearer step there is."""
    days = [a_day(n, [good if n < place else bad] * 6) for n in range(14)]
    assert onset(days) == date(2026, 3, 2) + place * DAY


def test_a_step_of_a_log(cli: Cli, log: Any) -> None:
    draw = random.Random(8)  # noqa: S311  (no secret)
    events = []
    for day in range(14):
        events += runs(f"d{day}", day + 0.4, drawn(draw, 12, 0.9 if day < 9 else 0.5, tight=30))
    path = log(events)
    for arguments in ([], [f"..{at(8)}", f"{at(8)}.."], [f"{at(0)}..{at(7)}", f"{at(7)}..{at(14)}"]):
        (told,) = asked(cli, path, *arguments).table("change")
        assert (told["change"], told["change_began"]) == ("fell", "2026-03-11"), arguments
    late = asked(cli, path, f"{at(9)}..{at(11)}", f"{at(11)}..").table("change")
    assert late[0]["change_began"] is None, "the step is outside of both periods"


def test_the_same_every_day_has_no_onset() -> None:
    assert onset([a_day(n, [(10, 7), (10, 9), (20, 16)] * 3) for n in range(20)]) is None


@pytest.mark.parametrize("days", [[], [a_day(0, [(10, 2)] * 6)]])
def test_no_day_and_one_day_have_no_onset(days: Any) -> None:
    assert onset(days) is None


def test_a_short_day_without_a_miss_is_no_onset() -> None:
    """15 hits of 15 lookups are nothing special (1 in 5) where nine of ten hit."""
    days = [a_day(0, [(3, 3)] * 5), *(a_day(n, [(10, 10), (10, 8)] * 3) for n in range(1, 14))]
    assert onset(days) is None


@pytest.mark.parametrize(("size", "tight"), [((3, 10), 1000), ((5, 50), 3)])
def test_noise_has_no_onset(size: tuple[int, int], tight: float) -> None:
    """Of a hundred logs of two weeks that never changed, few are said to."""
    draw = random.Random(9)  # noqa: S311  (no secret)
    found = [onset([a_day(n, drawn(draw, 6, 0.9, size, tight)) for n in range(14)]) for _ in range(100)]
    assert sum(day is not None for day in found) <= 10


# --- sides -----------------------------------------------------------------------------------------------------------


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


def test_the_last_two_weeks_of_what_is_selected(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(4, 1)], slug="web") + runs("b", 7.5, [(4, 3)], slug="web") + runs("c", 40, [(2, 2)]))
    assert sides(asked(cli, path, "--team", "web")) == [(1, 4, 0.25), (1, 4, 0.75)]
    assert sides(asked(cli, path, "--until", at(40))) == [(1, 4, 0.25), (1, 4, 0.75)]


def test_since_holds_for_the_last_two_weeks(cli: Cli, log: Any) -> None:
    """What is before --since is on neither side."""
    path = log(runs("a", 0, [(4, 1)]) + runs("b", 1.5, [(4, 2)]) + runs("c", 9, [(4, 3)]))
    assert sides(asked(cli, path, "--since", at(1))) == [(1, 4, 0.5), (1, 4, 0.75)]


def test_periods_hold_their_start_and_not_their_end(cli: Cli, log: Any) -> None:
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


def test_no_day_is_told_where_filters_tell_the_sides_apart(cli: Cli, log: Any) -> None:
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


def test_what_is_said_of_the_second_log_is_not_lost(cli: Cli, log: Any) -> None:
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


def test_a_side_with_nothing_on_it(cli: Cli, log: Any) -> None:
    result = asked(cli, log(MIXED), "team=nobody", "team=web")
    assert "A: team=nobody has no lookups" in result.err
    assert sides(result) == [(0, 0, None), (2, 20, 0.15)]
    (told,) = result.table("change")
    rates = [value for name, value in told.items() if "rate" in name]
    assert rates == [None] * 6
    assert (told["change"], told["change_began"]) == ("not enough sessions to tell", None)
    assert [table["name"] for table in result.json["tables"]] == ["change", "sides", "effects"]
    assert result.table("effects") == []
    table = cli("compare", log(MIXED), "team=nobody", "team=web")
    assert (table.code, "nan" in table.out, "0.0 points" in table.out) == (0, False, False)


def test_a_log_without_times(cli: Cli, log: Any) -> None:
    """There are no last seven days; that is said, and why."""
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
