"""Hit rates, their confidence intervals and their changes, each against an independent computation."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import Cli
from sessions_of_hits import Run, asked, at, drawn, rate_of, runs

from analyzer.questions.rates import rate_change

T_975 = {4: 2.7764, 5: 2.5706, 8: 2.3060, 16: 2.1199, 30: 2.0423, 120: 1.9799}
"""The 97.5 % quantiles of Student's t as tables have them."""


def own_error(sizes: Sequence[Run]) -> float:
    """The linearised ratio estimator, from the residuals themselves."""
    lookups, hits = (sum(column) for column in zip(*sizes, strict=True))
    residuals = [h - hits / lookups * n for n, h in sizes]
    count = len(sizes)
    return math.sqrt(count * sum(one * one for one in residuals) / (count - 1)) / lookups


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


def test_the_interval_ends_at_0_and_1(cli: Cli, log: Any) -> None:
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
        estimate = rate_of(drawn(draw, 50, 0.6)).estimate
        covered += estimate.low <= 0.6 <= estimate.high  # type: ignore[operator]
    assert 364 <= covered <= 396


def test_too_few_sessions_have_no_interval(cli: Cli, log: Any) -> None:
    path = log(runs("a", 0, [(10, 5), (10, 6), (10, 7), (10, 8)]) + runs("b", 1, [(10, 1), (10, 2)] * 9))
    result = asked(cli, path, f"..{at(1)}", f"{at(1)}..")
    a, b = result.table("sides")
    assert (a["hit_rate"], a["hit_rate_low"], a["hit_rate_high"]) == (26 / 40, None, None)
    assert b["hit_rate_low"] is not None
    (change,) = result.table("change")
    assert change["hit_rate_change"] == pytest.approx(0.15 - 0.65)
    assert (change["hit_rate_change_low"], change["hit_rate_change_high"]) == (None, None)
    assert change["change"] == "not enough sessions to tell"


def test_a_rate_of_five_lookups_is_not_certain(cli: Cli, log: Any) -> None:
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
    (change,) = asked(cli, path, f"..{at(1)}", f"{at(1)}..").table("change")
    value, reach = 59 / 110 - 51 / 110, T_975[16] * math.sqrt(2) * own_error(before)
    assert change["hit_rate_change"] == pytest.approx(value)
    assert change["hit_rate_change_low"] == pytest.approx(value - reach, rel=0.01)
    assert change["hit_rate_change_high"] == pytest.approx(value + reach, rel=0.01)
    assert change["change"] == ("rose" if reach < value else "no significant change")


def test_a_change_is_no_more_certain_than_its_smaller_side() -> None:
    """Of many sessions the rate is known exactly: what is not known of the change is what is not known of five."""
    before, after = rate_of([(10, 3), (10, 5), (10, 6), (10, 4), (10, 7)]), rate_of([(10, 6)] * 400)
    found, own = rate_change(before, after), before.estimate
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(own.high - own.low, rel=0.01)  # type: ignore[operator]


def test_intervals_of_changes_cover_zero_where_nothing_changed() -> None:
    """Five sessions against 300 that are alike: bounds of 95 % miss the truth about once in twenty."""
    draw = random.Random(7)  # noqa: S311  (no secret)
    covered = 0
    for _ in range(300):
        before, after = (rate_of(drawn(draw, count, 0.5, (10, 15), 50)) for count in (5, 150))
        found = rate_change(before, after)
        covered += found.low <= 0 <= found.high  # type: ignore[operator]
    assert covered >= 276
