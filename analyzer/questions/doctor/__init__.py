"""What can be wrong with the log itself: one file a finding, and the list in `findings.py`."""
