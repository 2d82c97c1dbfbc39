"""SSH keys of the lab and its hosts, made once and kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:
    from pathlib import Path


def ensure_key(path: Path, comment: str) -> str:
    """Make the key pair ``path`` and ``path.pub`` unless both are there; returns the public line."""
    public = path.with_name(path.name + ".pub")
    if not public.exists():
        key = Ed25519PrivateKey.generate()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        # Written last and at once: where it is, the pair is whole.
        new = public.with_suffix(".new")
        new.write_text(f"{line} {comment}\n")
        new.replace(public)
    return public.read_text().strip()
