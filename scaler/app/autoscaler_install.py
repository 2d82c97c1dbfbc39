"""Make the autoscaler's server a service of this machine, and tell what the Cluster Autoscaler is to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.app.autoscaler import must_have_pools
from scaler.app.service_user import who
from scaler.errors import InputError
from scaler.gateways import itself, units
from scaler.gateways.process import run
from scaler.gateways.templates import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scaler.app.autoscaler import How
    from scaler.app.service_user import Who
    from scaler.model.inventory import Cluster

# Where the autoscaler finds its files, in the pod that the how-to describes.
_MOUNTED = "/etc/scaler-autoscaler"
FLAGS = (
    "--cloud-provider=externalgrpc",
    f"--cloud-config={_MOUNTED}/cloud-config.yaml",
    "--max-node-provision-time=15m",
)


class Unit(NamedTuple):
    """A unit, and where it stands."""

    path: Path
    text: str
    doer: Who

    @property
    def name(self) -> str:
        """The unit's name."""
        return self.path.name


def unit(cluster: Cluster, how: How, *, user: str, directory: Path) -> Unit:
    """Return the unit that serves ``cluster`` with what scaler uses here: its state, its cache, this very program."""
    must_have_pools(cluster)
    files = [path.resolve() for path in how.certificates or ()]
    argv = [*itself.program(), "autoscaler", "serve", "--cluster", str(cluster.directory), "--listen", str(how.listen)]
    if how.certificates is None:
        argv.append("--insecure-loopback")
    else:
        for option, path in zip(("--cert", "--key", "--client-ca"), files, strict=True):
            argv += [option, str(path)]
    argv += ["--metrics-listen", str(how.metrics)] if how.metrics else []
    argv += how.drain.options()
    doer = who(user)
    text = render(
        "autoscaler/scaler-autoscaler.service.j2",
        cluster=cluster.name,
        command=" ".join(map(units.argument, argv)),
        **doer.unit(reads=[*itself.places(), *files], writes=[cluster.directory, doer.state, doer.cache]),
    )
    return Unit(directory / f"scaler-autoscaler-{cluster.name}.service", text, doer)


def install(made: Unit, *, now: bool) -> None:
    """Write the unit; with ``now`` also start it, or anew where it runs, and let it start with the machine."""
    # A service with a path that is not there does not start.
    units.own(made.doer.user, [made.doer.state, made.doer.cache], mode=0o700)
    try:
        units.write(made.path, made.text)
    except OSError as e:
        raise InputError(f"{made.path} cannot be written: {e.strerror}", hint="see --directory") from e
    if now:
        for argv in commands(made):
            run(argv, timeout=180)


def commands(made: Unit) -> list[list[str]]:
    """Return what starts the unit, with this text also where it runs with another."""
    verbs = (["daemon-reload"], ["enable", made.name], ["restart", made.name])
    return [["systemctl", *words] for words in verbs]


def cloud_config(how: How) -> str:
    """Return the file that the Cluster Autoscaler's --cloud-config names, YAML."""
    lines = [f'address: "{how.listen}"']
    if how.certificates is not None:
        lines += [f"key: {_MOUNTED}/client.key", f"cert: {_MOUNTED}/client.crt", f"cacert: {_MOUNTED}/ca.crt"]
    # A call is answered at once; only a disk that is slow to flush makes it wait.
    return "\n".join([*lines, "grpc_timeout: 10s", ""])


def told(made: Unit, how: How, *, written: bool, started: bool) -> Sequence[str]:
    """Tell a person what is there now, and what comes next."""
    here = [] if started else ["", "Start it:", *(f"    {' '.join(argv)}" for argv in commands(made))]
    first = f"wrote {made.path}" if written else f"# {made.path}\n{made.text}"
    config = [f"    {line}" for line in cloud_config(how).splitlines()]
    return [
        first + (", and started it" if started else ""),
        *here,
        "",
        "The Cluster Autoscaler's cloud-config:",
        *config,
        "",
        "Its flags:",
        *(f"    {flag}" for flag in FLAGS),
    ]
