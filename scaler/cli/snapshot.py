"""``scaler snapshot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scaler.cli.options import Cluster, Format
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler snapshot --cluster prod

scaler snapshot --cluster prod --keep 30 --directory /srv/backup/etcd"""


def snapshot(
    cluster: Cluster,
    keep: Annotated[int, typer.Option(min=1, help="So many of those that this command made are kept.")] = 7,
    directory: Annotated[Path | None, typer.Option(help="Where to; else below the state directory.")] = None,
    output: Format = Output.text,
) -> None:
    """Take a snapshot of etcd onto this machine: saved on a voter, verified there, copied, and compared.

    Exit code 0: it is there. 7: no member answers. 8: what arrived is not what was sent.
    """
    with reporting("snapshot", output) as report:
        from scaler.app import snapshot as use_case
        from scaler.app.session import opened, read_cluster

        known = read_cluster(cluster)
        with opened(known) as session:
            taken = use_case.take(session, directory, keep=keep, progress=report.say)
        data = {
            "snapshot": str(taken.path),
            "revision": taken.revision,
            "keys": taken.keys,
            "bytes": taken.size,
            "sha256": taken.digest,
            "removed": [str(path) for path in taken.removed],
        }
        told = f"{taken.path}: revision {taken.revision}, {taken.keys} keys, {taken.size >> 10} KiB"
        report.result(data, lambda: typer.echo(told))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("snapshot", epilog=_EPILOG)(snapshot)
