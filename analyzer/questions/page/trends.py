"""The sections on hit rates and time saved: over time, by group, by session, and by weekday and hour."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, time
from itertools import accumulate

from analyzer.archive.selection import fetch_rows
from analyzer.questions.compare import find_change_point
from analyzer.questions.dimensions import DIMENSIONS, WEEKDAYS
from analyzer.questions.doctor.server import Outage
from analyzer.questions.options import UTC, StatsOptions
from analyzer.questions.page.observed import observe
from analyzer.questions.scope import Scope
from analyzer.questions.sessions import scatter_table, sessions_tables
from analyzer.questions.stats import groups_table
from analyzer.table import (
    COUNT,
    FEW_LOOKUPS,
    MS,
    RATIO,
    TEXT,
    Chart,
    Column,
    Mark,
    Section,
    Sections,
    Sentence,
    Table,
)

# The dimensions that have a section, with their names in the singular.
DIMENSION_NAMES = {"team": "team", "ci": "CI vendor", "task": "task", "package": "package"}

MAX_GROUPS = 20
# Groups with fewer lookups are not ranked: their hit rates vary too much by chance.
MIN_LOOKUPS = 100
MAX_NAMED_SESSIONS = 5
GROUP_COLUMNS = ("lookups", "hit_rate", "local_hit_rate", "remote_hit_rate", "time_saved_ms", "duration_coverage")


def grouped(scope: Scope, *names: str, tz: str = UTC) -> Table:
    """Return the measures of the selected lookups by some dimensions."""
    dimensions = [DIMENSIONS[name] for name in names]
    return groups_table(scope, dimensions, StatsOptions(names, tz))


def group_sections(scope: Scope) -> Sections:
    """Yield a section for each dimension that has at least two groups."""
    for name, noun in DIMENSION_NAMES.items():
        table = grouped(scope, name).select([name, *GROUP_COLUMNS], f"by_{name}")
        if len(table.rows) > 1:
            yield _group_section(name, noun, table)


def _group_section(name: str, noun: str, table: Table) -> tuple[Section, Table]:
    named = [row for row in table.records() if row[name] is not None]
    text = f"{{}} {noun}{'s have' if len(named) != 1 else ' has'} lookups"
    if len(table.rows) > MAX_GROUPS:
        text += f"; the table lists the {MAX_GROUPS} with the most lookups"
    text += f". The row — counts lookups without a known {noun}." if len(named) < len(table.rows) else "."
    sentences = [Sentence(text, [(len(named), COUNT)])]
    ranked = [row for row in named if row["lookups"] >= MIN_LOOKUPS]
    if len(ranked) > 1:
        low = min(ranked, key=lambda row: row["hit_rate"])
        text = f"Lowest hit rate of a {noun} with at least {{}} lookups: {{}}, {{}} of {{}} lookups."
        values = [(MIN_LOOKUPS, COUNT), (low[name], TEXT), (low["hit_rate"], RATIO), (low["lookups"], COUNT)]
        sentences.append(Sentence(text, values))
    section = Section(name, f"By {noun}", sentences, table.name, f"Hit rate and time saved by {noun}", bars="hit_rate")
    return section, replace(table, rows=table.rows[:MAX_GROUPS])


# The time buckets, each with the number of days below which it is used.
BUCKETS = (("hour", 3), ("day", 120), ("week", 700), ("month", None))

PARTIAL = "; dashed where the log covers only a part"
LOCAL_TIMES = "SELECT list_transform($moments::TIMESTAMP[], lambda t: timezone($tz, timezone('UTC', t)))"

SHARES = (
    Column("local_share", RATIO, "lookups that the local cache answered / lookups"),
    Column("remote_share", RATIO, "lookups that the remote cache answered / lookups"),
)
SHARE_NAMES = tuple(column.name for column in SHARES)
CUMULATIVE = Column("cumulative_time_saved_ms", MS, "time saved up to the end of the bucket")


def time_bucket(scope: Scope) -> str:
    """Return the time bucket that suits the length of the log."""
    found = observe(scope)
    days = (found.last_lookup_at - found.first_at).days if found.first_at and found.last_lookup_at else 0
    return next(name for name, limit in BUCKETS if limit is None or days < limit)


def time_sections(scope: Scope, tz: str, marks: Sequence[Mark]) -> Sections:
    """Yield the sections of the hit rate and of the time saved over time, with `marks` in their charts."""
    bucket = time_bucket(scope)
    table = grouped(scope, bucket, tz=tz)
    if table.rows:
        yield _hit_rate_section(bucket, table, marks)
        yield _time_saved_section(bucket, table, marks)


def time_marks(scope: Scope, tz: str, outages: Sequence[Outage]) -> list[Mark]:
    """Return what charts over time mark: outages, and the day from which the hit rate differs, where one stands out."""
    day = find_change_point(scope, outages)
    marks = [Mark("outage", *_to_local(scope, tz, one.since, one.until)) for one in outages]
    # A day is one of UTC already, as everywhere else on the page.
    return marks + ([Mark("hit rate changed", datetime.combine(day, time()))] if day else [])


def _to_local(scope: Scope, tz: str, *moments: datetime) -> list[datetime]:
    ((local,),) = fetch_rows(scope.log.connection, LOCAL_TIMES, {"tz": tz, "moments": list(moments)})
    return list(local)


def _hit_rate_section(bucket: str, table: Table, marks: Sequence[Mark]) -> tuple[Section, Table]:
    records = [
        row | {"local_share": row["local_hits"] / row["lookups"], "remote_share": row["remote_hits"] / row["lookups"]}
        for row in table.records()
    ]
    names = [bucket, "lookups", "hit_rate", "local_share", "remote_share", "partial"]
    shares = Table.from_records(table.name, [*table.columns, *SHARES], records).select(names, "hit_rate_over_time")
    title = f"Hit rate by {bucket}"
    bars = f"Bars by {bucket} of the hit rate, stacked by cache; faint with fewer than {FEW_LOOKUPS} lookups{PARTIAL}."
    chart = Chart("stack", title, bars, bucket, SHARE_NAMES, mark="partial", size="lookups", marks=marks)
    text = "The height of a bar is the hit rate: lookups answered by either cache / all lookups."
    sentences = [Sentence(text), *_mark_sentences(marks)]
    return Section("hit-rate", "Hit rate over time", sentences, shares.name, title, [chart], brief=True), shares


def _mark_sentences(marks: Sequence[Mark]) -> Iterator[Sentence]:
    for mark in marks:
        if mark.until is None:
            text = "The days from {} on have another hit rate than the days before: more than chance explains."
            yield Sentence(text, [(f"{mark.since:%Y-%m-%d}", TEXT)])


def _time_saved_section(bucket: str, table: Table, marks: Sequence[Mark]) -> tuple[Section, Table]:
    sums = accumulate((row["time_saved_ms"] for row in table.records()), _add_known)
    records = [row | {CUMULATIVE.name: total} for row, total in zip(table.records(), sums, strict=True)]
    names = [bucket, "time_saved_ms", CUMULATIVE.name, "duration_coverage", "partial"]
    saved = Table.from_records(table.name, [*table.columns, CUMULATIVE], records).select(names, "time_saved_over_time")
    outages = [mark for mark in marks if mark.until]
    title, bars = f"Time saved by {bucket}", f"Bars of the time saved by {bucket}{PARTIAL}."
    charts = [
        Chart("stack", title, bars, bucket, ("time_saved_ms",), mark="partial", marks=outages),
        Chart("line", "Time saved, cumulative", "A line of the time saved so far.", bucket, (CUMULATIVE.name,)),
    ]
    sentences = [Sentence("Task time saved by hits of known duration (sequential, not waiting time).")]
    known = [row["duration_coverage"] for row in records if row["duration_coverage"] is not None]
    if known:
        text = f"The duration is known for {{}} to {{}} of the hits of each {bucket};"
        values = [(min(known), RATIO), (max(known), RATIO)]
        sentences.append(Sentence(f"{text} below 100 % this is a lower bound.", values))
    return Section("time-saved", "Time saved", sentences, saved.name, title, charts), saved


def _add_known(total: float | None, value: float | None) -> float | None:
    return total if value is None else (total or 0) + value


def sessions_section(scope: Scope) -> Sections:
    """Yield the section of sessions by size and hit rate, with the outliers named."""
    outliers, *_ = sessions_tables(scope, MAX_NAMED_SESSIONS)
    table = scatter_table(scope, outliers)
    if not table.rows:
        return
    text = "A session is one run of the build client. Each circle stands for sessions of similar size and hit rate."
    sentences = [Sentence(text)]
    if outliers.rows:
        low = outliers.records()[0]
        text = "Lowest hit rate for its size: {}, {} of {} lookups."
        values = [(low["session"], TEXT), (low["hit_rate"], RATIO), (low["lookups"], COUNT)]
        sentences.append(Sentence(text, values))
    title = "Sessions by size and hit rate"
    circles = "Circles by lookups and hit rate; their area is the number of sessions, and outliers are named."
    chart = Chart("points", title, circles, "lookups", ("hit_rate",), mark="outlier", size="sessions")
    yield Section("sessions", "Sessions", sentences, table.name, title, [chart]), table


def week_section(scope: Scope, tz: str) -> Sections:
    """Yield the section of lookups by weekday and hour."""
    names = ["weekday", "hour_of_day", "lookups", "hit_rate", "time_saved_ms"]
    table = grouped(scope, "weekday", "hour_of_day", tz=tz).select(names, "by_weekday_and_hour")
    # Lookups without a time are in a group of their own, which has no place in a week.
    records = [row for row in table.records() if row["weekday"] in WEEKDAYS]
    records.sort(key=lambda row: (WEEKDAYS.index(row["weekday"]), row["hour_of_day"]))
    if len(records) > 1:
        largest = max(row["lookups"] for row in records)
        grid = f"A grid of weekdays and hours: the stronger the colour, the more lookups, up to {largest:,}."
        title = "Lookups by weekday and hour"
        chart = Chart("heat", title, grid, "hour_of_day", ("weekday",), value="lookups")
        text = f"When lookups happen. Hours are in the time zone {tz}."
        table = Table.from_records(table.name, table.columns, records)
        yield Section("week", "By weekday and hour", [Sentence(text)], table.name, title, [chart]), table
