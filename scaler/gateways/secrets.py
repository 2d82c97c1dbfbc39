"""Read a secret from its file, or from where systemd puts a unit's credentials; it is never told to anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import InputError

if TYPE_CHECKING:
    from scaler.model.job_targets import Secret

# systemd's own name.
DIRECTORY = "CREDENTIALS_DIRECTORY"


def read(secret: Secret) -> str:
    """Return the secret's one line; raises InputError that names where it was looked for, and nothing of it."""
    path = _path(secret)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                raise InputError(f"{path} can be read by everybody", hint=f"chmod o-r {path}")
            text = file.read().decode("utf-8").strip()
    except OSError as e:
        raise InputError(f"the secret in {path} cannot be read: {e.strerror}") from e
    except UnicodeDecodeError:
        raise InputError(f"the secret in {path} is not text") from None
    if not text or len(text.splitlines()) > 1:
        raise InputError(f"the secret in {path} is not one line")
    return text


def _path(secret: Secret) -> Path:
    given = os.environ.get(DIRECTORY)
    if secret.credential and given and (Path(given) / secret.credential).exists():
        return Path(given) / secret.credential
    if secret.file:
        return secret.file
    raise InputError(
        f"there is no credential {secret.credential} here",
        hint="systemd hands it to the installed job only; where it is run by hand, say file: PATH beside it",
    )
