"""What a plan proposes keeps what it promises."""

import re

from hypothesis import given
from hypothesis import strategies as st

from analyzer.replayer.replay import Plan
from analyzer.replayer.tables import within_an_hour

BYTES_AN_EVENT = 150


def requests_of(contexts: list[int], chunk_events: int) -> int:
    return sum(-(-events // chunk_events) for events in contexts)


@given(
    st.lists(st.integers(1, 40_000), max_size=60),
    st.sampled_from([0, 10, 30, 60, 600]),
    st.sampled_from([1, 50, 100, 1000]),
)
def test_the_proposed_rate_sends_a_plan_in_an_hour_within_the_share(contexts: list[int], rate: int, chunk: int) -> None:
    events = sum(contexts)
    plan = Plan(events, 1, len(contexts), requests_of(contexts, chunk), events * BYTES_AN_EVENT, None, None, {})
    found = within_an_hour(plan, rate, chunk)
    if found is None:
        assert not events
    elif found == "no change needed":
        assert plan.requests <= 60 * rate <= 60 * 3000
    else:
        size, pace = map(int, re.findall(r"[0-9]+", found))
        assert (size, pace) != (chunk, rate)
        assert pace in (30, 3000)
        assert requests_of(contexts, size) <= 60 * pace
