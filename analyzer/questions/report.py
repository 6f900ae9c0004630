"""Defines the report that answers a command: tables, the accounting of the input, notes, and costs of task time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analyzer.archive.accounting import Accounting
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection, count_reads, fetch_rows
from analyzer.errors import Message, Option
from analyzer.questions.scope import Given, Rows, Scope, Step
from analyzer.readers.formats import DERIVED_FORMATS_SQL
from analyzer.table import MONEY, MONEY_CHANGE, MS, MS_CHANGE, Column, Explorer, Headline, Section, Sentence, Table
from analyzer.text import closest_match
from analyzer.times import FIRST_CLIENT_AT
from analyzer.validation import require_number

KEPT = "SELECT sum(events) AS events FROM {counted}"
MERGED_KEPT = "SELECT coalesce(sum(events), 0)::BIGINT FROM {parts}"
MINUTE_MS = 60_000
# The units of task time, each with the unit of its cost.
COST_UNITS = {MS: MONEY, MS_CHANGE: MONEY_CHANGE}


@dataclass(frozen=True, slots=True)
class Report:
    """A command's answer.

    Args:
        command: the command that it answers.
        accounting: where the events of the input went.
        tables: all tables; JSON, HTML and text formats contain them all.
        primary: the one of `tables` that CSV, NDJSON and Parquet contain.
        notes: facts that readers need to interpret the numbers.
        facts: more values for JSON, beside the tables.
        verdict: what the answer means, in one or two sentences.
        about: the filters in words, for the title of an HTML page.
        summary: sentences about what an HTML page covers.
        headlines: the numbers at the top of an HTML page.
        sections: the sections of an HTML page, each about one of `tables`.
        explorer: a part of an HTML page in which readers choose what they see.
        is_full: whether Markdown has all sections; otherwise those that are brief, shortened.
    """

    command: str
    accounting: Accounting
    tables: Sequence[Table]
    primary: Table
    notes: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    verdict: Sequence[Sentence] = ()
    about: str = ""
    summary: Sequence[Sentence] = ()
    headlines: Sequence[Headline] = ()
    sections: Sequence[Section] = ()
    explorer: Explorer | None = None
    is_full: bool = False

    @property
    def title(self) -> str:
        """The title of an HTML page."""
        return f"Remote build cache {self.command}" + (f": {self.about}" if self.about else "")


def account_for(counts: Accounting, kept: int) -> Accounting:
    """Return the accounting of an answer that used `kept` events: the filters removed all others."""
    return replace(counts, kept=kept, filtered=counts.kept - kept)


def build_report(
    command: str, scope: Scope, tables: Sequence[Table], primary: Table | None = None, notes: Sequence[str] = (),
    **page: Any,
) -> Report:  # fmt: skip
    """Return the report of a question, with the notes that apply to every question; `primary` defaults to the first.

    `page` holds the fields of `Report` that only an HTML page has.
    """
    gathered = scope.gather([Step("session_id", _kept_events, count_reads(scope.selection, scope.cuts, scope.other))])
    counts, ((kept,),) = scope.log.counts(), gathered.rows("kept", MERGED_KEPT)
    all_notes = [*_scope_notes(scope, counts.kept, kept), *notes]
    facts = {"view": scope.log.view}
    return Report(command, account_for(counts, kept), tables, primary or tables[0], all_notes, facts, **page)


def _kept_events(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"kept": Rows(scope.selected, KEPT)})


LOG_FACTS = """
SELECT (SELECT min(first_at) FROM log_period),
       (SELECT coalesce(sum(events), 0)::BIGINT FROM log_count WHERE is_untimed),
       (SELECT count(*) FROM artifact)
"""
LOG_CONTENTS = """
SELECT min(first_at), max(last_at), list(DISTINCT team ORDER BY team), list(DISTINCT ci ORDER BY ci)
FROM log_period p LEFT JOIN store.context c ON c.id = p.context_id
"""
MAX_LISTED_NAMES = 10
RUNS = "SELECT count(*), count(*) FILTER (WHERE id IN (SELECT run_id FROM match)) FROM run"
MAYBE_FORCED = "SELECT count(*), coalesce(sum(lookups), 0)::BIGINT FROM maybe_forced"
UNLISTED = """
SELECT count(*), count(DISTINCT run_id), count(*) FILTER (WHERE NOT is_known) FROM run_lookup WHERE is_unlisted
"""

# HIT and MISS events that were kept, and rejected lines that name just one of the two.
OUTCOMES = """
SELECT hits, misses,
       (SELECT count(*) FROM reject WHERE regexp_matches(text, '\\bHIT\\b') AND NOT regexp_matches(text, '\\bMISS\\b')),
       (SELECT count(*) FROM reject WHERE regexp_matches(text, '\\bMISS\\b') AND NOT regexp_matches(text, '\\bHIT\\b'))
FROM log_outcome
"""
HAS_ACCESS_LOGS = f"SELECT EXISTS (FROM store.file WHERE format IN ({DERIVED_FORMATS_SQL}))"
MIN_BIAS, MIN_REJECT_SHARE = 0.2, 0.01  # of the hit share, and of all events, for rejects to change a rate visibly

# The filters by a name, each with a noun for messages and the query of the names in the log.
NAMED_FILTERS = {
    "team": ("team", "SELECT DISTINCT unnest([team, team_id]) FROM store.context"),
    "ci": ("CI vendor", "SELECT DISTINCT ci FROM store.context"),
}


def _scope_notes(scope: Scope, total: int, kept: int) -> Iterator[str]:
    """Yield the notes on an answer that used `kept` of the log's `total` events."""
    log, selection = scope.log, scope.selection
    ((earliest, untimed, artifacts),) = fetch_rows(log.connection, LOG_FACTS, {})
    if earliest is not None and earliest < FIRST_CLIENT_AT:
        yield (
            f"the earliest event is dated {earliest} UTC, before any client reported events: a clock was wrong, or the"
            " column is not the time of the event"
        )
    if untimed and selection.filters_times:
        yield f"{untimed:,} events without a time are excluded by the time filter"
    if artifacts and not total:
        files = f"{artifacts:,} artifact metadata files"
        yield f"{files} give durations of tasks but no lookups: add an event log or run summaries"
    if total:
        yield from unknown_name_notes(log, selection)
    if fetch_rows(log.connection, HAS_ACCESS_LOGS, {})[0][0]:
        yield (
            "lookups from access logs are derived from requests for artifacts: sessions are those of a client address;"
            " there is no local cache, and durations are those of run summaries and artifact metadata"
        )
    if total and log.counts().rejected:
        yield from _bias_notes(log)
    if total and not kept:
        yield _no_match_note(log, selection, total)
    elif selection.chooses_events:
        filters = (Option("source"), ", ", Option("event"), ", ", Option("status"), " and ", Option("where"))
        yield Message(*filters, " select single events, not whole lookups: rates are of the selected events")
    yield from _view_notes(log)


def _bias_notes(log: OpenLog) -> Iterator[str]:
    """Yield a note if the rejected events were hits more often, or less often, than the kept ones."""
    ((hits, misses, rejected_hits, rejected_misses),) = fetch_rows(log.connection, OUTCOMES, {})
    rejected = rejected_hits + rejected_misses
    if not rejected or rejected < MIN_REJECT_SHARE * log.counts().read:
        return
    rejected_share, kept_share = rejected_hits / rejected, hits / (hits + misses)
    if abs(rejected_share - kept_share) >= MIN_BIAS:
        direction = "low" if rejected_share > kept_share else "high"
        hits_text = f"{rejected_share:.0%} of the rejected events are HITs, but {kept_share:.0%} of the others"
        yield f"{hits_text}: hit rates are too {direction}"


def unknown_name_notes(log: OpenLog, selection: Selection) -> list[str]:
    """Return a note for each team and CI vendor of the selection that the log does not contain."""
    notes = []
    for filter_name, (noun, query) in NAMED_FILTERS.items():
        names = getattr(selection, filter_name)
        known = {name for (name,) in fetch_rows(log.connection, query, {}) if name is not None} if names else set()
        by_lower_case = {name.lower(): name for name in sorted(known)}
        for name in names:
            if name not in known:
                match = closest_match(name.lower(), by_lower_case)
                hint = f"; did you mean {by_lower_case[match]}?" if match else ""
                notes.append(f"no {noun} is called {name}{hint}")
    return notes


def _no_match_note(log: OpenLog, selection: Selection, total: int) -> str:
    """Return the note on filters that match nothing: what the log contains instead."""
    ((first_at, last_at, teams, vendors),) = fetch_rows(log.connection, LOG_CONTENTS, {})
    note = f"the filters match none of {total:,} events; "
    note += (
        f"the log covers {first_at.replace(microsecond=0)} to {last_at.replace(microsecond=0)} UTC"
        if first_at
        else "no event of the log has a time"
    )
    for noun, values in (("teams", teams), ("CI vendors", vendors)):
        names = [value for value in values or () if value is not None]
        note += f"; {noun}: {', '.join(names[:MAX_LISTED_NAMES])}" if names else ""
    if log.view == "runs" and (selection.team or selection.ci or selection.status):
        note += "; run summaries have a team, CI or status only if they match a session"
    return note


def _view_notes(log: OpenLog) -> Iterator[str]:
    """Yield notes on whether events or run summaries were counted, if the log has run summaries."""
    ((runs, matched),) = fetch_rows(log.connection, RUNS, {})
    if runs and log.view == "events":
        note = f"answered from events; {matched:,} of {runs:,} run summaries match a session"
        others = (f", the other {runs - matched:,} are not counted; to count runs, use ", Option("view", "runs"))
        yield Message(note, *(others if matched < runs else ()))
    elif runs:
        yield (
            f"answered from run summaries ({runs:,}), not from events; a miss is assumed to have asked both caches,"
            " unless the session of the run shows only one"
        )
        ((forced, tasks),) = fetch_rows(log.connection, MAYBE_FORCED, {})
        if forced:
            yield (
                f"{forced:,} of them missed every task although all had been built before: they may have been forced,"
                f" which turbo does not always record; their {tasks:,} tasks count as misses"
            )
        ((unlisted, cut, unclear),) = fetch_rows(log.connection, UNLISTED, {})
        if unlisted:
            uncacheable = f"; whether {unclear:,} of them could be cached at all is unknown" if unclear else ""
            yield (
                f"runs that were cut short: {cut:,}; their summaries do not list {unlisted:,} tasks, which count as"
                f" misses, named (unlisted){uncacheable}"
            )


def with_costs(report: Report, cost_per_minute: float | None) -> Report:
    """Return the report with a column of money after each column of task time: `time_saved_cost` for `time_saved_ms`.

    Raises:
        UsageError: `cost_per_minute` is negative or not finite.
    """
    require_number("cost_per_minute", cost_per_minute)
    if cost_per_minute is None:
        return report
    tables = [_with_cost_columns(table, cost_per_minute) for table in report.tables]
    primary = tables[list(report.tables).index(report.primary)]
    return replace(report, tables=tables, primary=primary)


def _with_cost_columns(table: Table, cost_per_minute: float) -> Table:
    columns: list[Column] = []
    rows: list[list[Any]] = [[] for _ in table.rows]
    for place, column in enumerate(table.columns):
        columns.append(column)
        if column.unit in COST_UNITS:
            name = column.name.removesuffix("_ms") + "_cost"
            columns.append(Column(name, COST_UNITS[column.unit], f"{column.description}; in money", column.detail))
        for cells, row in zip(rows, table.rows, strict=True):
            cells.append(value := row[place])
            if column.unit in COST_UNITS:
                # An unknown time has an unknown cost.
                cells.append(None if value is None else value / MINUTE_MS * cost_per_minute)
    return replace(table, columns=columns, rows=[tuple(cells) for cells in rows])
