"""Runs a plan: events, journal, lock, and undo."""
