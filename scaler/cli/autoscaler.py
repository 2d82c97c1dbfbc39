"""``scaler autoscaler``: the Cluster Autoscaler's cloud provider for one's own machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.options import Cluster, Format, PlanOnly
from scaler.cli.shrinking import EmptyDir, Force, Timeout, seconds
from scaler.errors import InputError
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from scaler.app.autoscaler import How

Listen = Annotated[str, typer.Option(metavar="ADDRESS:PORT", help="Where the autoscaler's calls are taken.")]
Cert = Annotated[Path | None, typer.Option(help="The server's certificate, PEM.")]
Key = Annotated[Path | None, typer.Option(help="Its private key, PEM.")]
ClientCa = Annotated[Path | None, typer.Option("--client-ca", help="The CA of those who may call, PEM.")]
Metrics = Annotated[
    str, typer.Option("--metrics-listen", metavar="ADDRESS:PORT", help="Where metrics and health are shown, if at all.")
]

commands = typer.Typer(
    name="autoscaler",
    help="Let the Cluster Autoscaler drive the pools of a binary cluster.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SERVE = """Examples:

scaler autoscaler serve --cluster prod --listen 10.0.0.5:8086 --cert server.crt --key server.key --client-ca ca.crt

scaler autoscaler serve --cluster lab --insecure-loopback --metrics-listen 127.0.0.1:8087"""


Insecure = Annotated[bool, typer.Option("--insecure-loopback", help="Without certificates; on 127.0.0.1 or ::1 only.")]


@commands.command(epilog=_SERVE, no_args_is_help=True)
def serve(
    cluster: Cluster,
    listen: Listen = "127.0.0.1:8086",
    cert: Cert = None,
    key: Key = None,
    client_ca: ClientCa = None,
    insecure_loopback: Insecure = False,
    metrics_listen: Metrics = "",
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    output: Format = Output.text,
) -> None:
    """Answer the Cluster Autoscaler as its cloud provider externalgrpc, and do what it wishes, until a signal comes.

    Exit code 0: stopped by a signal, in order. 3: an option, a certificate or the inventory is wrong. 6: another server
    of the cluster runs on this machine.
    """
    with reporting("autoscaler serve", output) as report:
        from scaler.app import autoscaler as use_case
        from scaler.app.session import read_cluster

        drain = (timeout, force, delete_emptydir_data)
        how = _how(listen, (cert, key, client_ca), metrics_listen, drain, insecure_loopback=insecure_loopback)
        known = read_cluster(cluster)
        use_case.serve(cluster, known, how, report.say)
        report.result({"cluster": known.name}, lambda: None)


_INSTALL = """Examples:

scaler autoscaler install --cluster prod --listen 10.0.0.5:8086 --cert s.crt --key s.key --client-ca ca.crt --now

scaler autoscaler install --cluster prod --insecure-loopback --plan"""


@commands.command(epilog=_INSTALL, no_args_is_help=True)
def install(
    cluster: Cluster,
    listen: Listen = "127.0.0.1:8086",
    cert: Cert = None,
    key: Key = None,
    client_ca: ClientCa = None,
    insecure_loopback: Insecure = False,
    metrics_listen: Metrics = "",
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    user: Annotated[str, typer.Option(help="As whom the service runs.")] = "",
    directory: Annotated[Path, typer.Option(help="Where systemd's units are.")] = Path("/etc/systemd/system"),
    now: Annotated[bool, typer.Option("--now", help="Start it, and let it start with the machine.")] = False,
    plan: PlanOnly = False,
    output: Format = Output.text,
) -> None:
    """Write a hardened systemd unit that serves the autoscaler, and tell what the autoscaler is to be told.

    Exit code 0: it is written. 3: an option, a certificate or the inventory is wrong.
    """
    with reporting("autoscaler install", output) as report:
        from scaler.app import autoscaler_install as use_case
        from scaler.app.session import read_cluster

        drain = (timeout, force, delete_emptydir_data)
        how = _how(listen, (cert, key, client_ca), metrics_listen, drain, insecure_loopback=insecure_loopback)
        made = use_case.unit(read_cluster(cluster), how, user=user, directory=directory)
        if not plan:
            use_case.install(made, now=now)
        data = {
            "unit": str(made.path),
            "text": made.text,
            "cloud_config": use_case.cloud_config(how),
            "flags": list(use_case.FLAGS),
            "changed": not plan,
        }
        told = use_case.told(made, how, written=not plan, started=now and not plan)
        report.result(data, lambda: typer.echo("\n".join(told)))


@commands.command(epilog="Example: scaler autoscaler certificates --out pki --host 10.0.0.5", no_args_is_help=True)
def certificates(
    out: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Where they are written.")],
    host: Annotated[list[str], typer.Option(help="A name or address that the autoscaler calls; may be repeated.")],
    output: Format = Output.text,
) -> None:
    """Make a CA, and certificates of it for the server and the autoscaler. A CA that is there is gone on with.

    Exit code 0: they are written. 3: the directory, or the CA in it, is wrong.
    """
    with reporting("autoscaler certificates", output) as report:
        from datetime import UTC, datetime

        from scaler.app import autoscaler_certificates as use_case

        made = [str(path) for path in use_case.make(out, host, datetime.now(UTC))]
        report.result({"files": made}, lambda: typer.echo("\n".join(made)))


def _how(
    listen: str,
    files: tuple[Path | None, Path | None, Path | None],
    metrics: str,
    drain: tuple[str, bool, bool],
    *,
    insecure_loopback: bool,
) -> How:
    """Return how is served, out of the options that serve and install share."""
    _needs_grpc()
    from scaler.app import autoscaler as use_case
    from scaler.app.autoscaler_work import Drain

    seconds(drain[0])
    where = use_case.endpoint(listen, "--listen")
    shown = use_case.endpoint(metrics, "--metrics-listen") if metrics else None
    given = dict(zip(("--cert", "--key", "--client-ca"), files, strict=True))
    certificates = use_case.certificates(given, where, insecure_loopback=insecure_loopback)
    return use_case.How(where, certificates, shown, Drain(*drain))


def _needs_grpc() -> None:
    try:
        import grpc  # noqa: F401
    except ImportError as e:
        raise InputError(
            f"the autoscaler's protocol needs what is not installed: {e}", hint="pip install 'scaler[autoscaler]'"
        ) from e


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands)
