"""``scaler kubectl``."""

from __future__ import annotations

import os

import typer

from scaler.cli.options import Cluster
from scaler.ui.report import Output, reporting


def kubectl(context: typer.Context, cluster: Cluster) -> None:
    """Run the cluster's own kubectl as its administrator: scaler kubectl --cluster lab -- get nodes."""
    with reporting("kubectl", Output.text):
        from scaler.app.session import any_kubectl_of, read_any
        from scaler.gateways.kube import WITHOUT_PROXY

        known = read_any(cluster)
        binary = any_kubectl_of(known)
        argv = [str(binary), f"--kubeconfig={known.settings.admin_kubeconfig}", *context.args]
        os.execve(binary, argv, {**os.environ, **WITHOUT_PROXY})  # noqa: S606 - the terminal becomes kubectl's own


def register(app: typer.Typer) -> None:
    """Add the command."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("kubectl", context_settings=settings)(kubectl)
