"""Files whose events have keys that nobody knows."""

from analyzer.questions.doctor.finding import MOST, Finding

SQL = f"""
SELECT sum(many)::BIGINT, count(*), {MOST}
FROM (SELECT name, unknown_keys AS many FROM file WHERE unknown_keys > 0) HAVING count(*) > 0 ORDER BY ALL
"""

FINDING = Finding(
    name="unknown_keys",
    severity="notice",
    definition="keys of events that are no column known here, and are ignored; filters do not matter",
    sql=SQL,
    what="{0:,} unknown keys are ignored, in {1:,} files: {2}",
    remedy="a note names the keys as a file is read; --map COLUMN=THEIRS where one is a column under another name",
)
