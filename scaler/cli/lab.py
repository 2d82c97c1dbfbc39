"""``scaler lab``: real hosts on this machine, to try scaler on and to test it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.options import Format
from scaler.lab.roles import Balancer
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from scaler.lab.host import Host

Name = Annotated[str, typer.Option("--name", "-n", help="The lab's name; two labs share nothing.")]
HostName = Annotated[str, typer.Argument(metavar="HOST", help="A host of the lab, like n1.")]

commands = typer.Typer(
    name="lab",
    help="Real hosts on this machine: systemd, sshd, disks and cables of their own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command(epilog="Then: scaler init --cluster lab, and: scaler add-node n1 n2 --cluster lab")
def up(
    name: Name = "lab",
    workers: Annotated[int, typer.Option(min=0, help="Hosts n1, n2, … that wait on standby.")] = 3,
    masters: Annotated[int, typer.Option(min=1, help="Hosts m1, m2, …; init takes m1.")] = 1,
    loadbalancers: Annotated[
        int,
        typer.Option(min=0, help="Hosts lb1, lb2, … for HAProxy or nginx; with --vip and 0 the masters are that too."),
    ] = 1,
    etcd: Annotated[int, typer.Option(min=0, help="Hosts e1, e2, …; init takes e1, with 0 etcd is on m1.")] = 0,
    loadbalancer: Annotated[
        Balancer | None,
        typer.Option(
            show_default="haproxy",
            help="What stands before the API servers; local is on every worker, so --loadbalancers may be 0.",
        ),
    ] = None,
    vip: Annotated[
        bool, typer.Option("--vip", help="Keepalived moves an address, that of the API, between the load balancers.")
    ] = False,
    variables: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A variable of the inventory, like cni_routing=bgp-mesh."),
    ] = None,
    output: Format = Output.text,
) -> None:
    """Make the lab, or what is missing of it: base image, binaries, hosts, inventory. Takes root.

    The first time builds Kubernetes from Debian's source package (about 5 minutes), kept in scaler's cache.
    """
    with reporting("lab up", output) as report:
        from scaler.gateways.store import cache_dir
        from scaler.lab import binaries, inventory, lab, layout, roles

        shape = roles.Shape(masters, loadbalancers, workers, etcd, loadbalancer or Balancer.haproxy, vip)
        given = inventory.variables(variables or ())
        inventory.must_agree(layout.Lab(name), balancer=loadbalancer, vip=vip, given=given)
        store = cache_dir() / "store"
        versions = binaries.fill(store, progress=report.say)
        wanted = shape.names()
        hosts = lab.up(name, wanted, cache=cache_dir(), progress=report.say)
        directory = inventory.write(layout.Lab(name), hosts, store, versions, shape, given)
        data = {"inventory": str(directory), "hosts": {host.name: str(host.address) for host in hosts}}
        report.result(data, lambda: typer.echo(f"lab {name} is up: {', '.join(wanted)}; inventory in {directory}"))


@commands.command()
def status(name: Name = "lab", output: Format = Output.text) -> None:
    """Show the lab's hosts: address, running, answering on SSH."""
    with reporting("lab status", output) as report:
        from scaler.lab import lab

        told = lab.status(name)
        hosts = {
            host.name: {"address": str(host.address), "running": host.running, "ssh": host.ssh} for host in told.hosts
        }

        def show() -> None:
            if told.subnet is None:
                typer.echo(f"there is no lab {name}")
            for host, facts in hosts.items():
                state = "answers" if facts["ssh"] else "runs, no ssh" if facts["running"] else "off"
                typer.echo(f"{host:8} {facts['address']:15} {state}")

        report.result({"name": name, "hosts": hosts}, show)


@commands.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh(context: typer.Context, host: HostName, name: Name = "lab") -> None:
    """Log in to a host of the lab as root, or run a command there: scaler lab ssh n1 -- uptime."""
    with reporting("lab ssh", Output.text):
        from scaler.lab import lab, layout

        where = layout.Lab(name)
        found = _host(lab.find_hosts(name), host)
        argv = ["ssh", "-i", str(where.client_key), "-o", f"UserKnownHostsFile={where.known_hosts}"]
        argv += ["-o", "StrictHostKeyChecking=yes", f"root@{found.address}", *context.args]
        os.execvp("ssh", argv)  # noqa: S606 - the terminal becomes ssh's own


@commands.command()
def down(name: Name = "lab", output: Format = Output.text) -> None:
    """Take the lab down: no mount, process, bridge, route or file of it stays. The cache does."""
    with reporting("lab down", output) as report:
        from scaler.lab import lab

        lab.down(name, report.say)
        report.result({"name": name}, lambda: typer.echo(f"lab {name} is gone"))


@commands.command(epilog="Example: scaler lab do kill n2")
def do(
    verb: Annotated[
        str,
        typer.Argument(
            help="on, stop, kill (power), reboot, cut (cable), mend, fill (disk), unfill, reset, clock=SECONDS."
        ),
    ],
    host: HostName,
    name: Name = "lab",
    output: Format = Output.text,
) -> None:
    """Do something to a host: what happens to real machines at night."""
    with reporting("lab do", output) as report:
        from scaler.errors import InputError
        from scaler.lab import lab

        found = _host(lab.find_hosts(name), host)
        verbs = {
            "on": found.power_on,
            "stop": found.stop,
            "kill": found.kill,
            "reboot": found.reboot,
            "cut": found.cut,
            "mend": found.mend,
            "fill": found.fill,
            "unfill": found.unfill,
            "reset": found.reset,
        }
        if verb.startswith("clock=") and verb.removeprefix("clock=").lstrip("+-").isdigit():
            found.set_clock(int(verb.removeprefix("clock=")))
        elif verb in verbs:
            verbs[verb]()
        else:
            raise InputError(
                f"{verb!r} is not something to do to a host", hint=f"one of {', '.join(verbs)}, clock=SECONDS"
            )
        report.result({"host": host, "done": verb}, lambda: typer.echo(f"{host}: {verb} done"))


def _host(hosts: tuple[Host, ...], name: str) -> Host:
    from scaler.errors import InputError

    found = next((host for host in hosts if host.name == name), None)
    if found is None:
        raise InputError(f"the lab has no host {name}", hint=f"it has {', '.join(host.name for host in hosts)}")
    return found


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands)
