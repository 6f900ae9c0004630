"""From tables to bytes: one function a format, one list. No format knows a metric by name."""
