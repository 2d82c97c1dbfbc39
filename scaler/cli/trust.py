"""``scaler trust``."""

from __future__ import annotations

from typing import Annotated

import typer

from scaler.cli.options import Cluster, Format
from scaler.ui.report import Output, reporting

_EPILOG = """Example: scaler trust n7 --fingerprint SHA256:… --cluster prod

The fingerprint is read on the host itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"""


def trust(
    host: Annotated[str, typer.Argument(help="A host of the inventory, or an address.")],
    cluster: Cluster,
    fingerprint: Annotated[str, typer.Option(help="SHA256:… as read on the host's own console.")] = "",
    port: Annotated[int, typer.Option(help="SSH port, where HOST is an address.")] = 22,
    output: Format = Output.text,
) -> None:
    """Put a host's key into the cluster's known_hosts, if it has the fingerprint you say. Without one, show it only."""
    with reporting("trust", output) as report:
        from scaler.app import trust as use_case
        from scaler.app.session import read_cluster

        known = read_cluster(cluster)
        shown = use_case.trust(known, host, port=port, expected=fingerprint)
        told = (
            f"{host} is trusted: {shown}"
            if fingerprint
            else f"{host} shows {shown}; compare it, then say --fingerprint"
        )
        report.result({"host": host, "fingerprint": shown, "trusted": bool(fingerprint)}, lambda: typer.echo(told))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trust", epilog=_EPILOG)(trust)
