"""Make the autoscaler's server a service of this machine, and tell what the Cluster Autoscaler is to be told."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scaler.app.autoscaler import must_have_pools
from scaler.engine.journal import STATE_VARIABLE, state_dir
from scaler.errors import InputError
from scaler.gateways import units
from scaler.gateways.files import write_atomically
from scaler.gateways.places import CACHE_VARIABLE, cache_dir
from scaler.gateways.process import run
from scaler.gateways.templates import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.app.autoscaler import How
    from scaler.model.inventory import Cluster

UNITS = Path("/etc/systemd/system")
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

    @property
    def name(self) -> str:
        """The unit's name."""
        return self.path.name


def unit(cluster: Cluster, how: How, *, user: str, directory: Path) -> Unit:
    """Return the unit that serves ``cluster`` with what scaler uses here: its state, its cache, this very program."""
    must_have_pools(cluster)
    argv = [str(_program()), "autoscaler", "serve", "--cluster", str(cluster.directory), "--listen", str(how.listen)]
    if how.certificates is None:
        argv.append("--insecure-loopback")
    else:
        given = how.certificates._asdict()
        for option, field in (("--cert", "certificate"), ("--key", "key"), ("--client-ca", "client_ca")):
            argv += [option, str(given[field].resolve())]
    argv += ["--metrics-listen", str(how.metrics)] if how.metrics else []
    argv += how.drain.options()
    state, cache = state_dir().resolve(), cache_dir().resolve()
    variables = {
        STATE_VARIABLE: state,
        CACHE_VARIABLE: cache,
        # Its own is in the user's home, which the service does not write to.
        "ANSIBLE_HOME": "/tmp/ansible",  # noqa: S108 - the service has a /tmp of its own
    }
    text = render(
        "autoscaler/scaler-autoscaler.service.j2",
        cluster=cluster.name,
        user=user or getpass.getuser(),
        command=" ".join(units.word(word) for word in argv),
        environment=" ".join(units.word(f"{name}={value}") for name, value in variables.items()),
        writable=" ".join(units.word(str(path)) for path in (cluster.directory, state, cache)),
    )
    return Unit(directory / f"scaler-autoscaler-{cluster.name}.service", text)


def _program() -> Path:
    found = Path(sys.executable).with_name("scaler")
    if not found.is_file():
        raise InputError(f"there is no {found} that a service could start", hint="install scaler with pip")
    return found


def install(made: Unit, *, now: bool) -> None:
    """Write the unit; with ``now`` also start it, and let it start with the machine."""
    # A service with a path that is not there does not start.
    for path in (state_dir(), cache_dir()):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        write_atomically(made.path, made.text.encode())
    except OSError as e:
        raise InputError(
            f"{made.path} cannot be written: {e.strerror}", hint="run it as root, or look first with --plan"
        ) from e
    if now:
        for argv in commands(made):
            run(argv, timeout=180)


def commands(made: Unit) -> list[list[str]]:
    """Return what starts the unit."""
    return [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", made.name]]


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
