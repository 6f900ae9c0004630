"""Offline analysis of remote build cache usage events."""
