"""Uploads selected events to the API in chunks, each event at most once. Analysis does not depend on it."""
