"""Runs by their size and hit rate, and the hours of the week."""

from analyzer.metrics.dimension import WEEKDAYS
from analyzer.metrics.sessions import scatter, sessions
from analyzer.metrics.stats import Grouping, dimension, grouped
from analyzer.report.page.question import Parts, Subject, chosen
from analyzer.section import Chart, Section, Words
from analyzer.table import COUNT, RATIO, Table

NAMED = 5


def spread(subject: Subject) -> Parts:
    """Give the section of sessions by size and hit rate, the outliers named."""
    low, *_ = sessions(subject.asked.selected, NAMED)
    table = scatter(subject.asked.selected, low)
    if not table.rows:
        return
    told = [Words("A session is a run of the client. Sessions of like size and hit rate are one circle.")]
    if low.rows:
        name, rate, lookups = low.rows[0][:3]
        text = "Furthest below the others for its size: {}, {} of {} lookups."
        told.append(Words(text, [(name, ""), (rate, RATIO), (lookups, COUNT)]))
    what = "Circles by lookups of a session and its hit rate, as large as there are sessions; outliers are named."
    chart = Chart(
        "points", "Sessions by size and hit rate", what, "lookups", ("hit_rate",), None, "outlier", "sessions"
    )
    yield Section("Sessions", told, table.name, [chart]), table


def week(subject: Subject) -> Parts:
    """Give the section of the hit rate by weekday and hour."""
    names = ("weekday", "hour_of_day")
    by = [dimension(name) for name in names]
    grouping = Grouping(names, subject.question.tz)
    found = grouped(subject.asked.selected, by, grouping, subject.asked.selection)
    table = chosen(found, [*names, "lookups", "hit_rate", "time_saved_ms"], "by_weekday_and_hour")
    rows = sorted((row for row in table.rows if row[0] in WEEKDAYS), key=lambda row: (WEEKDAYS.index(row[0]), row[1]))
    if len(rows) > 1:
        most = max(row[2] for row in rows)
        what = f"A grid of weekdays and hours: the stronger its colour, the more lookups a cell has, up to {most:,}."
        chart = Chart("heat", "Lookups by weekday and hour", what, "hour_of_day", ("weekday",), value="lookups")
        words = Words(f"When the cache is asked; hours are of the time zone {subject.question.tz}.")
        yield Section("The week", [words], table.name, [chart]), Table(table.name, table.columns, rows)
