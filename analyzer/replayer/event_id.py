"""What an event is known by: the text it is sent as, and that text's digest.

Of rows with `session_id`, `hash_id`, `kind` and `duration_ms`, and `repeat` for the digest, joined with their names.
"""

ITEM = """
'{"sessionId":' || to_json(s.session) || CASE kind WHEN 1 THEN ',"source":"LOCAL","event":"HIT","hash":'
    WHEN 2 THEN ',"source":"LOCAL","event":"MISS","hash":' WHEN 4 THEN ',"source":"REMOTE","event":"HIT","hash":'
    ELSE ',"source":"REMOTE","event":"MISS","hash":' END || to_json(h.hash)
    || CASE WHEN duration_ms IS NULL THEN '' WHEN duration_ms = trunc(duration_ms) AND duration_ms < 9e15
            THEN ',"duration":' || duration_ms::BIGINT ELSE ',"duration":' || to_json(duration_ms) END || '}'
"""
"""An event as it is sent: the five keys, in the order clients write them, without a duration that is not known."""

DIGEST = f"md5(({ITEM}) || '#' || repeat)"
NAMED = "JOIN store.session s ON s.id = session_id JOIN store.hash h ON h.id = hash_id"
