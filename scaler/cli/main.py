"""The command line's entry: every module of this package with a ``register`` is a command."""

from __future__ import annotations

import importlib
import pkgutil

import typer

from scaler import __version__, cli

app = typer.Typer(
    name="scaler",
    help="Grow and shrink Kubernetes clusters safely.",
    epilog="Begin with: scaler lab up, scaler init --cluster lab, scaler add-node n1 --cluster lab",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scaler {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Grow and shrink Kubernetes clusters safely."""


for _module in sorted(module.name for module in pkgutil.iter_modules(cli.__path__)):
    if _module != "main" and hasattr(_command := importlib.import_module(f"scaler.cli.{_module}"), "register"):
        _command.register(app)


def main() -> None:
    """Run the command line."""
    app()
