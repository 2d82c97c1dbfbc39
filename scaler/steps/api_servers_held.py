"""Hold the API servers for the moment in which etcd's leader changes, so that no write is on its way then.

While a leader hands over it drops what other members forward to it and tells nobody (etcd's raft, ``leadTransferee``):
who wrote hears of it after 7 s. An API server that stands still for that moment, a quarter of a second, writes a little
later instead. Who writes to etcd beside the API servers is not held.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.gateways.ssh import on_each
from scaler.gateways.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scaler.gateways.ssh import Said
    from scaler.model.inventory import Host
    from scaler.steps.base import World

# However the controller fares: no API server is held for longer.
SECONDS = 0.4
WAIT_SECONDS = 10.0
PLACE = "/run/scaler-hold"
# It is prepared first, so that all are held at nearly one time. A child of it lets go too, should it be killed.
HOLD = f"""
import os, shutil, signal, subprocess, sys, time
place, seconds, patience = "{PLACE}", {SECONDS}, {WAIT_SECONDS}
def there(name):
    return os.path.exists(os.path.join(place, name))
def mark(name):
    open(os.path.join(place, name), "w").close()
def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()
for each in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
    signal.signal(each, signal.SIG_IGN)
show = ["systemctl", "show", "--property=MainPID", "--value", "kube-apiserver.service"]
pid = int(subprocess.run(show, stdout=subprocess.PIPE, check=True).stdout or 0)
shutil.rmtree(place, ignore_errors=True)
os.mkdir(place, 0o700)
mark("ready")
until(lambda: there("hold") or not there("ready"), patience)
if there("hold"):
    if pid and os.fork() == 0:
        os.setsid()
        for open_file in (0, 1, 2):
            os.close(open_file)
        time.sleep(seconds + 0.1)
        os.kill(pid, signal.SIGCONT)
        os._exit(0)
    try:
        if pid:
            os.kill(pid, signal.SIGSTOP)
        mark("held")
        print("freed" if until(lambda: not there("hold"), seconds) else "late")
    finally:
        if pid:
            os.kill(pid, signal.SIGCONT)
shutil.rmtree(place, ignore_errors=True)
"""
AWAIT = f"""
end=$(( $(date +%s) + {WAIT_SECONDS:.0f} ))
until [ -e {PLACE}/$1 ]; do [ "$(date +%s)" -lt $end ] || exit 1; sleep 0.01; done
"""
HOLD_NOW = f": > {PLACE}/hold && {AWAIT}"


@contextmanager
def api_servers_held(world: World, hosts: Sequence[Host]) -> Iterator[None]:
    """Hold the API servers of ``hosts`` while the block runs, SECONDS at most; say where that could not be."""
    with Threads(len(hosts) or 1) as pool:
        holding = {host.name: pool.submit(_hold, world, host) for host in hosts}
        try:
            failures = _on_all(world, hosts, AWAIT, "ready") or _on_all(world, hosts, HOLD_NOW, "held")
            if failures:
                world.say(f"writes that meet the change of etcd's leader may fail: {failures}")
            yield
        finally:
            on_each(hosts, lambda host: world.ssh.run(host, ["rm", "-f", f"{PLACE}/hold", f"{PLACE}/ready"]))
        late = [name for name, told in holding.items() if told.result() == "late"]
    if late:
        world.say(f"API servers were held for {SECONDS:g} s only, and the leader changed later: {', '.join(late)}")


def _hold(world: World, host: Host) -> str:
    try:
        return world.ssh.run(host, [host.connection.python, "-c", HOLD], timeout=WAIT_SECONDS + 10).out.strip()
    except ScalerError as e:
        return e.message


def _on_all(world: World, hosts: Sequence[Host], script: str, name: str) -> str:
    def run(host: Host) -> Said:
        return world.ssh.run(host, ["sh", "-c", script, "hold", name], timeout=WAIT_SECONDS + 10)

    told = on_each(hosts, run)
    reasons = {
        host: said.message if isinstance(said, ScalerError) else said.err.strip() or "it is not held in time"
        for host, said in told.items()
        if isinstance(said, ScalerError) or said.status != 0
    }
    return "; ".join(f"{host}: {why}" for host, why in reasons.items())
