"""``scaler lint``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scaler.cli.options import Format
from scaler.errors import InputError
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler lint --cluster prod

scaler lint m1 m2 --cluster prod --for 1.31 --output json

scaler lint --file kubelet.service --for 1.31"""


def lint(
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST]...", help="Names in the inventory; all without any.")
    ] = None,
    cluster: Annotated[
        str, typer.Option("--cluster", "-c", envvar="SCALER_CLUSTER", help="The cluster, where no --file is given.")
    ] = "",
    target: Annotated[
        str, typer.Option("--for", metavar="VERSION", help="Get ready for this Kubernetes; the next minor without it.")
    ] = "",
    file: Annotated[Path | None, typer.Option(help="Judge this unit or configuration file alone.")] = None,
    component: Annotated[str, typer.Option(help="Whose the --file is, where it does not say so.")] = "",
    output: Format = Output.text,
) -> None:
    """Tell what in units and configuration files is wrong now, and what will break at the next minor; reads only.

    Exit code 0: no errors. 4: something keeps a component from starting, or does nothing. 2: a host was not looked at.
    """
    with reporting("lint", output) as report:
        from scaler.app import lint as use_case
        from scaler.app.session import opened, read_cluster
        from scaler.ui import lint_view

        use_case.target_is_known(target)
        if file is not None:
            if hosts:
                raise InputError("--file is judged alone", hint="leave the hosts out")
            looked = use_case.look_at_file(file, component, target=target)
        else:
            if component or not cluster:
                raise InputError("say --cluster, or --file", hint="--component goes with --file")
            known = read_cluster(cluster)
            chosen = use_case.choose(known, hosts or [])
            with opened(known) as session:
                looked = use_case.look(known, session.ssh, chosen, target=target, progress=report.say)
        report.result(lint_view.data(looked), lambda: lint_view.show(looked), use_case.error(looked))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lint", epilog=_EPILOG)(lint)
