"""``scaler unlock``."""

from __future__ import annotations

from typing import Annotated

import typer

from scaler.cli.options import Cluster, Format
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler unlock --cluster prod

scaler unlock --i-checked --cluster prod"""


def unlock(
    cluster: Cluster,
    i_checked: Annotated[
        bool, typer.Option("--i-checked", help="Nothing works on the cluster any more: take the dead run's lease out.")
    ] = False,
    output: Format = Output.text,
) -> None:
    """Show who holds a cluster's locks. With --i-checked take out the lease of a run that died.

    A lease that lives is never taken out. One that has run out is watched for its whole time first.
    """
    with reporting("unlock", output) as report:
        from scaler.app import unlock as use_case
        from scaler.app.session import any_opened, read_any
        from scaler.engine.lock import locked

        known = read_any(cluster)
        with any_opened(known) as session:
            found = use_case.look(session)
            removed = bool(i_checked and found.lease)
            if i_checked and found.lease:
                with locked(known.name, "unlock"):
                    use_case.remove(session, found.lease, report.say)
            now = session.clock.now()
            lock = found.lock.sentence if found.lock else "nobody"
            lease = found.lease.told(now) if found.lease else "nobody"
            lines = [f"lock on this machine: {lock}", f"lease in the cluster: {lease}"]
            lines += ["the lease was taken out"] if removed else []
            data = {
                "lock": found.lock.model_dump(mode="json") if found.lock else None,
                "lease": found.lease.model_dump(mode="json", exclude={"version"}) if found.lease else None,
                "removed": removed,
            }
            report.result(data, lambda: typer.echo("\n".join(lines)))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("unlock", epilog=_EPILOG)(unlock)
