"""Event texts and ids: the same in every version of DuckDB, and of exactly the logged value."""

import json
import math
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.replayer.chunk import DURATION_TEXT, Chunk
from analyzer.replayer.teams import Context

DURATIONS = {
    0.0: "0", 1.0: "1", 1234.0: "1234", 2.0**52: "4503599627370496", 8999999999999999.0: "8999999999999999",
    2.0**53: "9007199254740992", 1e22: "1e+22", 1e300: "1e+300", 1.7976931348623157e308: "1.7976931348623157e+308",
    0.5: "0.5", 1.5: "1.5", 1234.56: "1234.56", 0.1: "0.1", 0.1 + 0.2: "0.30000000000000004",
    1 / 3: "0.3333333333333333", 123456789.12345679: "123456789.12345679", 1e15 + 0.5: "1000000000000000.5",
    0.0001: "0.0001", 1e-5: "1e-05", 1e-300: "1e-300", 5e-324: "4.94065645841247e-324",
}  # fmt: skip


def texts_of(durations: list[float]) -> list[str]:
    query = f"SELECT {DURATION_TEXT} FROM (SELECT unnest($durations::DOUBLE[]) AS duration_ms)"
    return [text for (text,) in duckdb.connect().execute(query, {"durations": durations}).fetchall()]


def test_durations_have_one_text() -> None:
    assert dict(zip(DURATIONS, texts_of(list(DURATIONS)), strict=True)) == DURATIONS


@settings(deadline=None)  # DuckDB is slow to start
@given(st.lists(st.floats(min_value=0, allow_infinity=False), max_size=50))
def test_a_duration_is_the_shortest_text_of_printf_that_parses_to_it(durations: list[float]) -> None:
    def expected(value: float) -> str:
        if value == math.trunc(value) and value < 9e15:
            return str(int(value))
        return next(text for digits in (15, 16, 17) if float(text := f"{value:.{digits}g}") == value)

    texts = texts_of(durations)
    assert texts == [expected(value) for value in durations]
    assert [json.loads(text) for text in texts] == durations


@pytest.mark.parametrize("max_bytes", [1, 20, 40, 1000])
def test_parts_of_a_chunk_hold_its_events_in_order(max_bytes: int) -> None:
    items: list[Any] = [{"n": n, "é": "x" * n} for n in range(20)]
    text = "\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    chunk = Chunk(Context(), text, b"".join(n.to_bytes(16, "big") for n in range(20)))
    parts = list(chunk.split_to_fit(max_bytes))
    assert [item for part in parts for item in json.loads(part.body())] == items
    assert b"".join(part.digests for part in parts) == chunk.digests
    assert all(len(part.body()) <= max_bytes or part.events == 1 for part in parts)
