"""Hit rate and time saved over time, in buckets that suit the length of the log."""

from datetime import datetime
from itertools import accumulate
from typing import Any

from analyzer.metrics.stats import Grouping, dimension, grouped
from analyzer.report.page.question import Parts, Subject, chosen
from analyzer.section import FEW_LOOKUPS, Chart, Section, Words
from analyzer.table import MS, RATIO, Heading, Table

SPAN = "SELECT min(first_at), max(first_at) FROM {selected}"
BUCKETS = (("hour", 3), ("day", 120), ("week", 700), ("month", None))
"""A bucket, and the most days for which it is used."""

SHARES = (
    Heading("local_share", RATIO, "of all lookups, those that the local cache answered"),
    Heading("remote_share", RATIO, "of all lookups, those that the remote cache answered"),
)
CUMULATIVE = Heading("cumulative_time_saved_ms", MS, "time saved up to the end of the bucket")


def over_time(subject: Subject) -> Parts:
    """Give the sections of hit rate and of time saved."""
    selected = subject.asked.selected
    bucket = bucket_of(*selected.ask(SPAN)[0])
    grouping = Grouping((bucket,), subject.question.tz)
    table = grouped(selected, [dimension(bucket)], grouping, subject.asked.selection)
    if table.rows:
        yield _rates(bucket, table)
        yield _saved(bucket, table)


def bucket_of(first_at: datetime | None, last_at: datetime | None) -> str:
    """Return the bucket for a log from one time to another."""
    days = (last_at - first_at).days if first_at and last_at else 0
    return next(name for name, most in BUCKETS if most is None or days < most)


def _rates(bucket: str, table: Table) -> tuple[Section, Table]:
    kept = chosen(table, [bucket, "lookups", "hit_rate", "local_hits", "remote_hits", "partial"], "hit_rate_over_time")
    rows = [
        (label, lookups, rate, local / lookups, remote / lookups, partial)
        for label, lookups, rate, local, remote, partial in kept.rows
    ]
    columns = [*kept.columns[:3], *SHARES, kept.columns[5]]
    title = f"Hit rate by {bucket}"
    what = (
        f"Bars by {bucket}: the share of lookups that a cache answered; faint where they are fewer than {FEW_LOOKUPS}."
    )
    chart = Chart("stack", title, what, bucket, ("local_share", "remote_share"), size="lookups")
    words = Words("The height of a bar is the hit rate: lookups answered by either cache, of all lookups.")
    return Section("Hit rate over time", [words], kept.name, [chart]), Table(kept.name, columns, rows)


def _saved(bucket: str, table: Table) -> tuple[Section, Table]:
    kept = chosen(table, [bucket, "time_saved_ms", "duration_coverage", "partial"], "time_saved_over_time")
    sums: Any = accumulate(row[1] for row in kept.rows)
    rows = [(*row[:2], total, *row[2:]) for row, total in zip(kept.rows, sums, strict=True)]
    columns = [*kept.columns[:2], CUMULATIVE, *kept.columns[2:]]
    charts = [
        Chart("stack", f"Time saved by {bucket}", f"Bars by {bucket}.", bucket, ("time_saved_ms",)),
        Chart("line", "Time saved, cumulative", "A line that adds the bars up.", bucket, (CUMULATIVE.name,)),
    ]
    known = [row[2] for row in kept.rows if row[2] is not None]
    text = (
        "Serial task time that hits spared, where a hit's duration is known; below 100 % coverage it is a lower bound"
    )
    words = Words(f"{text} (by {bucket}: {{}} to {{}})." if known else f"{text}.", _ends(known))
    return Section("Time saved", [words], kept.name, charts), Table(kept.name, columns, rows)


def _ends(known: list[float]) -> list[tuple[Any, str]]:
    return [(min(known), RATIO), (max(known), RATIO)] if known else []
