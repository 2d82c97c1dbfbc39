"""Make the cluster's authorities where the inventory says, or check those that are there."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from scaler.errors import InputError
from scaler.gateways.files import write_atomically
from scaler.gateways.templates import render
from scaler.pki.certificates import CLIENT, Pair, Subject, check_ca, issue, new_ca, new_service_account_key
from scaler.steps.base import Irreversible
from scaler.steps.master_credentials import AUTHORITIES, kubeconfig, read_pair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class PkiMade(Irreversible):
    """Authorities, service-account keys and the encryption key are in ``pki_dir``; an admin kubeconfig is made."""

    title = "Make the cluster's authorities"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [
            f"make, or keep, CAs, service-account keys and the encryption key in {settings.pki_dir} (keys 0600)",
            f"write an administrator's kubeconfig to {settings.admin_kubeconfig}",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Make what is missing; refuse what is wrong."""
        del hosts
        settings, now = world.cluster.settings, world.clock.now()
        pki = settings.pki_dir
        pki.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in AUTHORITIES:
            if not (pki / f"{name}.crt").exists() and not (pki / f"{name}.key").exists():
                _put(pki, f"{name}.crt", f"{name}.key", new_ca(f"{world.cluster.name}-{name}", now))
            for half in (f"{name}.crt", f"{name}.key"):
                _must_be_there(pki / half)
            must_be_private(pki / f"{name}.key")
            check_ca(str(pki / name), read_pair(pki, name), now)
        if not (pki / "sa.key").exists():
            _put(pki, "sa.pub", "sa.key", new_service_account_key())
        if not (pki / "encryption.yaml").exists():
            text = render("kube-apiserver/encryption.yaml.j2", secret=base64.b64encode(os.urandom(32)).decode())
            write_atomically(pki / "encryption.yaml", text.encode(), mode=0o600)
        if not settings.admin_kubeconfig.exists():
            admin = issue(read_pair(pki, "ca"), Subject("scaler-admin", "system:masters"), [CLIENT], now)
            server = f"https://{settings.api_endpoint}"
            write_atomically(settings.admin_kubeconfig, kubeconfig(world.cluster, "admin", admin, server), mode=0o600)
        return {}


def must_be_private(path: Path) -> None:
    """Refuse a key that others may read."""
    if path.stat().st_mode & 0o077:
        raise InputError(
            f"{path} can be read by others (mode {path.stat().st_mode & 0o777:04o})", hint=f"chmod 600 {path}"
        )


def _must_be_there(path: Path) -> None:
    """Refuse half an authority; making the other half anew would make another authority."""
    if not path.is_file():
        raise InputError(f"{path} is missing", hint="bring it back from a backup; it cannot be made again")


def _put(directory: Path, public: str, private: str, pair: Pair) -> None:
    write_atomically(directory / private, pair.key, mode=0o600)
    write_atomically(directory / public, pair.certificate)


STEP = PkiMade()
