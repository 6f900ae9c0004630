"""Write reports in the output formats; no format knows a measure by name."""
