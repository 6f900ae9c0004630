"""Lazy frames are of the view that answers a log's questions."""

from pathlib import Path

import polars as pl
import pytest
from conftest import RECORDED

import analyzer
from analyzer.archive.selection import View

SAMPLE = Path(__file__).parents[2] / "sample_data"


@pytest.mark.parametrize(
    ("source", "view"),
    [("acme/runs.ndjson.zst", "auto"), ("acme/runs.ndjson.zst", "runs"), (".", "runs"), (".", "auto")],
)
def test_lazy_frames_are_of_the_view_that_answers(source: str, view: View) -> None:
    with analyzer.load(SAMPLE / source, view=view) as log:
        told = log.stats().row(0, named=True)
        hits = pl.col("outcome") != "miss"
        lookups = log.lookups().select(pl.len(), hits.sum().alias("hits"), pl.col("duration_ms").sum()).collect()
        assert lookups.row(0) == (told["lookups"], told["hits"], pytest.approx(told["time_saved_ms"]))
        assert log.events().select(pl.len()).collect().item() == told["events"] > told["lookups"] > 1000


def test_lazy_frames_of_views_have_the_same_columns(sample_archive: Path) -> None:
    with analyzer.load(sample_archive, view="runs") as runs, analyzer.load(sample_archive, view="events") as events:
        assert runs.events().collect_schema() == events.events().collect_schema()
        assert runs.lookups().collect_schema() == events.lookups().collect_schema()


def test_sql_says_where_its_relations_are_empty(tmp_path: Path) -> None:
    count = "SELECT count(*) AS n FROM lookups"
    with analyzer.load(RECORDED / "runs", into=tmp_path / "runs.duckdb") as log:
        log.misses()
        assert log.sql(count)["n"].item() == 0
        assert "the log has run summaries only" in "".join(log.notes)
        assert log.accounting.kept == log.accounting.read > 0
        assert log.lookups().select(pl.len()).collect().item() == 2783
    with analyzer.load(SAMPLE, view="runs") as log:
        log.stats()
        assert log.sql(count)["n"].item() > 0
        assert "run summaries only" not in "".join(log.notes)
