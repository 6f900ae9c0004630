"""Questions to an open log: one module per command, which computes its tables and builds its `Report`."""
