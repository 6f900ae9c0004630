"""What each command answers: its tables, where their input went, and what must be said beside them."""
