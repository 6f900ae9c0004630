"""How long artifacts should be kept."""

from analyzer.questions.page.context import PageContext, Parts, row_dicts
from analyzer.questions.retention import retention_tables
from analyzer.table import FACTOR, MS_CHANGE, RATIO_CHANGE, Chart, Section, Sentence


def retention_section(subject: PageContext) -> Parts:
    """Give the section of the retention curve, where lookups asked the remote cache."""
    days = subject.options.retention_days
    observed, curve, steps = retention_tables(subject.asked.selected, days)
    if not observed.rows:
        return
    told = [Sentence("Every miss is taken to be uploaded. What is longer than half the log can be shown only in part.")]
    others = [row["days"] for row in row_dicts(curve) if row["policy"] == "absolute" and row["days"] != days]
    absolute = [step for step in row_dicts(steps) if step["policy"] == "absolute"]
    longer = [step for step, other in zip(absolute, others, strict=True) if other >= 2 * days]
    if longer and (longer[0]["extrapolated"] or longer[0]["saved_a_week_change_ms"] is None):
        told.insert(0, Sentence("The log is too short to tell what {} would give.", [(longer[0]["step"], "")]))
    elif longer:
        names = ("hit_rate_change", "saved_a_week_change_ms", "artifacts_factor")
        values = zip((longer[0][name] for name in names), (RATIO_CHANGE, MS_CHANGE, FACTOR), strict=True)
        text = "{}: {}, {} saved a week, {} the artifacts (counted from the upload)."
        told.insert(0, Sentence(text, [(longer[0]["step"], ""), *values]))
    what = "Lines over the days that artifacts are kept, from upload and from last use; hollow where the log is short."
    chart = Chart(
        "line", "Remote hit rate by days kept", what, "days", ("remote_hit_rate",), "policy", "extrapolated", at=days
    )
    yield Section("How long to keep artifacts", told, curve.name, [chart]), curve
