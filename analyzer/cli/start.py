"""What `analyzer` alone says: the five things people do with it."""

SCREEN = """\
analyzer: understand a remote build cache from its usage events, offline.

Is the cache worth it?           analyzer stats sample_data
Why did we miss?                 analyzer misses sample_data
Did last week change anything?   analyzer compare sample_data
Show it to the team.             analyzer report sample_data -o report.html
Upload archived events.          analyzer replay sample_data --team web --api https://cache.example.com

sample_data comes with the source; name your own logs, directories or globs in its place:
.turbo/runs (turbo run build --summarize), a proxy's request log, HAR, NDJSON, CSV, Parquet.

All commands: analyzer --help      One of them: analyzer stats --help
"""
