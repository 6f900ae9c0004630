"""The change point of daily hit rates: found where there is one, and not found in noise."""

import random
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from sessions_of_hits import DAY, Run, asked, at, drawn, rate_of, runs

from analyzer.questions.rates import Rate, change_point


def a_day(number: int, sizes: Iterable[Run]) -> tuple[date, Rate]:
    return date(2026, 3, 2) + number * DAY, rate_of(sizes)


@pytest.mark.parametrize("place", [3, 7, 10])
@pytest.mark.parametrize(("before", "after"), [(0.9, 0.5), (0.3, 0.8)])
def test_a_step_is_found_on_its_day(place: int, before: float, after: float) -> None:
    draw = random.Random(place)  # noqa: S311  (no secret)
    days = [a_day(n, drawn(draw, 20, before if n < place else after, tight=30)) for n in range(14)]
    assert change_point(days) == date(2026, 3, 2) + place * DAY


@pytest.mark.parametrize(
    ("good", "bad", "place"), [((10, 10), (10, 0), 7), ((10, 10), (10, 5), 3), ((8, 6), (8, 2), 10)]
)
def test_a_step_without_noise_is_found_on_its_day(good: Run, bad: Run, place: int) -> None:
    """All sessions of a side are alike: no clearer step there is."""
    days = [a_day(n, [good if n < place else bad] * 6) for n in range(14)]
    assert change_point(days) == date(2026, 3, 2) + place * DAY


def test_a_step_of_a_log(cli: Cli, log: Any) -> None:
    draw = random.Random(8)  # noqa: S311  (no secret)
    events = []
    for day in range(14):
        events += runs(f"d{day}", day + 0.4, drawn(draw, 12, 0.9 if day < 9 else 0.5, tight=30))
    path = log(events)
    for arguments in ([], [f"..{at(8)}", f"{at(8)}.."], [f"{at(0)}..{at(7)}", f"{at(7)}..{at(14)}"]):
        (change,) = asked(cli, path, *arguments).table("change")
        assert (change["change"], change["change_began"]) == ("fell", "2026-03-11"), arguments
    late = asked(cli, path, f"{at(9)}..{at(11)}", f"{at(11)}..").table("change")
    assert late[0]["change_began"] is None, "the step is outside of both periods"


def test_only_a_step_in_the_direction_of_the_change_counts() -> None:
    """A cold first day is the largest step, but it does not explain that the rate fell."""
    hits = [(2, 3), *[(9, 10)] * 9, *[(7, 8)] * 4]
    days = [a_day(n, [(10, one), (10, other)] * 6) for n, (one, other) in enumerate(hits)]
    first = date(2026, 3, 2)
    assert [change_point(days, change) for change in (None, 0.1, -0.1)] == [first + DAY, first + DAY, first + 10 * DAY]


def test_a_few_lookups_of_a_weekend_do_not_move_the_day() -> None:
    """The rate of a day's lookups decides, however many sessions they are of."""
    days = [a_day(n, [(50, 45), (50, 46)] * 3 if n != 9 else [(1, 1)] * 20) for n in range(10)]
    days += [a_day(n, [(50, 20), (50, 21)] * 3) for n in range(10, 16)]
    assert change_point(days) == date(2026, 3, 2) + 10 * DAY


def test_days_of_an_outage_have_no_change_point(cli: Cli, sample_archive: Path) -> None:
    """The sample log has an outage on 6 and 7 October, and is as good before it as after it."""
    compared = asked(cli, sample_archive, "2026-09-20..2026-10-05", "2026-10-05..2026-10-20")
    (change,) = compared.table("change")
    assert (change["change"], change["change_began"]) == ("fell", None)
    assert "an outage of the remote cache: from 2026-10-06 10:11" in compared.err


def test_constant_rates_have_no_change_point() -> None:
    assert change_point([a_day(n, [(10, 7), (10, 9), (20, 16)] * 3) for n in range(20)]) is None


@pytest.mark.parametrize("days", [[], [a_day(0, [(10, 2)] * 6)]])
def test_fewer_than_two_days_have_no_change_point(days: Any) -> None:
    assert change_point(days) is None


def test_a_small_day_without_misses_is_no_change_point() -> None:
    """15 hits of 15 lookups are nothing special (1 in 5) where nine of ten hit."""
    days = [a_day(0, [(3, 3)] * 5), *(a_day(n, [(10, 10), (10, 8)] * 3) for n in range(1, 14))]
    assert change_point(days) is None


@pytest.mark.parametrize(("size", "tight"), [((3, 10), 1000), ((5, 50), 3)])
def test_noise_has_no_change_point(size: tuple[int, int], tight: float) -> None:
    """Of a hundred logs of two weeks that never changed, few are said to."""
    draw = random.Random(9)  # noqa: S311  (no secret)
    found = [change_point([a_day(n, drawn(draw, 6, 0.9, size, tight)) for n in range(14)]) for _ in range(100)]
    assert sum(day is not None for day in found) <= 10
