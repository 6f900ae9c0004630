"""The Python API: what the command line answers, as Polars data frames. `analyzer` itself exports its names."""
