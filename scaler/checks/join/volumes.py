"""Volumes hold what they should: emptyDir, ConfigMap, Secret, a projected token and the downward API."""

from __future__ import annotations

import shlex

from scaler.checks.join import JoinCheck, Target
from scaler.checks.parts import CONFIG, SECRET


def _line(target: Target) -> str:
    holds = {
        "the emptyDir": "echo here > /verify/scratch/it && grep -q here /verify/scratch/it",
        "the ConfigMap's volume": f"grep -qx {shlex.quote(CONFIG)} /verify/config/told",
        "the Secret's volume": f"grep -qx {shlex.quote(SECRET)} /verify/secret/told",
        "the mode of the Secret's file": "[ $(stat -L -c %a /verify/secret/told) = 400 ]",
        # A token is three words in base64, which dots divide; an unbound one has no end.
        "the projected service account token": "grep -qE '^[^.]+[.][^.]+[.][^.]+$' /verify/projected/token",
        "the downward API's volume": f"grep -qx main-{target.number} /verify/projected/name",
    }
    return "; ".join(
        f"{{ {line}; }} || {{ echo {shlex.quote(f'{what} is wrong')}; exit 1; }}" for what, line in holds.items()
    )


CHECK = JoinCheck("volumes", "node", _line, group="pod")
