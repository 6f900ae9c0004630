"""SQL that validates raw rows of events and converts the valid ones to typed columns.

A raw row (see `staging`) has a VARCHAR column for each field of the event schema, with the JSON text of its value or
NULL where it is absent or null, and these columns:

    line, item          its place in the file, both from 1; `line` is NULL where it is looked up later
    problem             why the reader found no event here, or NULL
    text                the JSON text of the event
    display_text        the text that a reject shows
    is_too_long         whether `text` is longer than an event may be
    may_have_more_keys  whether `text` may hold anything beside the fields

JSON text is a string if it is `< '#'`: strings start with a quote, and all other JSON values with a greater character.
"""

from analyzer.event import MAX_CI_LENGTH
from analyzer.readers.item import MAX_DEPTH, MAX_REJECT_CHARS, TOO_DEEP, TOO_LONG

# Validated rows of a batch of files, one for each raw row and in their order; `kind` is NULL where it is rejected. The
# columns from `session` to `interactive` are JSON text. The keys are hashes of that text, to join by within a load.
STAGED = """
CREATE OR REPLACE TEMP TABLE staged (
    file_id INTEGER, kind UTINYINT, duration_ms DOUBLE, happened_at TIMESTAMP, session_key UBIGINT, hash_key UBIGINT,
    context_key UBIGINT, session VARCHAR, hash VARCHAR, team_id VARCHAR, slug VARCHAR, ci VARCHAR, interactive VARCHAR,
    status INTEGER, issues VARCHAR);
"""

# The structure of `issues`, JSON text of rejected rows, and of those with unknown keys or with a time in seconds.
ISSUES_TYPE = (
    '{"line":"BIGINT","item":"BIGINT","reason":"VARCHAR","unknown_keys":["VARCHAR"],"in_seconds":"BOOLEAN",'
    '"text":"VARCHAR"}'
)

_NUMBER = r'"?-?\d+([.]\d+)?([eE][+]?\d+)?"?'
_OFFSET = r"(Z|UTC|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"
_ISO_TIME = rf'"\d{{4}}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?( ?{_OFFSET})?)?"'

# Clients have sent events since 2021, so the size of a number shows its unit: 1e11 seconds are in the year 5138, 1e11
# milliseconds in 1973.
_EPOCH = "try_cast(trim(timestamp, '\"') AS DOUBLE)"
_EPOCH_US = f"""
CASE WHEN abs({_EPOCH}) < 1e11 THEN {_EPOCH} * 1e6
     WHEN abs({_EPOCH}) < 1e14 THEN {_EPOCH} * 1e3
     WHEN abs({_EPOCH}) < 1e17 THEN {_EPOCH} ELSE try_cast(trim(timestamp, '"') AS BIGINT) // 1000 END
"""

# How most clients and databases write times: much faster to parse than the general form. In so many bytes, no number
# lacks a digit; to strptime, a space stands for several.
_USUAL_TIME = """
CASE WHEN strlen(timestamp) = 26 THEN try_strptime(timestamp, '"%Y-%m-%dT%H:%M:%S.%gZ"')
     WHEN strlen(timestamp) = 28 AND NOT contains(timestamp, '  ')
     THEN try_strptime(timestamp, '"%Y-%m-%d %H:%M:%S.%g+00"') END
"""
_HAPPENED_AT = f"""
coalesce(
    {_USUAL_TIME},
    CASE WHEN regexp_full_match(timestamp, '{_ISO_TIME}')
         THEN try_cast(regexp_replace(replace(timestamp[2:-2], ',', '.'), ' ?(UTC|Z)$', 'Z') AS TIMESTAMPTZ)::TIMESTAMP
         WHEN regexp_full_match(timestamp, '{_NUMBER}') THEN try(make_timestamp(try_cast({_EPOCH_US} AS BIGINT))) END)
"""

# The products are the values of `kind`: 1 LOCAL HIT, 2 LOCAL MISS, 4 REMOTE HIT, 8 REMOTE MISS.
_PARSED = f"""
SELECT *, CASE event WHEN '"HIT"' THEN 1::UTINYINT WHEN '"MISS"' THEN 2::UTINYINT END
          * CASE source WHEN '"LOCAL"' THEN 1::UTINYINT WHEN '"REMOTE"' THEN 4::UTINYINT END AS parsed_kind,
       try_cast(duration AS DOUBLE) AS duration_ms, {_HAPPENED_AT} AS happened_at,
       CASE WHEN timestamp NOT LIKE '"____-%' THEN abs({_EPOCH}) < 1e11 END AS in_seconds,
       CASE WHEN problem IS NULL AND may_have_more_keys THEN json_keys(text::JSON) END AS keys
FROM ({{raw}})
"""

# DuckDB takes the first of duplicate keys, and accepts trailing commas, NaN and infinity. The patterns look for these
# in `tokens`, the text with its strings emptied. `is_nested`: inner keys are left to REJECT_INNER_DUPLICATES.
_KEYS_CHECKED = f"""
SELECT * EXCLUDE (keys, tokens), CASE WHEN keys IS NOT NULL THEN {{
           'duplicate': CASE WHEN len(list_distinct(keys)) < len(keys)
                             THEN list_filter(keys, lambda k, i: list_position(keys, k) < i)[1] END,
           'unknown': list_filter(keys, lambda k: NOT list_contains($known_keys, k)),
           'not_json': regexp_matches(tokens, ',\\s*[}}\\]]|(?i)nan|inf'),
           'too_deep': regexp_matches(tokens, '([{{\\[][^{{}}\\[\\]]*){{{MAX_DEPTH + 1}}}'),
           'is_nested': regexp_matches(tokens, '\\{{[^{{]*\\{{')
       }} END AS key_issues
FROM (SELECT *, CASE WHEN keys IS NOT NULL THEN regexp_replace(text, '"(\\\\.|[^"\\\\])*"', '""', 'g') END AS tokens
      FROM ({_PARSED}))
"""

# Lengths include the quotes. The CASEs spare the rows without a value, and `ci` is only unescaped if it is long.
_VALID = f"""
parsed_kind IS NOT NULL AND "sessionId" < '#' AND strlen("sessionId") > 2 AND hash < '#' AND strlen(hash) > 2
AND CASE WHEN duration IS NOT NULL THEN duration_ms >= 0 AND duration_ms < 'infinity'::DOUBLE ELSE true END
AND CASE WHEN timestamp IS NOT NULL THEN happened_at >= TIMESTAMP '0001-01-01' AND happened_at < TIMESTAMP '9999-12-31'
         ELSE true END
AND ("teamId" < '#') IS NOT FALSE AND (slug < '#') IS NOT FALSE AND (ci < '#') IS NOT FALSE
AND CASE WHEN strlen(ci) > {MAX_CI_LENGTH + 2} THEN len(ci->>'$') <= {MAX_CI_LENGTH} ELSE true END
AND CASE WHEN interactive IS NOT NULL THEN interactive IN ('0', '1', 'false', 'true') ELSE true END
AND CASE WHEN status IS NOT NULL THEN regexp_full_match(status, '\\d{{1,9}}') ELSE true END
"""

_VALIDATED = f"""
SELECT *, CASE WHEN problem IS NULL AND key_issues.duplicate IS NULL AND key_issues.not_json IS NOT TRUE
                    AND key_issues.too_deep IS NOT TRUE AND NOT is_too_long
                    AND {_VALID} THEN parsed_kind END AS kind
FROM ({_KEYS_CHECKED})
"""


def _check_string(name: str) -> str:
    return f"""WHEN "{name}" >= '#' THEN '{name} is not a string'"""


def _check_required(name: str) -> str:
    return f"""
            WHEN "{name}" IS NULL THEN '{name} is missing' {_check_string(name)}
            WHEN strlen("{name}") = 2 THEN '{name} is empty'"""


_REASON = f"""
       CASE WHEN problem IS NOT NULL THEN problem
            WHEN key_issues.duplicate IS NOT NULL THEN 'duplicate key "' || key_issues.duplicate || '"'
            WHEN key_issues.not_json AND isfinite(duration_ms) IS NOT FALSE THEN 'not JSON'
            WHEN is_too_long THEN '{TOO_LONG}' WHEN key_issues.too_deep THEN '{TOO_DEEP}'
            WHEN text IS NOT NULL AND json_type(text::JSON) <> 'OBJECT' THEN 'not a JSON object'
            {_check_required("sessionId")} {_check_required("hash")}
            WHEN source IS NULL THEN 'source is missing'
            WHEN source NOT IN ('"LOCAL"', '"REMOTE"') THEN 'source is not LOCAL or REMOTE'
            WHEN event IS NULL THEN 'event is missing'
            WHEN event NOT IN ('"HIT"', '"MISS"') THEN 'event is not HIT or MISS'
            WHEN duration IS NOT NULL AND duration_ms IS NULL THEN 'duration is not a number'
            WHEN duration_ms < 0 THEN 'duration is negative'
            WHEN NOT isfinite(duration_ms) THEN 'duration is not finite'
            WHEN timestamp IS NOT NULL AND (happened_at IS NULL OR happened_at < TIMESTAMP '0001-01-01'
                                            OR happened_at >= TIMESTAMP '9999-12-31')
            THEN 'timestamp is not a time (ISO 8601, or seconds or milliseconds since 1970)'
            {_check_string("teamId")} {_check_string("slug")} {_check_string("ci")}
            WHEN len(ci->>'$') > {MAX_CI_LENGTH} THEN 'ci is longer than {MAX_CI_LENGTH} characters'
            WHEN interactive NOT IN ('0', '1', 'false', 'true') THEN 'interactive is not 0 or 1'
            WHEN status IS NOT NULL THEN 'status is not an integer' ELSE 'not a valid event' END
"""

_ISSUES = f"""
CASE WHEN kind IS NULL OR len(key_issues.unknown) > 0 OR in_seconds
     THEN {{'line': line, 'item': item, 'reason': CASE WHEN kind IS NULL THEN {_REASON} END,
             'unknown_keys': key_issues.unknown, 'in_seconds': in_seconds,
             'text': CASE WHEN kind IS NULL THEN left(display_text, {MAX_REJECT_CHARS})
                          WHEN key_issues.is_nested THEN text END}}::JSON::VARCHAR END
"""

# The columns of `staged`, but for `file_id`, from the rows of `{raw}`. `$known_keys` are the keys of an event.
VALIDATED_EVENTS = f"""
SELECT kind, duration_ms, happened_at, hash("sessionId") AS session_key, hash(hash) AS hash_key,
       hash("teamId", slug, ci, interactive) AS context_key, "sessionId" AS session, hash, "teamId" AS team_id, slug,
       ci, interactive, try_cast(status AS INTEGER) AS status, {_ISSUES} AS issues
FROM ({_VALIDATED})
"""

# Rejects the valid rows of a file with a duplicate key in an inner object.
REJECT_INNER_DUPLICATES = f"""
UPDATE staged SET kind = NULL, issues = d.issues FROM (
    SELECT row_id, json_merge_patch(
               issues, {{'reason': 'duplicate key "' || min(key) || '"', 'text': left(text, {MAX_REJECT_CHARS})}}::JSON
           )::VARCHAR AS issues
    FROM (SELECT row_id, s.issues, text, key FROM (
              SELECT rowid AS row_id, issues, from_json(issues, '{ISSUES_TYPE}').text AS text
              FROM staged WHERE file_id = $file_id AND kind IS NOT NULL AND issues IS NOT NULL) s,
              json_tree(text::JSON)
          GROUP BY row_id, s.issues, text, key, fullkey HAVING count(*) > 1)
    GROUP BY row_id, issues, text) d
WHERE staged.rowid = d.row_id
"""

STAGE_EVENTS = f"INSERT INTO staged BY NAME SELECT $file_id::INTEGER AS file_id, * FROM ({VALIDATED_EVENTS})"
