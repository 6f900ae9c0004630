"""From raw rows to staged ones: each is judged, and a valid one gets its types.

A staged row has the integers that loading joins by (`session_key`, `hash_key`, `context_key`: hashes of the JSON
text, good for one load only); its `kind` is null where it is no valid event, and its `fault` says why.

`size` is the least number of bytes that an event with these fields takes on a line of its own. Where the text is
as short as that, it holds no key twice, no unknown key and nothing else: the proof that the fast reading rests on.

JSON text is a string where it is `< '#'`: it starts with a quote, and every other value with a greater character.
"""

from collections.abc import Collection

from analyzer.event import ENVELOPE_FIELDS, FIELD_NAMES, MAX_CI_LENGTH
from analyzer.readers.item import MAX_REJECT_CHARS

UNPROVEN_BYTES = 1_000_000_000

# A fractional number may have been shorter in the file than DuckDB writes it: such a row proves nothing.
_SIZE = (
    "1 + "
    + " + ".join(f'coalesce(strlen("{name}") + {len(name) + 4}, 0)' for name in FIELD_NAMES)
    + " + CASE WHEN contains(duration, '.') OR CASE WHEN timestamp >= '#' THEN contains(timestamp, '.') END"
    + " OR contains(status, '.') OR contains(interactive, '.')"
    + f" THEN {UNPROVEN_BYTES} ELSE 0 END"
)

# Most logs write times in the first way; the others cost more to parse.
_ISO = r'"\d{{4}}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.]\d+)?)? ?(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?)?"'
_HAPPENED_AT = f"""
coalesce(try_strptime(timestamp, '"%Y-%m-%dT%H:%M:%S.%gZ"'),
         CASE WHEN timestamp >= '#'
              THEN try(make_timestamp(try_cast(try_cast(timestamp AS DOUBLE) * 1000 AS BIGINT)))
              WHEN regexp_full_match(timestamp, '{_ISO}')
              THEN try_cast(timestamp[2:-2] AS TIMESTAMPTZ)::TIMESTAMP END)
"""

_TYPED = f"""
SELECT *, {_SIZE} AS size,
       CASE event WHEN '"HIT"' THEN 1::UTINYINT WHEN '"MISS"' THEN 2::UTINYINT END
       * CASE source WHEN '"LOCAL"' THEN 1::UTINYINT WHEN '"REMOTE"' THEN 4::UTINYINT END AS judged_kind,
       try_cast(duration AS DOUBLE) AS duration_ms, {_HAPPENED_AT} AS happened_at
FROM ({{raw}})
"""

_CHECKED = """
SELECT * EXCLUDE (keys), CASE WHEN keys IS NULL THEN NULL ELSE {{
           'repeated': CASE WHEN len(list_distinct(keys)) < len(keys)
                            THEN list_filter(keys, lambda k, i: list_position(keys, k) < i)[1] END,
           'unknown': list_filter(keys, lambda k: NOT list_contains($known, k)),
           'trailing_comma': regexp_matches(regexp_replace(text, '"(\\\\.|[^"\\\\])*"', '""', 'g'), ',\\s*[}}\\]]')
       }} END AS oddity
FROM (SELECT *, CASE WHEN problem IS NULL AND text_bytes <> size THEN json_keys(text::JSON) END AS keys
      FROM ({typed}))
"""


def _text_check(name: str) -> str:
    return f"""WHEN "{name}" >= '#' THEN '{name} is not a string'"""


def _required_check(name: str) -> str:
    return f"""
            WHEN "{name}" IS NULL THEN '{name} is missing' {_text_check(name)}
            WHEN strlen("{name}") = 2 THEN '{name} is empty'"""


_VALID = f"""
judged_kind IS NOT NULL AND "sessionId" < '#' AND strlen("sessionId") > 2 AND hash < '#' AND strlen(hash) > 2
AND CASE WHEN duration IS NOT NULL THEN duration_ms >= 0 AND duration_ms < 'infinity'::DOUBLE ELSE true END
AND CASE WHEN timestamp IS NOT NULL THEN happened_at >= TIMESTAMP '0001-01-01' AND happened_at < TIMESTAMP '9999-12-31'
         ELSE true END
AND ("teamId" < '#') IS NOT FALSE AND (slug < '#') IS NOT FALSE AND (ci < '#') IS NOT FALSE
AND CASE WHEN strlen(ci) > {MAX_CI_LENGTH + 2} THEN len(ci->>'$') <= {MAX_CI_LENGTH} ELSE true END
AND CASE WHEN interactive IS NOT NULL THEN interactive IN ('0', '1', 'false', 'true') ELSE true END
AND CASE WHEN status IS NOT NULL THEN regexp_full_match(status, '\\d{{1,9}}') ELSE true END
"""

_SOUND = "problem IS NULL AND oddity.repeated IS NULL AND oddity.trailing_comma IS NOT TRUE"

_REASON = f"""
       CASE WHEN problem IS NOT NULL THEN problem
            WHEN oddity.repeated IS NOT NULL THEN 'duplicate key "' || oddity.repeated || '"'
            WHEN oddity.trailing_comma THEN 'not JSON'
            WHEN text IS NOT NULL AND json_type(text::JSON) <> 'OBJECT' THEN 'not a JSON object'
            {_required_check("sessionId")} {_required_check("hash")}
            WHEN source IS NULL THEN 'source is missing'
            WHEN source NOT IN ('"LOCAL"', '"REMOTE"') THEN 'source is not LOCAL or REMOTE'
            WHEN event IS NULL THEN 'event is missing'
            WHEN event NOT IN ('"HIT"', '"MISS"') THEN 'event is not HIT or MISS'
            WHEN duration IS NOT NULL AND duration_ms IS NULL THEN 'duration is not a number'
            WHEN duration_ms < 0 THEN 'duration is negative'
            WHEN NOT isfinite(duration_ms) THEN 'duration is not finite'
            WHEN timestamp IS NOT NULL AND (happened_at IS NULL OR happened_at < TIMESTAMP '0001-01-01'
                                            OR happened_at >= TIMESTAMP '9999-12-31')
            THEN 'timestamp is not a time (ISO 8601 or epoch milliseconds)'
            {_text_check("teamId")} {_text_check("slug")} {_text_check("ci")}
            WHEN len(ci->>'$') > {MAX_CI_LENGTH} THEN 'ci is longer than {MAX_CI_LENGTH} characters'
            WHEN interactive NOT IN ('0', '1', 'false', 'true') THEN 'interactive is not 0 or 1'
            WHEN status IS NOT NULL THEN 'status is not an integer' ELSE 'not a valid event' END
"""

_FAULT = f"""
CASE WHEN kind IS NULL OR len(oddity.unknown) > 0
     THEN {{'line': line, 'item': item, 'unknown': oddity.unknown, 'reason': CASE WHEN kind IS NULL THEN {_REASON} END,
           'text': CASE WHEN kind IS NULL THEN left(shown, {MAX_REJECT_CHARS}) END}}::JSON::VARCHAR END
"""

CONTEXT = ("teamId", "slug", "ci", "interactive")
_CONTEXT = "'[' || " + " || ',' || ".join(f"""coalesce("{name}", 'null')""" for name in CONTEXT) + " || ']'"

_FIELDS = f"""
$file_id::INTEGER AS file_id, size, kind, duration_ms, happened_at, hash("sessionId") AS session_key,
hash(hash) AS hash_key, hash("teamId", slug, ci, interactive) AS context_key, "sessionId" AS session, hash,
CASE WHEN hash(hash) & $sample = 0 THEN {_CONTEXT} END AS context, try_cast(status AS INTEGER) AS status
"""

FAULT_TYPE = '{"line":"BIGINT","item":"BIGINT","reason":"VARCHAR","unknown":["VARCHAR"],"text":"VARCHAR"}'
"""The structure of `fault`, JSON text that only rows at fault have, and those with unknown keys."""

SAMPLE = 15
"""Of many rows `context` is written for one hash in sixteen: nearly every context has one of those."""

TABLES = """
CREATE OR REPLACE TEMP TABLE rare_context (context_key UBIGINT, context VARCHAR);
CREATE OR REPLACE TEMP TABLE new_reject AS FROM store.reject LIMIT 0;
CREATE OR REPLACE TEMP TABLE staged (
    file_id INTEGER, size BIGINT, duration_ms DOUBLE, happened_at TIMESTAMP, session_key UBIGINT, hash_key UBIGINT,
    context_key UBIGINT, session VARCHAR, hash VARCHAR, context VARCHAR, status INTEGER, kind UTINYINT, fault VARCHAR)
"""
"""What a batch of files is gathered in, outside of any transaction, before it is merged in one."""


def checked(raw: str, into: str = "staged") -> str:
    """Return the SQL that stages `raw`, each row checked by its own text."""
    typed = _CHECKED.format(typed=_TYPED.format(raw=raw))
    judged = f"SELECT *, CASE WHEN {_SOUND} AND {_VALID} THEN judged_kind END AS kind FROM ({typed})"
    return f"INSERT INTO {into} BY NAME SELECT {_FIELDS}, {_FAULT} AS fault FROM ({judged})"


def unproven(raw: str) -> str:
    """Return the SQL of staged rows of `raw`, not one of them checked by its text.

    They hold only if no `kind` is null and the sum of `size` shows that the text held nothing else.
    """
    judged = f"SELECT *, CASE WHEN {_VALID} THEN judged_kind END AS kind FROM ({_TYPED.format(raw=raw)})"
    return f"SELECT {_FIELDS} FROM ({judged})"


UNTOLD = "SELECT context_key FROM staged WHERE kind IS NOT NULL GROUP BY context_key HAVING count(context) = 0"


def rare_contexts(raw: str) -> str:
    """Return the SQL that looks up in `raw` those contexts that no staged row tells."""
    return f"""
    INSERT INTO rare_context SELECT context_key, any_value(context) FROM ({unproven(raw)})
    WHERE context_key IN ({UNTOLD}) GROUP BY context_key
    """


_ENVELOPE_NAMES = {column.name for column in ENVELOPE_FIELDS}
_CONTEXT_TYPE = "STRUCT(" + ", ".join(f'"{column.name}" JSON' for column in ENVELOPE_FIELDS) + ")"

ITEM_COLUMNS = {
    "line": "BIGINT",
    "item": "BIGINT",
    "problem": "VARCHAR",
    "text": "VARCHAR",
    "shown": "VARCHAR",
    "context": _CONTEXT_TYPE,
}

DIRECT = """
SELECT NULL::BIGINT AS line, 1::BIGINT AS item, NULL::VARCHAR AS problem, NULL::VARCHAR AS text,
       NULL::VARCHAR AS shown, NULL::BIGINT AS text_bytes, {fields}
FROM read_json($path, format='newline_delimited', columns=$columns, compression=$compression,
               auto_detect=false, ignore_errors=true, hive_partitioning=false)
"""


def direct_rows(present: Collection[str]) -> str:
    """Return the relation of NDJSON, read the fast way: only the columns that are `present`.

    A repeated or unknown key does not show, so what this gives must be proven (see staging).
    """
    fields = (
        f'"{name}"::VARCHAR AS "{name}"' if name in present else f'NULL::VARCHAR AS "{name}"' for name in FIELD_NAMES
    )
    return DIRECT.format(fields=", ".join(fields))


# By place, not by name: the file may name its columns otherwise.
_FOUND_FIELDS = {name: f"struct_extract_at(found, {place})" for place, name in enumerate(FIELD_NAMES, start=1)}
_FOUND = ", ".join(f'{field}::VARCHAR AS "{name}"' for name, field in _FOUND_FIELDS.items())
_FOUND_OR_CONTEXT = ", ".join(
    f'coalesce({field}, context."{name}")::VARCHAR AS "{name}"'
    if name in _ENVELOPE_NAMES
    else f'{field}::VARCHAR AS "{name}"'
    for name, field in _FOUND_FIELDS.items()
)

LINES = f"""
SELECT NULL::BIGINT AS line, 1::BIGINT AS item, problem, text, text AS shown, strlen(text) AS text_bytes, {_FOUND}
FROM (SELECT CASE WHEN json IS NULL THEN 'not JSON' END AS problem, json::VARCHAR AS text,
             json_transform(json, $structure) AS found
      FROM read_ndjson_objects($path, compression=$compression, ignore_errors=true))
"""
"""NDJSON with the text of each line beside its fields."""

ITEMS = f"""
SELECT line, item, coalesce(problem, CASE WHEN json IS NULL THEN 'not JSON' END) AS problem, text,
       coalesce(shown, text) AS shown, strlen(text) AS text_bytes, {_FOUND_OR_CONTEXT}
FROM (SELECT *, json_transform(json, $structure) AS found
      FROM (SELECT *, CASE WHEN problem IS NULL THEN try_cast(text AS JSON) END AS json
            FROM read_json($path, format='newline_delimited', columns=$columns, compression=$compression,
                           auto_detect=false, hive_partitioning=false)))
"""
"""The items that a reader found, written down one a line (see spool)."""

PARQUET = """
SELECT file_row_number + 1 AS line, 1::BIGINT AS item, NULL::VARCHAR AS problem, to_json(row)::VARCHAR AS text,
       to_json(row)::VARCHAR AS shown,
       NULL::BIGINT AS text_bytes, {fields}
FROM read_parquet($path, file_row_number=true, hive_partitioning=false) AS row
"""


def parquet_rows(columns: dict[str, str], floats: Collection[str] = ()) -> str:
    """Return the relation of a Parquet file: `columns` gives the file's column for names of the schema it has.

    Whole numbers of `floats` among the file's columns are integers: so data frames keep integers that may be absent.
    """
    fields = (
        f"{_json_of(_identifier(columns[name]), is_float=columns[name] in floats)}::VARCHAR"
        if name in columns
        else "NULL::VARCHAR"
        for name in FIELD_NAMES
    )
    return PARQUET.format(
        fields=", ".join(f'{field} AS "{name}"' for field, name in zip(fields, FIELD_NAMES, strict=True))
    )


def _json_of(column: str, *, is_float: bool) -> str:
    if not is_float:
        return f"to_json({column})"
    whole = f"CASE WHEN {column} = trunc({column}) THEN try_cast({column} AS BIGINT) END"
    return f"coalesce(to_json({whole}), to_json({column}))"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
