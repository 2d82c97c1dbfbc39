"""Place all files of a host by one task: render here, send only what is not there yet, apply as a whole.

Round trips: one where nothing big is missing, three otherwise (ask, send one archive, apply), two on a ``fresh`` host
without a cache; and a short one to say that the result has arrived. A play with the ``scaler_operation`` of one whose
connection was lost gets that one's result.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import os
import shlex
import tarfile
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from jinja2 import UndefinedError, meta

from scaler.gateways.store import cache_dir, read_manifest
from scaler.gateways.templates import environment

_KINDS = ("template", "src", "content", "binary")
_RECEIPT = "/var/lib/scaler/receipt.json"
_RESULTS = "/run/scaler"
_CACHE = "/var/cache/scaler"
_DEFAULTS: dict[str, Any] = {"mode": "0644", "owner": "root", "group": "root", "secret": False, "units": []}


class ActionModule(ActionBase):
    """Controller's half of ``scaler_bundle``; the other half is ``library/scaler_bundle.py``."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Render, ask, send, apply."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = dict(self._task.args)
        store, manifest = Path(args.pop("store", "/nonexistent")), args.pop("manifest", None)
        digests = read_manifest(Path(manifest)) if manifest else {}
        blobs: dict[str, Path] = {}
        wanted = [dict(entry) for entry in args.pop("files", []) if entry.get("when", True)]
        if args.get("state") == "cached":
            wanted = [entry for entry in wanted if "binary" in entry]
        args["files"] = [self._file(entry, variables, store, digests, blobs) for entry in wanted]
        args["units"] = [unit for unit in args.get("units", []) if unit.get("when", True)]
        # A play has a task for each of several bundles, and one that takes back another.
        bundle = f"{Path(args.get('receipt', _RECEIPT)).stem}-{args.get('state', 'present')}"
        args["operation"] = f"{variables.get('scaler_operation') or uuid4().hex}-{bundle}"
        if args.pop("fresh", False) and blobs and not self._task.check_mode and not self._has_a_cache():
            # Nothing can be there yet: one question less.
            args["payload"] = self._send(list(blobs.items()))
        answer = self._module(args, variables)
        missing = answer.get("missing", [])
        if missing and not answer.get("failed") and not self._task.check_mode:
            args["payload"] = self._send([(digest, blobs[digest]) for digest in missing])
            answer = self._module(args, variables)
        if not self._task.check_mode:
            self._arrived(args["operation"])
        result.update(answer)
        return result

    def _has_a_cache(self) -> bool:
        """Tell whether something was brought to the host ahead of time."""
        return bool(self._low_level_execute_command(f"test -d {_CACHE}")["rc"] == 0)

    def _arrived(self, operation: str) -> None:
        """Let the host forget the result; where it cannot be told, the next operation there does."""
        with contextlib.suppress(AnsibleConnectionFailure):
            self._low_level_execute_command(f"rm -f {shlex.quote(f'{_RESULTS}/{operation}.json')}")

    def _module(self, args: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        # A module tells the host's log its arguments, and there are keys among the files.
        quiet = {**variables, "ansible_no_target_syslog": True}
        answer: dict[str, Any] = self._execute_module(module_name="scaler_bundle", module_args=args, task_vars=quiet)
        answer.pop("invocation", None)
        return answer

    def _file(
        self,
        entry: dict[str, Any],
        variables: dict[str, Any],
        store: Path,
        digests: dict[str, str],
        blobs: dict[str, Path],
    ) -> dict[str, Any]:
        kinds = [kind for kind in _KINDS if kind in entry]
        if len(kinds) != 1 or "dest" not in entry:
            raise AnsibleActionFail(f"a file needs 'dest' and one of {', '.join(_KINDS)}: {entry}")
        entry.pop("when", None)
        file = {**_DEFAULTS, **{k: v for k, v in entry.items() if k not in _KINDS}}
        if kinds[0] == "binary":
            name = str(entry["binary"])
            path, digest = store / name, digests.get(name)
            if digest is None:
                raise AnsibleActionFail(f"the manifest of binaries has no digest for {name}")
            blobs[digest] = path
            return {**file, "sha256": digest, "mode": entry.get("mode", "0755")}
        content = self._content(kinds[0], entry[kinds[0]], variables)
        return {
            **file,
            "content": base64.b64encode(content).decode(),
            "sha256": hashlib.sha256(content).hexdigest(),
        }

    def _content(self, kind: str, value: object, variables: dict[str, Any]) -> bytes:
        if kind == "src":
            try:
                return Path(str(value)).read_bytes()
            except OSError as e:
                raise AnsibleActionFail(f"{value}: {e.strerror}") from e
        if kind == "content":
            return str(value).encode()
        env = environment()
        source = env.loader.get_source(env, str(value))[0] if env.loader else ""
        names = meta.find_undeclared_variables(env.parse(source))
        values = {name: self._templar.template(variables[name]) for name in sorted(names) if name in variables}
        try:
            return env.get_template(str(value)).render(**values).encode()
        except UndefinedError as e:
            raise AnsibleActionFail(f"template {value}: {e}") from e

    def _send(self, blobs: list[tuple[str, Path]]) -> str:
        """Send ``blobs`` as one archive of gzip members; return where it is on the host."""
        remote = self._connection._shell.join_path(self._make_tmp_path(), "payload.tar")  # noqa: SLF001 - ActionBase's own API
        with tempfile.NamedTemporaryFile(prefix="scaler-", suffix=".tar") as file:
            with tarfile.open(fileobj=file, mode="w|") as archive:
                for digest, path in blobs:
                    compressed = _compressed(path, digest)
                    archive.add(compressed, arcname=digest, filter=_anonymous)
            file.flush()
            self._transfer_file(file.name, remote)
        return str(remote)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def _compressed(path: Path, digest: str) -> Path:
    """Return ``path`` as a gzip file out of scaler's cache, made once a digest."""
    target = cache_dir() / "packed" / f"{digest}.gz"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".new.")
    try:
        with os.fdopen(descriptor, "wb") as out, path.open("rb") as source:
            with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0) as packed:
                while block := source.read(1 << 20):
                    found.update(block)
                    packed.write(block)
            out.flush()
        if found.hexdigest() != digest:
            raise AnsibleActionFail(f"{path} has SHA-256 {found.hexdigest()}, the manifest says {digest}")
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return target
