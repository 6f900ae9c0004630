"""The DuckDB archive of loaded logs, whose relations are views of `schema`."""
