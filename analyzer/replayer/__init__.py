"""Uploads selected events to the API in chunks, and never one of them twice. Analysis does not know of it."""
