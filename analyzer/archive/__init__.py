"""What is loaded: a DuckDB database with the relations events, lookups, sessions, files and rejects."""
