"""Questions to the archive: one file a question, with definition, unit, caveats and SQL."""
