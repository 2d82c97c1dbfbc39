"""Read the admin kubeconfig: the server it names and the CA it trusts."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from scaler.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


class Kubeconfig(NamedTuple):
    """What scaler needs of a kubeconfig."""

    server: str
    ca_data: str

    @property
    def ca(self) -> bytes:
        """The CA's certificate, PEM."""
        return base64.b64decode(self.ca_data)


def read(path: Path) -> Kubeconfig:
    """Read the current context's cluster; raises InputError where the file is not a kubeconfig."""
    try:
        told = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        context = next(c["context"] for c in told["contexts"] if c["name"] == told["current-context"])
        cluster = next(c["cluster"] for c in told["clusters"] if c["name"] == context["cluster"])
        data = cluster.get("certificate-authority-data")
        if not data:
            authority = path.parent / cluster["certificate-authority"]
            data = base64.b64encode(authority.read_bytes()).decode()
        return Kubeconfig(cluster["server"], data)
    except OSError as e:
        raise InputError(
            f"{e.filename}: {e.strerror}", hint="set admin_kubeconfig in the inventory, or run: scaler init"
        ) from e
    except (YAMLError, KeyError, TypeError, StopIteration, ValueError) as e:
        raise InputError(f"{path}: not a kubeconfig with a current context: {e!r}") from e


def client_certificate(path: Path) -> bytes:
    """Return the current context's client certificate, PEM; empty where its user logs in by other means."""
    try:
        told = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        context = next(c["context"] for c in told["contexts"] if c["name"] == told["current-context"])
        user: dict[str, str] = next(
            (u["user"] for u in told.get("users") or () if u["name"] == context.get("user")), {}
        )
        if data := user.get("client-certificate-data"):
            return base64.b64decode(data)
        return (path.parent / file).read_bytes() if (file := user.get("client-certificate")) else b""
    except OSError as e:
        raise InputError(f"{e.filename}: {e.strerror}", hint="set admin_kubeconfig in the inventory") from e
    except (YAMLError, KeyError, TypeError, StopIteration, ValueError) as e:
        raise InputError(f"{path}: not a kubeconfig with a current context: {e!r}") from e
