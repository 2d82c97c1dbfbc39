"""One SSH connection a host, many hosts at once: probes and short commands.

Host keys come from the inventory's known_hosts and nowhere else; an unknown or changed key stops with its fingerprint.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import shlex
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import paramiko

from scaler.errors import IntegrityError, ScalerError, UnreachableError
from scaler.gateways.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from scaler.gateways.clock import Clock
    from scaler.model.inventory import Connection, Host

CONNECT_TIMEOUT = 8.0
_FORKS = 50
_BLOCK = 1 << 20
# No byte for that long, and the copy is given up.
_STREAM_SECONDS = 60.0
T = TypeVar("T")
# What paramiko logs is in the errors that it raises; without a handler its tracebacks would come between our lines.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Said(NamedTuple):
    """What a command on a host said."""

    status: int
    out: str
    err: str


class HostKeyError(UnreachableError):
    """The host's key is unknown, or not the one that is known."""

    kind = "host-key"


class LostError(UnreachableError):
    """The host went away after a command may have begun there: look what it did before doing it again."""

    kind = "lost"


class LoginError(UnreachableError):
    """The host answers, and does not take the key."""

    kind = "login"


class SudoError(UnreachableError):
    """The user on the host may not become root without a password."""

    kind = "sudo"


class Ssh(Protocol):
    """What the steps know of SSH."""

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        """Run ``argv`` as root on ``host``."""


class KnowingSsh(Ssh, Protocol):
    """SSH that knows the names of the hosts that let it in."""

    answered: set[str]


class SshFiles(Ssh, Protocol):
    """SSH that also brings files here."""

    def fetch(self, host: Host, path: str, target: Path) -> None:
        """Copy the file ``path`` of ``host`` to ``target`` on this machine (0600), whole or not at all."""


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint the way ssh-keygen prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def host_key(address: str, port: int) -> paramiko.PKey:
    """Return the key that the host at ``address`` shows; nothing is believed and no login is tried."""
    try:
        with socket.create_connection((address, port), timeout=CONNECT_TIMEOUT) as raw:
            transport = paramiko.Transport(raw)
            try:
                transport.start_client(timeout=CONNECT_TIMEOUT)
                return transport.get_remote_server_key()
            finally:
                transport.close()
    except (OSError, paramiko.SSHException, EOFError) as e:
        raise UnreachableError(f"{address}:{port} shows no SSH host key: {e or type(e).__name__}") from e


class _NoChannelError(paramiko.SSHException):
    """The host did not let a command begin."""


class _Client(paramiko.SSHClient):
    """A client that tells a command that could not begin from one that did not end."""

    def exec_command(self, command: str, timeout: float | None = None) -> tuple[Any, Any, Any]:  # type: ignore[override]
        """Begin ``command``; its channel is open within CONNECT_TIMEOUT seconds, or NoChannelError is raised."""
        transport = self.get_transport()
        if transport is None:
            raise _NoChannelError("no connection")
        try:
            channel = transport.open_session(timeout=CONNECT_TIMEOUT)
        except (paramiko.SSHException, EOFError, OSError) as e:
            raise _NoChannelError(str(e) or type(e).__name__) from e
        channel.settimeout(timeout)
        channel.exec_command(command)
        return channel.makefile_stdin("wb", -1), channel.makefile("r", -1), channel.makefile_stderr("r", -1)


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Refuse an unknown key, and say its fingerprint."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        raise HostKeyError(
            f"{hostname}: unknown host key {key.get_name()} {fingerprint(key)}",
            hint="compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then: "
            f"scaler trust {hostname} --fingerprint {fingerprint(key)}",
        )


def _tell(writer: paramiko.channel.ChannelStdinFile, text: str) -> None:
    """Send a command its standard input; one that has ended without reading it tells why by its status."""
    try:
        writer.write(text)
        writer.channel.shutdown_write()
    except TimeoutError:
        raise
    except OSError:
        pass


class ParamikoSsh:
    """SSH by paramiko; connections are kept until ``close``. ``answered`` are the hosts that let us in, by name."""

    def __init__(self, known_hosts: Path) -> None:
        self.answered: set[str] = set()
        self._known_hosts = known_hosts
        self._clients: dict[str, paramiko.SSHClient] = {}
        self._guard = threading.Lock()

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        """Run ``argv`` as root on ``host``, at most ``timeout`` seconds.

        Raises UnreachableError (and its kinds for host keys and sudo) where the host cannot be asked at all, LostError
        where it may have begun, so that only what may run twice is asked again.
        """
        line = shlex.join(["sudo", "-n", "--", *argv] if host.connection.needs_sudo else list(argv))
        client = self._client(host)
        try:
            try:
                writer, reader, errors = client.exec_command(line, timeout=timeout)
            except _NoChannelError:
                # Nothing has begun there: the connection is dead though nobody says so, and another one may not be.
                self._forget(host)
                client = self._client(host)
                writer, reader, errors = client.exec_command(line, timeout=timeout)
            _tell(writer, stdin)
            out = reader.read().decode(errors="replace")
            err = errors.read().decode(errors="replace")
            said = Said(reader.channel.recv_exit_status(), out, err)
        except _NoChannelError as e:
            self._forget(host)
            raise UnreachableError(f"{host.name}: no command begins there: {e}") from e
        except (TimeoutError, paramiko.SSHException, OSError, EOFError) as e:
            self._forget(host)
            raise LostError(f"{host.name}: lost while running {argv[0]}: {e or type(e).__name__}") from e
        if said.status < 0:
            # The channel closed without a status: the host or its sshd went away.
            self._forget(host)
            raise LostError(f"{host.name}: lost while running {argv[0]}")
        if host.connection.needs_sudo and said.status == 1 and said.err.startswith("sudo:"):
            raise SudoError(
                f"{host.name}: {host.connection.user} cannot become root: {said.err.splitlines()[0]}",
                hint=f"give {host.connection.user} NOPASSWD in sudoers, without requiretty",
            )
        return said

    def fetch(self, host: Host, path: str, target: Path) -> None:
        """Copy the file ``path`` of ``host`` to ``target`` on this machine (0600), whole or not at all.

        Raises IntegrityError where what arrived is not what ``sha256sum`` says on the host.
        """
        told = self.run(host, ["sha256sum", path], timeout=600)
        if told.status != 0:
            raise ScalerError(f"{host.name}: {path} cannot be read: {told.err.strip()}")
        line = shlex.join([*(("sudo", "-n", "--") if host.connection.needs_sudo else ()), "cat", path])
        partial = target.with_name(f".{target.name}.partial")
        found = hashlib.sha256()
        try:
            _, reader, _ = self._client(host).exec_command(line, timeout=_STREAM_SECONDS)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                while block := reader.read(_BLOCK):
                    found.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            if found.hexdigest() != told.out.split()[0].lstrip("\\"):
                raise IntegrityError(f"{host.name}: {path} did not arrive whole", hint="run the same command again")
            partial.replace(target)
        except (TimeoutError, paramiko.SSHException, EOFError) as e:
            self._forget(host)
            raise UnreachableError(f"{host.name}: lost while copying {path}: {e or type(e).__name__}") from e
        except OSError as e:
            raise ScalerError(f"{target} cannot be written: {e.strerror or e}") from e
        finally:
            partial.unlink(missing_ok=True)

    def close(self) -> None:
        """End every connection."""
        with self._guard:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _forget(self, host: Host) -> None:
        with self._guard:
            client = self._clients.pop(host.name, None)
        if client:
            client.close()

    def _client(self, host: Host) -> paramiko.SSHClient:
        with self._guard:
            client = self._clients.get(host.name)
        transport = client.get_transport() if client else None
        if client and transport and transport.is_active():
            return client
        client = self._connect(host)
        with self._guard:
            self._clients[host.name] = client
        return client

    def _connect(self, host: Host) -> paramiko.SSHClient:
        client = _new_client(self._known_hosts)
        connection = host.connection
        where = f"{host.name} ({connection.user}@{connection.address}:{connection.port})"
        try:
            client.connect(
                connection.address,
                port=connection.port,
                username=connection.user,
                key_filename=str(connection.key) if connection.key else None,
                allow_agent=connection.key is None,
                look_for_keys=connection.key is None,
                timeout=CONNECT_TIMEOUT,
                banner_timeout=CONNECT_TIMEOUT,
                auth_timeout=CONNECT_TIMEOUT,
                sock=self._through(connection),
            )
        except HostKeyError:
            client.close()
            raise
        except paramiko.BadHostKeyException as e:
            client.close()
            raise HostKeyError(
                f"{where}: the host's key changed: it shows {fingerprint(e.key)}, "
                f"known is {fingerprint(e.expected_key)}",
                hint=f"find out why; if the machine was reinstalled: scaler trust {host.name} --fingerprint …",
            ) from e
        except paramiko.AuthenticationException as e:
            client.close()
            raise LoginError(
                f"{where}: the key is not accepted: {e}", hint="put the public key into authorized_keys there"
            ) from e
        except (OSError, paramiko.SSHException, EOFError) as e:
            client.close()
            why = "no answer" if isinstance(e, TimeoutError | socket.timeout) else (str(e) or type(e).__name__)
            raise UnreachableError(f"{where}: SSH does not answer: {why}", hint="check address, port and sshd") from e
        transport = client.get_transport()
        if transport:
            transport.set_keepalive(5)
        self.answered.add(host.name)
        return client

    def _through(self, connection: Connection) -> paramiko.Channel | None:
        if connection.jump is None:
            return None
        name, _, port = connection.jump.rpartition(":")
        jump = _new_client(self._known_hosts)
        jump.connect(name, port=int(port), username=connection.jump_user, timeout=CONNECT_TIMEOUT)
        transport = jump.get_transport()
        if transport is None:
            raise UnreachableError(f"jump host {connection.jump}: no transport")
        with self._guard:
            self._clients[f"jump:{connection.jump}:{connection.address}"] = jump
        return transport.open_channel("direct-tcpip", (connection.address, connection.port), ("127.0.0.1", 0))


def _new_client(known_hosts: Path) -> paramiko.SSHClient:
    client = _Client()
    if known_hosts.exists():
        client.load_host_keys(str(known_hosts))
    client.set_missing_host_key_policy(_Refuse())
    return client


class PatientSsh:
    """SSH for what may run twice: a host that let ``ssh`` in before is asked again for ``patience`` seconds.

    One that stays away is given up and from then on not waited for.
    """

    def __init__(self, ssh: KnowingSsh, clock: Clock, patience: float) -> None:
        self._ssh, self._clock, self._patience = ssh, clock, patience

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        """Run ``argv`` as root on ``host``, once more where the answer was lost."""
        patience = self._patience if host.name in self._ssh.answered else 0.0
        try:
            return patiently(self._ssh, self._clock, host, argv, stdin=stdin, timeout=timeout, patience=patience)
        except UnreachableError:
            self._ssh.answered.discard(host.name)
            raise


def patiently(
    ssh: Ssh, clock: Clock, host: Host, argv: Sequence[str], *, timeout: float, patience: float, stdin: str = ""
) -> Said:
    """Run ``argv`` on ``host``, again and again while the host is away (a reboot), ``patience`` seconds from its loss.

    Only for commands that may run twice. A host that comes back with another key is not waited for.
    """
    deadline = None
    while True:
        try:
            return ssh.run(host, argv, stdin=stdin, timeout=timeout)
        except (HostKeyError, SudoError):
            raise
        except UnreachableError:
            deadline = clock.monotonic() + patience if deadline is None else deadline
            if clock.monotonic() >= deadline:
                raise
            clock.sleep(1.0)


def on_each(hosts: Iterable[Host], work: Callable[[Host], T]) -> dict[str, T | ScalerError]:
    """Do ``work`` for all hosts at once; a host's ScalerError becomes its result, the others go on."""
    by_name = {host.name: host for host in hosts}
    return each(by_name, lambda name: work(by_name[name]))


def each(names: Iterable[str], work: Callable[[str], T], *, at_once: int = _FORKS) -> dict[str, T | ScalerError]:
    """Do ``work`` for all ``names``, so many at once; a ScalerError becomes the result of its own, the others go on."""

    def one(name: str) -> T | ScalerError:
        try:
            return work(name)
        except ScalerError as e:
            return e

    names = list(names)
    with Threads(min(at_once, len(names) or 1)) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))
