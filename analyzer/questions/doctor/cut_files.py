"""Files that end before their end: damaged, or cut off in an item."""

from analyzer.questions.doctor.finding import Finding

SQL = """
WITH cut AS (
    SELECT name, damage AS why FROM file WHERE damage IS NOT NULL
    UNION ALL
    SELECT name, 'it ends inside an item' FROM file
    WHERE damage IS NULL AND id IN (SELECT file_id FROM reject WHERE reason LIKE 'cut off%'))
SELECT count(*), array_to_string([format('{} ({})', e.name, e.why) for e in min({'name': name, 'why': why}, 3)], ', ')
FROM cut HAVING count(*) > 0 ORDER BY ALL
"""

FINDING = Finding(
    name="cut_files",
    severity="problem",
    definition="files whose compression is damaged, or that end inside an item; filters do not matter",
    sql=SQL,
    what="{0:,} files are not whole: {1}; everything before that was read",
    remedy="fetch the files again, or wait until they are written; a loaded file that is whole now is loaded beside the"
    " cut one, and its lookups count once",
)
