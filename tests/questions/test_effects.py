"""The decomposition of a hit rate change into rate and mix effects: by hand, and that effects add up."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.questions.rates import group_effects


def test_effects_by_hand() -> None:
    """A: 60 of x at 50 %, 40 of y at 100 %: 70 %. B: 20 of x at 75 %, 80 of y at 75 %: 75 %. The mean is 72.5 %."""
    x, y = sorted(
        group_effects({"x": (60, 30), "y": (40, 40)}, {"x": (20, 15), "y": (80, 60)}),
        key=lambda one: one["group"] or "",
    )
    assert (x["rate_effect"], x["mix_effect"]) == pytest.approx((0.4 * 0.25, -0.4 * (0.625 - 0.725)))
    assert (y["rate_effect"], y["mix_effect"]) == pytest.approx((0.6 * -0.25, 0.4 * (0.875 - 0.725)))
    assert x["effect"] + y["effect"] == pytest.approx(0.05)


def test_only_rates_changed_or_only_the_mix() -> None:
    rates = group_effects({"x": (50, 10), "y": (50, 40)}, {"x": (500, 200), "y": (500, 300)})
    assert [one["mix_effect"] for one in rates] == pytest.approx([0, 0])
    mix = group_effects({"x": (90, 9), "y": (10, 9)}, {"x": (10, 1), "y": (90, 81)})
    assert [one["rate_effect"] for one in mix] == pytest.approx([0, 0])
    assert sum(one["mix_effect"] for one in mix) == pytest.approx(0.82 - 0.18)


def test_a_group_on_one_side_only_has_no_rate_effect() -> None:
    found = {
        one["group"]: one for one in group_effects({"old": (10, 4), "both": (10, 8)}, {"new": (10, 1), "both": (10, 8)})
    }
    assert (found["old"]["rate_effect"], found["new"]["rate_effect"], found["both"]["rate_effect"]) == (None, None, 0)
    assert (found["old"]["hit_rate_b"], found["new"]["hit_rate_a"]) == (None, None)
    assert found["old"]["mix_effect"] == pytest.approx(-0.5 * (0.4 - (0.6 + 0.45) / 2))
    assert found["new"]["mix_effect"] == pytest.approx(0.5 * (0.1 - (0.6 + 0.45) / 2))
    assert sum(one["effect"] for one in found.values()) == pytest.approx(0.45 - 0.6)


@pytest.mark.parametrize(
    ("before", "after"), [({}, {"x": (1, 1)}), ({"x": (1, 1)}, {}), ({}, {}), ({"x": (0, 0)}, {"x": (2, 1)})]
)
def test_no_effects_where_a_side_is_empty(before: Any, after: Any) -> None:
    assert group_effects(before, after) == []


GROUPS = st.dictionaries(
    st.sampled_from([None, "a", "b", "c", "d", "e"]),
    st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    min_size=1,
)


@settings(max_examples=80, deadline=None)
@given(before=GROUPS, after=GROUPS)
def test_the_effects_add_up_to_the_change(before: Any, after: Any) -> None:
    found = group_effects(before, after)
    rates = [sum(h for _, h in side.values()) / sum(n for n, _ in side.values()) for side in (before, after)]
    assert math.fsum((one["rate_effect"] or 0) + one["mix_effect"] for one in found) == pytest.approx(
        rates[1] - rates[0], abs=1e-12
    )
    assert {one["group"] for one in found} == before.keys() | after.keys()
    for one in found:
        shares = [side.get(one["group"], (0, 0))[0] / sum(n for n, _ in side.values()) for side in (before, after)]
        pairs = [side.get(one["group"], (0, 0)) for side in (before, after)]
        own = [hits / lookups if lookups else None for lookups, hits in pairs]
        old, new = (rate if rate is not None else own[1 - place] for place, rate in enumerate(own))
        rate_effect = None if None in own else pytest.approx((new - old) * sum(shares) / 2, abs=1e-12)  # type: ignore[operator]
        assert one["rate_effect"] == rate_effect
        assert [one["effect"] for one in found] == sorted((x["effect"] for x in found), key=abs, reverse=True)


@settings(max_examples=30, deadline=None)
@given(before=GROUPS, after=GROUPS)
def test_swapping_the_sides_negates_the_effects(before: Any, after: Any) -> None:
    there = {one["group"]: one for one in group_effects(before, after)}
    for back in group_effects(after, before):
        rate_effect, mix_effect = (there[back["group"]][name] for name in ("rate_effect", "mix_effect"))
        assert back["mix_effect"] == pytest.approx(-mix_effect, abs=1e-12)
        assert back["rate_effect"] == (None if rate_effect is None else pytest.approx(-rate_effect, abs=1e-12))
