"""From the bytes of a log to its items: one file a format, one list."""
