"""One use case a command: no Typer, no rich."""
