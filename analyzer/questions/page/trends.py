"""Hit rates by team, CI, task and package, each where there are several."""

from datetime import datetime
from itertools import accumulate
from typing import Any

from analyzer.questions.dimensions import WEEKDAYS
from analyzer.questions.options import StatsOptions
from analyzer.questions.page.context import PageContext, Parts, select_columns
from analyzer.questions.sessions import scatter_table, sessions_tables
from analyzer.questions.stats import dimension, groups_table
from analyzer.table import COUNT, FEW_LOOKUPS, MS, RATIO, TEXT, Chart, Column, Section, Sentence, Table

DIMENSION_WORDS = {"team": "team", "ci": "CI vendor", "task": "task", "package": "package"}
MAX_GROUPS = 20
MIN_LOOKUPS = 100
"""With fewer lookups a rate says little."""
GROUP_COLUMNS = ("lookups", "hit_rate", "local_hit_rate", "remote_hit_rate", "time_saved_ms", "duration_coverage")


def group_sections(subject: PageContext) -> Parts:
    """Give a section a dimension that has at least two groups."""
    for name, words in DIMENSION_WORDS.items():
        table = _group_table(subject, name)
        if len(table.rows) > 1:
            yield _group_section(name, words, table)


def _group_table(subject: PageContext, name: str) -> Table:
    options = StatsOptions((name,), subject.options.tz)
    found = groups_table(subject.asked.selected, [dimension(name)], options, subject.asked.selection)
    return select_columns(found, [name, *GROUP_COLUMNS], f"by_{name}")


def _group_section(name: str, words: str, table: Table) -> tuple[Section, Table]:
    named = sum(row[0] is not None for row in table.rows)
    rest = "; the row of — is of lookups that name none" if named < len(table.rows) else ""
    told = [Sentence(f"Lookups name {{}} {words}{'s' * (named != 1)}{rest}{_cut_note(table)}.", [(named, COUNT)])]
    enough = [row for row in table.rows if row[0] is not None and row[1] >= MIN_LOOKUPS]
    if len(enough) > 1:
        group, lookups, rate, *_ = min(enough, key=lambda row: row[2])
        text = "Lowest of those with at least {} lookups: {}, {} of {}."
        told.append(Sentence(text, [(MIN_LOOKUPS, COUNT), (group, TEXT), (rate, RATIO), (lookups, COUNT)]))
    what = f"Horizontal bars, one a {words}: its hit rate, and of how many lookups; those with the most first."
    chart = Chart("rank", f"Hit rate by {words}", what, name, ("hit_rate",), size="lookups")
    return Section(f"By {words}", told, table.name, [chart]), Table(table.name, table.columns, table.rows[:MAX_GROUPS])


def _cut_note(table: Table) -> str:
    cut = len(table.rows) - MAX_GROUPS
    return f"; {cut:,} with fewer lookups are left out" if cut > 0 else ""


SPAN = "SELECT min(first_at), max(first_at) FROM {selected}"
BUCKETS = (("hour", 3), ("day", 120), ("week", 700), ("month", None))
"""A bucket, and the most days for which it is used."""

SHARES = (
    Column("local_share", RATIO, "of all lookups, those that the local cache answered"),
    Column("remote_share", RATIO, "of all lookups, those that the remote cache answered"),
)
CUMULATIVE = Column("cumulative_time_saved_ms", MS, "time saved up to the end of the bucket")


def time_sections(subject: PageContext) -> Parts:
    """Give the sections of hit rate and of time saved."""
    selected = subject.asked.selected
    bucket = bucket_of(*selected.rows(SPAN)[0])
    options = StatsOptions((bucket,), subject.options.tz)
    table = groups_table(selected, [dimension(bucket)], options, subject.asked.selection)
    if table.rows:
        yield _rate_section(bucket, table)
        yield _time_saved_section(bucket, table)


def bucket_of(first_at: datetime | None, last_at: datetime | None) -> str:
    """Return the bucket for a log from one time to another."""
    days = (last_at - first_at).days if first_at and last_at else 0
    return next(name for name, most in BUCKETS if most is None or days < most)


def _rate_section(bucket: str, table: Table) -> tuple[Section, Table]:
    kept = select_columns(
        table, [bucket, "lookups", "hit_rate", "local_hits", "remote_hits", "partial"], "hit_rate_over_time"
    )
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
    words = Sentence("The height of a bar is the hit rate: lookups answered by either cache, of all lookups.")
    return Section("Hit rate over time", [words], kept.name, [chart]), Table(kept.name, columns, rows)


def _time_saved_section(bucket: str, table: Table) -> tuple[Section, Table]:
    kept = select_columns(table, [bucket, "time_saved_ms", "duration_coverage", "partial"], "time_saved_over_time")
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
    words = Sentence(f"{text} (by {bucket}: {{}} to {{}})." if known else f"{text}.", _ends(known))
    return Section("Time saved", [words], kept.name, charts), Table(kept.name, columns, rows)


def _ends(known: list[float]) -> list[tuple[Any, str]]:
    return [(min(known), RATIO), (max(known), RATIO)] if known else []


NAMED_OUTLIERS = 5


def sessions_section(subject: PageContext) -> Parts:
    """Give the section of sessions by size and hit rate, the outliers named."""
    low, *_ = sessions_tables(subject.asked.selected, NAMED_OUTLIERS)
    table = scatter_table(subject.asked.selected, low)
    if not table.rows:
        return
    told = [Sentence("A session is a run of the client. Sessions of like size and hit rate are one circle.")]
    if low.rows:
        name, rate, lookups = low.rows[0][:3]
        text = "Furthest below the others for its size: {}, {} of {} lookups."
        told.append(Sentence(text, [(name, ""), (rate, RATIO), (lookups, COUNT)]))
    what = "Circles by lookups of a session and its hit rate, as large as there are sessions; outliers are named."
    chart = Chart(
        "points", "Sessions by size and hit rate", what, "lookups", ("hit_rate",), None, "outlier", "sessions"
    )
    yield Section("Sessions", told, table.name, [chart]), table


def week_section(subject: PageContext) -> Parts:
    """Give the section of the hit rate by weekday and hour."""
    names = ("weekday", "hour_of_day")
    by = [dimension(name) for name in names]
    options = StatsOptions(names, subject.options.tz)
    found = groups_table(subject.asked.selected, by, options, subject.asked.selection)
    table = select_columns(found, [*names, "lookups", "hit_rate", "time_saved_ms"], "by_weekday_and_hour")
    rows = sorted((row for row in table.rows if row[0] in WEEKDAYS), key=lambda row: (WEEKDAYS.index(row[0]), row[1]))
    if len(rows) > 1:
        most = max(row[2] for row in rows)
        what = f"A grid of weekdays and hours: the stronger its colour, the more lookups a cell has, up to {most:,}."
        chart = Chart("heat", "Lookups by weekday and hour", what, "hour_of_day", ("weekday",), value="lookups")
        words = Sentence(f"When the cache is asked; hours are of the time zone {subject.options.tz}.")
        yield Section("The week", [words], table.name, [chart]), Table(table.name, table.columns, rows)
