"""``scaler verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from scaler.cli.options import Cluster, Format
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler verify --cluster prod

scaler verify n7 --cluster prod --checks services,full-mtu

scaler verify n7 n8 --cluster prod --peer m1 --peer n2 --skip load-balancer --output json"""

Nodes = Annotated[list[str], typer.Argument(metavar="[NODE]...", help="Nodes to prove; without one all workers.")]
Checks = Annotated[str, typer.Option(metavar="NAME,…", help="Only these checks or groups; join: those of a join.")]
Skip = Annotated[str, typer.Option(metavar="NAME,…", help="Not these checks or groups.")]
Peers = Annotated[list[str], typer.Option("--peer", metavar="NODE", help="Talk to this other node; may be repeated.")]
Outside = Annotated[
    list[str], typer.Option("--outside", metavar="NAME", help="A name outside of the cluster that pods can look up.")
]
Timeout = Annotated[float, typer.Option(min=30, metavar="SECONDS", help="How long the proof of one batch may take.")]


def verify(
    cluster: Cluster,
    nodes: Nodes = [],  # noqa: B006 - never changed
    checks: Checks = "",
    skip: Skip = "",
    peers: Peers = [],  # noqa: B006 - never changed
    outside: Outside = [],  # noqa: B006 - never changed
    timeout: Timeout = 180,
    output: Format = Output.text,
) -> None:
    """Prove that work runs on nodes: pods, probes, limits, Services, network, DNS, policies; all is deleted afterwards.

    Exit code 0: every check holds, or is said to be not there. 4: one does not.
    """
    with reporting("verify", output) as report:
        from scaler.app import verify as use_case
        from scaler.app.session import any_opened, read_any
        from scaler.ui import verify_view

        wanted = use_case.Wanted(nodes, _words(checks), _words(skip), peers, outside, timeout)
        with any_opened(read_any(cluster)) as session:
            done = use_case.verify(session, wanted, report.say)
            report.result(verify_view.data(done), lambda: verify_view.show(done), use_case.error(done))


def _words(text: str) -> list[str]:
    return [word for word in (each.strip() for each in text.split(",")) if word]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify", epilog=_EPILOG)(verify)
