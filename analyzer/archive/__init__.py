"""The DuckDB archive of loaded logs, with the relations events, lookups, sessions, runs, tasks, files and rejects."""
