"""Thin: options, one call into app, one call into ui; a command a file, found by itself."""
