"""Reads logs: from the bytes of a file to its items. `formats` lists the formats, each with its reader."""
