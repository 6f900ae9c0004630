"""What is loaded: a DuckDB database with the relations events, lookups, sessions, runs, tasks, files and rejects."""
