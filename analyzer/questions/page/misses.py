"""The sections on misses: why lookups missed, what to fix first, and how long to keep artifacts."""

from collections.abc import Iterator
from dataclasses import replace

from analyzer.errors import Message, Option
from analyzer.questions.causes import attribute, causes_table, suspects_table
from analyzer.questions.hash_changes import has_runs
from analyzer.questions.misses import KEY_COLUMNS, classes_table, classify, default_key, top_misses_table
from analyzer.questions.retention import retention_tables
from analyzer.questions.scope import Scope, select_scope
from analyzer.table import (
    COUNT,
    FACTOR,
    MS_CHANGE,
    RATIO,
    RATIO_CHANGE,
    TEXT,
    Chart,
    Section,
    Sections,
    Sentence,
    Table,
)

CLASS_COLUMNS = (
    "class", "misses", "share", "sessions", "time_lost_ms", "imputed_coverage", "avoidable", "definition",
)  # fmt: skip
TOP_COLUMNS = ("avoidable_time_ms", "avoidable_misses", "likely_causes", "last_seen")
CAUSE_COLUMNS = (
    "cause", "misses", "shared", "time_lost_ms", "imputed_coverage", "tasks", "runs", "last_seen", "example",
)  # fmt: skip
MAX_TOP_MISSES, MAX_SUSPECTS = 15, 3


def misses_sections(scope: Scope, retention_days: float) -> Sections:
    """Yield the sections of misses by class, and of the misses with the most avoidable time."""
    classified = classify(scope, retention_days, MAX_TOP_MISSES)
    classes = classes_table(classified)
    if classes.rows:
        yield _classes_section(classes)
    yield from _causes_section(scope)
    key = default_key(classified)
    top = top_misses_table(scope, classified, key, MAX_TOP_MISSES)
    if top.rows:
        text = "The avoidable misses that cost the most task time. Causes are candidates to verify."
        table = top.select([*(column.name for column in KEY_COLUMNS[key]), *TOP_COLUMNS])
        yield Section("top-misses", "Top misses", [Sentence(text)], table.name, "Top misses", brief=True), table


def _causes_section(scope: Scope) -> Sections:
    """Yield the section of what changed hashes, where runs with a summary had misses with a changed hash."""
    if scope.log.divided or not has_runs(scope.log):
        return
    found = attribute(select_scope(scope.log.runs_view(), scope.selection))
    table = causes_table(found, MAX_TOP_MISSES)
    if not table.rows:
        return
    ((misses, changed),) = found.rows("SELECT count(*), count(*) FILTER (is_changed) FROM {missed}")
    text = "Run summaries show {} misses; of {} the hash had changed. These changes cost the most task time."
    sentences = [Sentence(text, [(misses, COUNT), (changed, COUNT)])]
    text = "{} changed the hash of {} tasks in {} of their runs; {}."
    for row in suspects_table(found).records()[:MAX_SUSPECTS]:
        values = [(row["cause"], TEXT), (row["tasks"], COUNT), (row["changed_share"], RATIO), (row["advice"], TEXT)]
        sentences.append(Sentence(text, values))
    section = Section("causes", "What invalidated the cache", sentences, table.name, "Costliest causes", brief=True)
    yield section, table.select(CAUSE_COLUMNS)


def causes_left_out(scope: Scope) -> list[str]:
    """Return a note if a divided log has run summaries, whose causes are not shown."""
    if not scope.log.divided or not has_runs(scope.log):
        return []
    return [Message("left out: what invalidated the cache, which run summaries show: leave out ", Option("engine"))]


def _classes_section(classes: Table) -> tuple[Section, Table]:
    table = classes.select(CLASS_COLUMNS)
    # The page has room for details such as the definition, which a terminal leaves out.
    table = replace(table, columns=[replace(column, detail=False) for column in table.columns])
    text = "Misses are avoidable where the artifact had been built before. Classes are candidates to verify."
    section = Section(
        "misses", "Why lookups missed", [Sentence(text)], table.name, "Misses by class", bars="time_lost_ms",
        brief=True,
    )  # fmt: skip
    return section, table


def retention_section(scope: Scope, days: float) -> Sections:
    """Yield the section of the retention curve, where lookups asked the remote cache."""
    observed, curve, steps = retention_tables(scope, days)
    if not observed.rows:
        return
    title = "Remote hit rate by days kept"
    lines = "Lines over the days of retention, counted from upload and from last use; hollow points are extrapolated."
    chart = Chart("line", title, lines, "days", ("remote_hit_rate",), "policy", "extrapolated", at=days)
    text = "The curve assumes that every miss is uploaded. Retention of over half of the log's time is extrapolated."
    sentences = [*_longer_retention(curve, steps, days), Sentence(text)]
    yield Section("retention", "How long to keep artifacts", sentences, curve.name, "Retention curve", [chart]), curve


def _longer_retention(curve: Table, steps: Table, days: float) -> Iterator[Sentence]:
    """Yield a sentence on the first listed retention of at least twice the present one."""
    # `steps` has a row for each retention of the curve except the present one, in the same order: absolute ones first.
    others = [row["days"] for row in curve.records() if row["days"] != days]
    step = next((row for row, other in zip(steps.records(), others, strict=True) if other >= 2 * days), None)
    if step and step["extrapolated"]:
        yield Sentence("The log is too short to estimate the effect of retention {}.", [(step["step"], TEXT)])
    elif step:
        text = "Changing retention {} (from upload): remote hit rate {}, time saved per week {}, {} as many artifacts."
        values = [(step["step"], TEXT), (step["hit_rate_change"], RATIO_CHANGE)]
        values += [(step["saved_a_week_change_ms"], MS_CHANGE), (step["artifacts_factor"], FACTOR)]
        yield Sentence(text, values)
