"""The Python API: the questions of the command line, answered as Polars data frames. `analyzer` exports its names."""
