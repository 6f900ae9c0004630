"""Files with lines that are no valid events."""

from analyzer.questions.doctor.finding import MOST, Finding

SQL = f"""
WITH reasons AS (SELECT reason AS name, count(*) AS many FROM reject GROUP BY reason),
files AS (SELECT name, rejected AS many FROM file WHERE rejected > 0)
SELECT sum(many)::BIGINT, (SELECT sum(read)::BIGINT FROM file), count(*), (SELECT {MOST} FROM reasons), {MOST}
FROM files HAVING count(*) > 0 ORDER BY ALL
"""

FINDING = Finding(
    name="rejects",
    severity="problem",
    definition="lines or items that are no valid events; filters do not matter",
    sql=SQL,
    what="{0:,} of {1:,} events are rejected, in {2:,} files: {3}; in {4}",
    remedy="--rejects FILE writes all of them with their places; where columns are named otherwise, --map"
    " COLUMN=THEIRS; repair what writes them",
)
