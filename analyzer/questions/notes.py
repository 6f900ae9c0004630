"""Notes: facts about the input, or about the events behind an answer, and what they mean for the numbers."""

from collections.abc import Collection, Iterator, Sequence

from analyzer.archive.accounting import FileReport, LoadResult
from analyzer.archive.open_log import OpenLog
from analyzer.archive.rejects import format_place
from analyzer.archive.selection import Selection, fetch_rows
from analyzer.errors import InputError, Message, Option
from analyzer.readers.formats import DOCUMENT_FORMATS
from analyzer.text import closest_match
from analyzer.times import FIRST_CLIENT_AT

EARLIEST = "SELECT min(first_at) FROM session_summary"
UNTIMED = "SELECT coalesce(sum(events), 0)::BIGINT FROM lookup WHERE first_at IS NULL"
ARTIFACTS = "SELECT count(*) FROM artifact"
NAMED_FILTERS = {
    "team": ("team", "SELECT DISTINCT unnest([team, team_id]) FROM store.context"),
    "ci": ("CI vendor", "SELECT DISTINCT ci FROM store.context"),
}
"""The filters by a name that the log must contain: what the name is of, and the query of the known names."""

LOG_CONTENTS = """
SELECT min(first_at), max(last_at), list(DISTINCT team ORDER BY team), list(DISTINCT ci ORDER BY ci)
FROM session_summary s LEFT JOIN store.context c ON c.id = s.context_id
"""
MAX_LISTED_NAMES = 10
RUNS = "SELECT count(*), count(*) FILTER (WHERE id IN (SELECT run_id FROM match)) FROM run"
MAYBE_FORCED = "SELECT count(*), coalesce(sum(lookups), 0)::BIGINT FROM maybe_forced"


def answer_notes(log: OpenLog, selection: Selection, total: int, kept: int) -> list[str]:
    """Return the notes on an answer that used `kept` of the log's `total` events."""
    notes = [*_early_notes(log), *_untimed_notes(log, selection)]
    if not total:
        notes += _no_events_notes(log)
    else:
        notes += unknown_name_notes(log, selection)
        if not kept:
            notes.append(_no_match_note(log, selection, total))
    if selection.chooses_events and (kept or not total):
        filters = (Option("source"), ", ", Option("event"), ", ", Option("status"), " and ", Option("where"))
        notes.append(Message(*filters, " select single events, not whole lookups: rates are of the selected events"))
    return [*notes, *_view_notes(log)]


def _early_notes(log: OpenLog) -> Iterator[str]:
    """Warn about times before any client reported events: probably seconds that were read as milliseconds."""
    earliest = fetch_rows(log.connection, EARLIEST, {})[0][0]
    if earliest is not None and earliest < FIRST_CLIENT_AT:
        yield (
            f"the earliest event is dated {earliest} UTC, before any client reported events: numbers are read as"
            " milliseconds since 1970; if the log has seconds, multiply them by 1000"
        )


def _untimed_notes(log: OpenLog, selection: Selection) -> Iterator[str]:
    if selection.since or selection.until:
        untimed = fetch_rows(log.connection, UNTIMED, {})[0][0]
        if untimed:
            yield f"{untimed:,} events without a time are excluded by the time filter"


def _no_events_notes(log: OpenLog) -> Iterator[str]:
    artifacts = fetch_rows(log.connection, ARTIFACTS, {})[0][0]
    if artifacts:
        yield (
            f"{artifacts:,} artifact metadata files give durations of tasks but no lookups: add an event log or run"
            " summaries"
        )


def unknown_name_notes(log: OpenLog, selection: Selection) -> list[str]:
    """Return a note for each team and CI vendor of the selection that the log does not contain."""
    notes = []
    for filter_name, (kind, query) in NAMED_FILTERS.items():
        names = getattr(selection, filter_name)
        known = {name for (name,) in fetch_rows(log.connection, query, {}) if name is not None} if names else set()
        notes += [f"no {kind} is called {name}{_suggestion(name, known)}" for name in names if name not in known]
    return notes


def _suggestion(name: str, known: Collection[str]) -> str:
    by_lower_case = {one.lower(): one for one in sorted(known)}
    near = closest_match(name.lower(), by_lower_case)
    return f"; did you mean {by_lower_case[near]}?" if near else ""


def _no_match_note(log: OpenLog, selection: Selection, total: int) -> str:
    """Return the note on filters that match nothing: what the log contains instead."""
    first_at, last_at, teams, vendors = fetch_rows(log.connection, LOG_CONTENTS, {})[0]
    note = f"the filters match none of {total:,} events; "
    note += f"the log covers {first_at} to {last_at} UTC" if first_at else "no event of the log has a time"
    for kind, values in (("teams", teams), ("CI vendors", vendors)):
        names = [value for value in values or () if value is not None]
        note += f"; {kind}: {', '.join(names[:MAX_LISTED_NAMES])}" if names else ""
    if log.view == "runs" and (selection.team or selection.ci or selection.status):
        note += "; run summaries have a team, CI or status only if they match a session"
    return note


def _view_notes(log: OpenLog) -> Iterator[str]:
    """Tell whether events or run summaries were counted, if the log has run summaries."""
    runs, matched = fetch_rows(log.connection, RUNS, {})[0]
    if runs and log.view == "events":
        note = f"answered from events; {matched:,} of {runs:,} run summaries match a session"
        others = (f", the other {runs - matched:,} are not counted; to count runs, use ", Option("view", "runs"))
        yield Message(note, *(others if matched < runs else ()))
    elif runs:
        yield (
            f"answered from run summaries ({runs:,}), not from events; a miss is assumed to have asked both caches,"
            " unless the session of the run shows only one"
        )
        forced, tasks = fetch_rows(log.connection, MAYBE_FORCED, {})[0]
        if forced:
            yield (
                f"{forced:,} of them missed every task although all had been built before: they may have been forced,"
                f" which turbo does not always record; their {tasks:,} tasks count as misses"
            )


MAX_LISTED = 3
"""How many duplicate files, and how many rejected events, notes describe one by one."""

REJECTS = """
SELECT f.name, line, item, reason, text FROM store.reject JOIN store.file f ON f.id = file_id WHERE file_id >= $first
"""


def require_logs(result: LoadResult, sources: Sequence[str]) -> None:
    """Raise an error if no log was read, because an answer of zeros would look like one about a log.

    Raises:
        InputError: the first file that could not be read, or the sources contain no log.
    """
    if result.files:
        return
    if result.errors:
        raise result.errors[0]
    names = ", ".join(sources)
    if result.dry_runs:
        raise InputError(f"{names}: only dry runs, which run no task; name event logs or summaries of real runs")
    raise InputError(f"{names}: no event log found; name files, directories or globs that contain one")


def load_notes(log: OpenLog) -> list[str]:
    """Return the notes on loading: on files, duplicates and rejects. Unreadable files are in `load_result.errors`."""
    result = log.load_result
    notes: list[str] = [Message(f"{report.name}: ", text) for report in result.files for text in report.notes]
    notes += _duplicate_notes([report for report in result.files if report.duplicate_of])
    if result.skipped:
        notes.append(f"skipped (not an event log): {_first_of(result.skipped)}")
    if result.dry_runs:
        notes.append(f"ignored (a dry run, which runs no task): {_first_of(result.dry_runs)}")
    if result.duplicate_runs:
        notes.append(f"ignored {result.duplicate_runs:,} run summaries: another summary has the same run id")
    return [*notes, *_reject_notes(log)]


def _first_of(names: Sequence[str]) -> str:
    others = len(names) - 1
    return names[0] + (f" and {others:,} more file{'s' * (others > 1)}" if others else "")


def _duplicate_notes(duplicates: Sequence[FileReport]) -> Iterator[str]:
    for report in duplicates[:MAX_LISTED]:
        same = f"the same content as {report.duplicate_of}" if report.duplicate_of != report.name else "already loaded"
        effect = "it counts once" if report.format in DOCUMENT_FORMATS else f"its {report.read:,} events count once"
        yield f"{report.name}: {same}; {effect}"
    if len(duplicates) > MAX_LISTED:
        yield f"{len(duplicates) - MAX_LISTED:,} more files are duplicates too"


def _reject_notes(log: OpenLog) -> Iterator[str]:
    # After loading into an archive, only the new files are reported, not all that it contains.
    counts = log.loaded_counts() if log.first_file_id else log.counts()
    if not counts.rejected:
        return
    yield Message(f"{counts.rejected:,} of {counts.read:,} events rejected; ", Option("rejects"), " lists all")
    rows = log.connection.execute(f"{REJECTS} LIMIT {MAX_LISTED}", {"first": log.first_file_id}).fetchall()
    for file, line, item, reason, text in rows:
        yield f"  {format_place(file, line, item)}: {reason}: {' '.join(text.split())}"
