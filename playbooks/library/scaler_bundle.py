"""Apply a bundle on a host: all files staged and verified, then put in place, then units reloaded and started."""

# The standard library only: this runs with the host's own Python.

from __future__ import annotations

DOCUMENTATION = r"""
module: scaler_bundle
short_description: Place all files of a host as a whole, then run its units
description:
  - Every file is written beside its place, verified by SHA-256 and flushed before the first one is renamed, so a full
    disk or a wrong digest leaves the host as it was.
  - A file's C(check), a program and its arguments, looks at the new content first, in check mode too; what it refuses
    is not put in place.
  - What was there before is kept and named in a receipt, which O(state=absent) uses to put it back.
  - With O(state=cached) nothing is put in place. The binaries among O(files) are kept in C(/var/cache/scaler), each by
    its SHA-256, for a later O(state=present) that then need not be sent them; nothing else stays there.
  - What changes the host goes on when the connection is lost. It is a unit of its own, one at a time on a host; who
    asks for the same O(operation) again gets its result.
options:
  files: {description: Files, type: list, elements: dict, default: []}
  units: {description: 'Units in the order in which they start ({name}). A start is waited for, with {start_seconds} for
          that long at most: one that is at it then goes on by itself', type: list, elements: dict, default: []}
  users: {description: System users to make first ({name, home}), type: list, elements: dict, default: []}
  payload: {description: Archive on the host with what was missing, type: path}
  receipt: {description: Where the receipt is kept, type: path, default: /var/lib/scaler/receipt.json}
  claim: {description: Whose bundle this is; with absent what is another's stays, type: dict, default: {}}
  wipe: {description: With absent, directories to remove with all that is mounted below, type: list, elements: path,
         default: []}
  run: {description: Units to enable and start, all where it is not given; the others are only known, type: list,
        elements: str}
  pods: {description: With absent, whether pods and Kubernetes' packet filter chains end too, type: bool, default: true}
  before: {description: With absent, commands to run once the units have stopped, type: list, elements: list,
           default: []}
  operation: {description: Name of this change of this host; one that is asked for again is not done again, type: str,
              required: true}
  state: {description: Wanted state, type: str, choices: [present, absent, cached], default: present}
author: scaler
"""

EXAMPLES = r"""
- name: A unit and its configuration are in place and run
  scaler_bundle:
    operation: x-1
    files:
      - {dest: /etc/systemd/system/x.service, template: x/x.service.j2, units: [x.service]}
    units:
      - {name: x.service}
"""

RETURN = r"""
changed_files: {description: Files that were, or would be, written, returned: success, type: list, elements: str}
missing: {description: Digests the host needs and has not got, returned: when something is missing, type: list}
payload_bytes: {description: Bytes of the archive that was sent, returned: success, type: int}
"""

import base64
import contextlib
import fcntl
import grp
import gzip
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

BLOCK = 1 << 20
CACHE = Path("/var/cache/scaler")
STARTING = ("--property=Job", "--property=ActiveState", "--property=SubState")
RUNNING = Path("/run/scaler")
# Longer than all units of a host together take to start or to say that they do not.
WAIT_SECONDS = 900
SCOPE_SECONDS = 5.0
MOUNTS = Path("/proc/self/mountinfo")


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of ``path``, None where there is no such file."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                found.update(block)
    except FileNotFoundError:
        return None
    return found.hexdigest()


def in_cache(digest: str) -> bool:
    """Tell whether this host has what that SHA-256 says, by its very bytes."""
    return digest_of(CACHE / digest) == digest


def owner_of(file: dict[str, Any]) -> tuple[int, int]:
    """Return the user's and the group's number of ``file``."""
    return pwd.getpwnam(file["owner"]).pw_uid, grp.getgrnam(file["group"]).gr_gid


def systemctl(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run systemctl; the caller looks at the result."""
    return subprocess.run(["systemctl", *argv], capture_output=True, text=True, check=False)


def act(verb: str, name: str, seconds: float) -> str:
    """Start or reload a unit, for ``seconds`` if any; return why it did not, nothing where it did or is still at it."""
    done = systemctl(verb, *(["--no-block"] if seconds else []), name)
    if done.returncode != 0:
        return done.stderr.strip() or f"exit status {done.returncode}"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = dict(line.split("=", 1) for line in systemctl("show", *STARTING, name).stdout.splitlines())
        # A unit whose job is done is up or has failed, though systemd may start it again by itself.
        if told.get("Job", "0") in {"", "0"}:
            return "" if told["ActiveState"] == "active" else f"it is {told['ActiveState']} ({told['SubState']})"
        time.sleep(0.1)
    return ""


def states(units: list[dict[str, Any]]) -> dict[str, tuple[bool, bool]]:
    """Return, by one question, of each unit whether it is active and whether it is enabled."""
    names = [unit["name"] for unit in units]
    told = systemctl("show", "--property=ActiveState", "--property=UnitFileState", *names).stdout if names else ""
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in told.strip().split("\n\n")]
    return {
        name: (block.get("ActiveState") == "active", block.get("UnitFileState") == "enabled")
        for name, block in zip(names, blocks, strict=False)
    }


class Operation:
    """One change of this host: the only one that runs, done once, and done to its end if nobody waits for it."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.name: str = module.params["operation"]
        self.result = RUNNING / f"{self.name}.json"
        self.detached = False
        self.unit = ""
        self.lock = -1

    def begin(self) -> None:
        """Wait until no other operation runs on this host; one that was done already ends here with its result."""
        RUNNING.mkdir(mode=0o700, exist_ok=True)
        self.lock = os.open(RUNNING, os.O_RDONLY | os.O_DIRECTORY)
        signal.signal(signal.SIGALRM, self.too_long)
        signal.alarm(WAIT_SECONDS)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        signal.alarm(0)
        for left in RUNNING.iterdir():
            # What nobody came for is of a run that has gone on, or has ended.
            if left != self.result:
                left.unlink()
        if self.result.exists():
            self.tell(self.result.read_text())

    def too_long(self, *_: object) -> NoReturn:
        """End: another operation does not."""
        self.module.fail_json(msg=f"another operation of scaler runs on this host for more than {WAIT_SECONDS} s")
        raise SystemExit(1)

    def outlive(self) -> None:
        """Go on in a process that does not end with the connection; the one that came only waits for it and tells."""
        # Both have it open, since it is another operation's to remove once the lock is free.
        partial = os.open(self.result.with_suffix(".new"), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        child = os.fork()
        if child:
            os.close(self.lock)
            # It ends by itself, and then what Ansible put here is removed.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            _, status = os.waitpid(child, 0)
            if status:
                self.module.fail_json(msg="the change of this host was killed before its end")
            os.lseek(partial, 0, os.SEEK_SET)
            with os.fdopen(partial) as result:
                self.tell(result.read())
        self.detached = True
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        sys.stdout = os.fdopen(partial, "w")
        self.leave_the_session()

    def leave_the_session(self) -> None:
        """Become a unit: a login's own processes may be ended with it."""
        if not Path("/run/systemd/system").exists():
            return
        unit, own = f"scaler-{self.name}.scope", str(os.getpid())
        manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
        # Where systemd is not told that nobody is left in it, its end is a timeout; that is no failed unit to keep.
        forgotten = ["TimeoutStopUSec", "t", "1000000", "CollectMode", "s", "inactive-or-failed"]
        asked = ["ssa(sv)a(sa(sv))", unit, "fail", "3", "PIDs", "au", "1", own, *forgotten, "0"]
        why = ""
        try:
            done = subprocess.run(
                ["busctl", "call", *manager, "StartTransientUnit", *asked],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            why = done.stderr.strip()
        except (OSError, subprocess.TimeoutExpired) as e:
            why = str(e)
        deadline = time.monotonic() + SCOPE_SECONDS
        while not why and f"/{unit}" not in Path("/proc/self/cgroup").read_text():
            if time.monotonic() > deadline:
                why = f"it is not in {unit} after {SCOPE_SECONDS:g} s"
            time.sleep(0.002)
        self.unit = "" if why else unit
        if why:
            self.module.warn(f"this change has no unit of its own and may end with the connection: {why}")

    def end(self, error: BaseException) -> NoReturn:
        """Put the result, whole, where it is looked for, and end the process that outlives."""
        try:
            if not isinstance(error, SystemExit):
                self.module.fail_json(msg=f"a defect of scaler's own: {error!r}", exception=traceback.format_exc())
        except SystemExit:
            pass
        finally:
            sys.stdout.flush()
            self.result.with_suffix(".new").replace(self.result)
            self.end_the_unit()
            os._exit(0)

    def end_the_unit(self) -> None:
        """Have systemd forget the unit: in a container with cgroup v1 it is not told that nobody is left in it."""
        if self.unit:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            systemctl("stop", "--no-block", self.unit)

    def tell(self, text: str) -> NoReturn:
        """Tell Ansible what the operation came to; the result stays until it is known to have arrived."""
        sys.stdout.write(text)
        sys.stdout.flush()
        raise SystemExit(0)


class Bundle:
    """One run of the module."""

    def __init__(self, module: AnsibleModule, operation: Operation) -> None:
        self.module = module
        self.operation = operation
        # Out of the parameters, which an answer repeats: there are keys among the files.
        self.files: list[dict[str, Any]] = module.params.pop("files")
        self.units: list[dict[str, Any]] = module.params["units"]
        run = module.params["run"]
        # What is to run now; the receipt knows all units, since whoever takes the bundle back stops them all.
        self.running = [unit for unit in self.units if run is None or unit["name"] in run]
        self.receipt = Path(module.params["receipt"])
        # What each bundle replaced, by digest; its own directory, since another bundle's receipt is another life.
        self.kept = self.receipt.with_suffix(".kept")
        self.staged: dict[str, Path] = {}
        # Digests of what need not be sent, since it is here already.
        self.here: set[str] = set()
        self.made: list[str] = []
        self.new_users: list[str] = []

    def fail(self, message: str, **more: object) -> NoReturn:
        """End with ``message``; what was staged is removed, so every old file is intact."""
        for temporary in self.staged.values():
            temporary.unlink(missing_ok=True)
        for directory in reversed(self.made):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
        if self.staged:
            remove_users(self.new_users)
        self.module.fail_json(msg=message, **more)
        raise SystemExit(1)

    # -- present ------------------------------------------------------------------------------------------------

    def present(self) -> None:
        """Bring every file and unit to the wanted state."""
        changed = [file for file in self.files if self.differs(file)]
        binaries = {file["sha256"] for file in changed if "content" not in file}
        self.here = {digest for digest in binaries if in_cache(digest)}
        missing = sorted(binaries - self.here) if not self.module.params["payload"] else []
        names = [file["dest"] for file in changed]
        answer: dict[str, Any] = {"changed_files": names, "missing": missing, "payload_bytes": 0}
        if self.module._diff:  # noqa: SLF001 - Ansible's own name for --diff
            answer["diff"] = [self.diff(file) for file in changed]
        if self.module.check_mode:
            self.rehearse(changed)
            self.module.exit_json(changed=bool(changed) or self.units_differ(names), **answer)
        if missing:
            self.module.exit_json(changed=False, **answer)
        self.operation.outlive()
        if changed:
            self.make_users()
            answer["payload_bytes"] = self.stage(changed)
            self.validate(changed)
            self.remember(changed)
            self.put(changed)
        started = self.run_units({unit for file in changed for unit in file["units"]}, names)
        self.module.exit_json(changed=bool(changed or started), units=started, **{**answer, "missing": []})

    def make_users(self) -> None:
        """Make the system users that files will belong to."""
        for user in self.module.params["users"]:
            try:
                pwd.getpwnam(user["name"])
            except KeyError:
                line = f"u {user['name']} - - {user['home']}"
                self.new_users.append(user["name"])
                subprocess.run(["systemd-sysusers", "--inline", line], check=True, capture_output=True)

    def differs(self, file: dict[str, Any]) -> bool:
        """Tell whether ``file`` is not what it should be: content, mode or owner."""
        path = Path(file["dest"])
        if file.get("keep") and path.exists():
            return False
        if digest_of(path) != file["sha256"]:
            return True
        found = path.stat()
        try:
            owner, group = owner_of(file)
        except KeyError:  # a user that is made with the files
            return True
        return found.st_mode & 0o7777 != int(file["mode"], 8) or (found.st_uid, found.st_gid) != (owner, group)

    def diff(self, file: dict[str, Any]) -> dict[str, str]:
        """Return the difference for --diff; of a secret and of a binary only that there is one."""
        dest = file["dest"]
        if file["secret"] or "content" not in file:
            return {"prepared": f"{dest}: will become {file['sha256'][:16]}… (content not shown)\n"}
        before = Path(dest).read_text(errors="replace") if Path(dest).exists() else ""
        after = base64.b64decode(file["content"]).decode(errors="replace")
        return {"before_header": dest, "after_header": dest, "before": before, "after": after}

    def stage(self, changed: list[dict[str, Any]]) -> int:
        """Write every changed file beside its place, verified and flushed; return the archive's size in bytes."""
        payload = self.module.params["payload"]
        try:
            for file in changed:
                if "content" in file:
                    self.write(file, [base64.b64decode(file["content"])])
                elif file["sha256"] in self.here:
                    with (CACHE / file["sha256"]).open("rb") as source:
                        self.write(file, blocks_of(source))
            if not payload:
                return 0
            self.unpack(payload, [file for file in changed if file["dest"] not in self.staged])
            return os.stat(payload).st_size
        except OSError as e:
            self.fail(f"cannot write to this host: {e.strerror} ({e.filename}); every old file is as it was")
        finally:
            if payload:
                Path(payload).unlink(missing_ok=True)

    def unpack(self, payload: str, files: list[dict[str, Any]]) -> None:
        """Stage ``files`` out of the archive, whose members are gzip files named by the digest of their content."""
        wanted: dict[str, list[dict[str, Any]]] = {}
        for file in files:
            wanted.setdefault(file["sha256"], []).append(file)
        with tarfile.open(payload, mode="r|") as archive:
            for member in archive:
                for file in wanted.pop(member.name, [])[:1]:
                    with gzip.GzipFile(fileobj=archive.extractfile(member)) as source:
                        self.write(file, blocks_of(source))
        if wanted:
            self.fail(f"the archive lacks {', '.join(f['dest'] for fs in wanted.values() for f in fs)}")

    def write(self, file: dict[str, Any], blocks: Any) -> None:  # noqa: ANN401 - any iterable of bytes
        """Stage one file and compare its digest with the expected one."""
        dest, found = Path(file["dest"]), hashlib.sha256()
        self.make_directories(dest.parent)
        descriptor, name = tempfile.mkstemp(dir=dest.parent, prefix=f".{dest.name}.")
        self.staged[file["dest"]] = Path(name)
        with os.fdopen(descriptor, "wb") as out:
            for block in blocks:
                found.update(block)
                out.write(block)
            os.fchmod(out.fileno(), int(file["mode"], 8))
            os.fchown(out.fileno(), *owner_of(file))
            out.flush()
            os.fsync(out.fileno())
        if found.hexdigest() != file["sha256"]:
            self.fail(f"{dest}: SHA-256 {found.hexdigest()} arrived, {file['sha256']} is expected; nothing was changed")

    def validate(self, changed: list[dict[str, Any]]) -> None:
        """Let the program in a file's ``check`` look at what is staged; a refusal leaves the old file in place."""
        for file in changed:
            if file.get("check"):
                self.must_be_taken(file, self.staged[file["dest"]])

    def rehearse(self, changed: list[dict[str, Any]]) -> None:
        """Validate in check mode: each program looks at a copy that is removed again."""
        for file in changed:
            if file.get("check") and "content" in file:
                dest = Path(file["dest"])
                beside = dest.parent if dest.parent.is_dir() else None
                with tempfile.NamedTemporaryFile(dir=beside, prefix=f".{dest.name}.") as copy:
                    copy.write(base64.b64decode(file["content"]))
                    copy.flush()
                    self.must_be_taken(file, Path(copy.name))

    def must_be_taken(self, file: dict[str, Any], path: Path) -> None:
        """End where the program in the ``check`` of ``file`` refuses its content, which is at ``path``."""
        argv = [*file["check"], str(path)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as e:
            self.fail(f"{file['dest']} cannot be checked, the old one stays: {e}")
        if done.returncode != 0:
            self.fail(f"{file['dest']} is refused by {argv[0]}, the old one stays: {done.stderr.strip()}")

    def make_directories(self, path: Path) -> None:
        """Make ``path`` and its parents, and name the new ones in the receipt."""
        for directory in reversed([p for p in (path, *path.parents) if not p.exists()]):
            directory.mkdir(mode=0o755)
            self.made.append(str(directory))

    def remember(self, changed: list[dict[str, Any]]) -> None:
        """Write the receipt before anything is replaced: what was there, and whose bundle this is."""
        receipt = self.read_receipt() or {"files": {}, "units": [], "directories": []}
        receipt["directories"] += self.made
        receipt["users"] = [*receipt.get("users", ()), *self.new_users]
        for file in changed:
            dest = Path(file["dest"])
            if file["dest"] in receipt["files"]:
                continue
            before = digest_of(dest)
            if before is not None:
                self.kept.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.copy2(dest, self.kept / before)
            receipt["files"][file["dest"]] = before
        known = [unit["name"] for unit in receipt["units"]]
        now = states(self.units)
        for unit in self.units:
            if unit["name"] not in known:
                active, enabled = now[unit["name"]]
                receipt["units"].append({"name": unit["name"], "enabled": enabled, "active": active})
        # A run by hand claims nothing; what an unfinished run of scaler claimed stays.
        receipt["claim"] = self.module.params["claim"] or receipt.get("claim", {})
        self.receipt.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.receipt.with_suffix(".new")
        with temporary.open("w") as out:
            json.dump(receipt, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(self.receipt)

    def read_receipt(self) -> dict[str, Any] | None:
        """Return what an earlier run left, None where there was none."""
        try:
            receipt: dict[str, Any] = json.loads(self.receipt.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return receipt

    def put(self, changed: list[dict[str, Any]]) -> None:
        """Rename all staged files into place and make that last."""
        for file in changed:
            self.staged.pop(file["dest"]).replace(file["dest"])
        for directory in {os.path.dirname(file["dest"]) for file in changed}:
            descriptor = os.open(directory, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def units_differ(self, changed: list[str]) -> bool:
        """Tell, for check mode, whether a unit would be started or enabled."""
        del changed
        now = states(self.units)
        return any(not now[u["name"]][0] for u in self.running if u.get("state", "started") == "started")

    def run_units(self, restart: set[str], changed: list[str]) -> list[str]:
        """Reload systemd if need be, then enable and start (or restart) the units in order; return those acted on."""
        if any(name.startswith("/etc/systemd/") for name in changed):
            systemctl("daemon-reload")
        acted = []
        now = states(self.units)
        names = [unit["name"] for unit in self.running if unit.get("enabled", True)]
        if not all(now[name][1] for name in names):
            done = systemctl("enable", "--no-reload", *names)
            if done.returncode != 0:
                self.fail(f"units cannot be enabled: {done.stderr.strip()}")
            acted += names
        for unit in self.running:
            name = unit["name"]
            active = now[name][0]
            if unit.get("state", "started") == "placed" or (active and name not in restart):
                continue
            # A unit's own file is only read anew by a restart. One that is still starting goes on.
            reload = unit.get("reload") and f"/etc/systemd/system/{name}" not in changed
            verb = "start" if name not in restart else "reload" if active and reload else "restart"
            acted.append(name)
            if why := act(verb, name, float(unit.get("start_seconds", 0))):
                self.fail(f"{name} does not start: {why}", log=log_of(name))
        return acted

    # -- cached -------------------------------------------------------------------------------------------------

    def cached(self) -> None:
        """Keep every binary of the bundle in the host's cache, and nothing that no bundle has any more."""
        wanted = {file["sha256"]: Path(file["dest"]) for file in self.files if "content" not in file}
        lacking = [digest for digest in wanted if not in_cache(digest)]
        old = sorted(path for path in CACHE.iterdir() if path.name not in wanted) if CACHE.is_dir() else []
        # What a worker has in its place need not be sent to be kept.
        self.here = {digest for digest in lacking if digest_of(wanted[digest]) == digest}
        missing = sorted(set(lacking) - self.here) if not self.module.params["payload"] else []
        changed = bool(lacking or old)
        names = [str(wanted[digest]) for digest in lacking] + [str(path) for path in old]
        answer: dict[str, Any] = {"changed_files": names, "missing": missing, "payload_bytes": 0}
        if self.module.check_mode:
            self.module.exit_json(changed=changed, **answer)
        if missing or not changed:
            self.module.exit_json(changed=False, **answer)
        self.operation.outlive()
        answer["payload_bytes"] = self.fill({digest: wanted[digest] for digest in lacking})
        for path in old:
            path.unlink()
        self.module.exit_json(changed=True, **answer)

    def fill(self, lacking: dict[str, Path]) -> int:
        """Put each of ``lacking`` into the cache, whole or not at all; return the archive's size in bytes."""
        common = {"mode": "0644", "owner": "root", "group": "root"}
        entries = [{"dest": str(CACHE / digest), "sha256": digest, **common} for digest in lacking]
        payload = self.module.params["payload"]
        try:
            for entry in entries:
                if entry["sha256"] in self.here:
                    with lacking[entry["sha256"]].open("rb") as source:
                        self.write(entry, blocks_of(source))
            if payload:
                self.unpack(payload, [entry for entry in entries if entry["dest"] not in self.staged])
            self.put(entries)
            return os.stat(payload).st_size if payload else 0
        except OSError as e:
            self.fail(f"cannot write to this host: {e.strerror} ({e.filename}); the cache is as it was")
        finally:
            if payload:
                Path(payload).unlink(missing_ok=True)

    # -- absent -------------------------------------------------------------------------------------------------

    def absent(self) -> None:
        """Stop the units, end the pods, put back what the receipt names, wipe the directories given."""
        receipt = self.read_receipt()
        if receipt is None:
            self.module.exit_json(changed=False, changed_files=[])
            return
        self.must_be_ours(receipt.get("claim", {}))
        files: dict[str, str | None] = receipt["files"]
        if self.module.check_mode:
            self.module.exit_json(changed=True, changed_files=sorted(files))
        self.operation.outlive()
        units = [unit["name"] for unit in receipt["units"]]
        self.stop(receipt["units"])
        for command in self.module.params["before"]:
            # Cleaning goes as far as it can: what one command leaves is still found by the next preflight.
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(command, capture_output=True, timeout=60, check=False)
        if self.module.params["pods"]:
            end_pods()
            remove_chains()
        for directory in self.module.params["wipe"]:
            self.wipe(directory)
        put_back(files, self.kept, receipt["directories"])
        systemctl("daemon-reload")
        systemctl("reset-failed", *units)
        for unit in receipt["units"]:
            if unit["active"]:
                systemctl("start", unit["name"])
        remove_users(receipt.get("users", []))
        self.receipt.unlink()
        self.module.exit_json(changed=True, changed_files=sorted(files), units=units)

    def stop(self, units: list[dict[str, Any]]) -> None:
        """Stop the units, the last one first; containerd ends its containers itself, once no kubelet starts them."""
        names = [unit["name"] for unit in reversed(units)]
        if not names:
            return
        if self.module.params["pods"]:
            systemctl("stop", *[name for name in names if name != "containerd.service"])
            remove_containers()
        systemctl("stop", *names)
        systemctl("disable", "--no-reload", *[unit["name"] for unit in units if not unit["enabled"]])

    def wipe(self, directory: str) -> None:
        """Empty ``directory``; end where something is mounted there for good."""
        mounted = wipe(Path(directory))
        if mounted:
            why = (
                f"{', '.join(mounted)} cannot be unmounted; {directory} was not emptied, since that would empty it too"
            )
            self.module.fail_json(msg=why)

    def must_be_ours(self, claim: dict[str, Any]) -> None:
        """End where the host is another's than is said."""
        said = self.module.params["claim"]
        other = [key for key in ("cluster", "node") if said.get(key) and claim.get(key, said[key]) != said[key]]
        if other:
            whose = f"node {claim.get('node')} of cluster {claim.get('cluster')}"
            self.module.fail_json(msg=f"this host is {whose}; nothing was touched")


def remove_containers() -> None:
    """Have containerd end and forget every container of Kubernetes', which takes their mounts and snapshots away."""
    for kind, remove in (("tasks", ["tasks", "rm", "--force"]), ("containers", ["containers", "rm"])):
        names = ctr(kind, "ls", "--quiet").split()
        for name in names:
            ctr(*remove, name)


def ctr(*argv: str) -> str:
    """Run containerd's own client in Kubernetes' namespace; without one, or without containerd, it says nothing."""
    command = ["ctr", "--namespace", "k8s.io", *argv]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    return ""


def remove_users(names: list[str]) -> None:
    """Remove the system users that were made for the files."""
    for name in names:
        subprocess.run(["userdel", name], capture_output=True, check=False)


def blocks_of(source: Any) -> Any:  # noqa: ANN401 - any binary file, and an iterator of its blocks
    """Return the blocks of an open file, one after another."""
    return iter(lambda: source.read(BLOCK), b"")


def put_back(files: dict[str, str | None], kept: Path, directories: list[str]) -> None:
    """Give each file its former content out of ``kept``, or remove it; then the directories made for them."""
    for name, before in files.items():
        path = Path(name)
        if before is None:
            path.unlink(missing_ok=True)
        elif (kept / before).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(kept / before, path)
    shutil.rmtree(kept, ignore_errors=True)
    for directory in reversed(directories):
        # Somebody else may have put something there since; then it stays.
        with contextlib.suppress(OSError):
            Path(directory).rmdir()


def end_pods() -> None:
    """Kill every process in a pod's cgroup and the shims that would look after it; their networks end with them."""
    deadline = time.monotonic() + 10
    while of_pods() and time.monotonic() < deadline:
        for pid in of_pods():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    # A sandbox's network lives on in its mount; its end of the cable in the host goes with it.
    for namespace in Path("/run/netns").glob("cni-*"):
        subprocess.run(["umount", "-l", str(namespace)], capture_output=True, check=False)
        namespace.unlink(missing_ok=True)


def of_pods() -> list[int]:
    """Return the processes of pods, and the shims of Kubernetes' containers."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            shim = (process / "comm").read_text().strip() == "containerd-shim"
            ours = shim and b"k8s.io" in (process / "cmdline").read_bytes()
            # One that has ended and is not collected yet holds nothing.
            ended = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if (ours or "kubepods" in (process / "cgroup").read_text()) and not ended:
                found.append(int(process.name))
    return found


def remove_chains() -> None:
    """Take Kubernetes' chains, and the rules that jump to them, out of the packet filter; all else stays."""
    for family in ("iptables", "ip6tables"):
        with contextlib.suppress(OSError):
            saved = subprocess.run([f"{family}-save"], capture_output=True, text=True, check=False).stdout
            if "KUBE-" in saved:
                kept = "".join(line for line in saved.splitlines(keepends=True) if "KUBE-" not in line)
                subprocess.run([f"{family}-restore"], input=kept, text=True, capture_output=True, check=False)


def wipe(path: Path) -> list[str]:
    """Unmount whatever is mounted below ``path``, then empty it; a mount point itself stays.

    Return what cannot be unmounted: then nothing was removed. A link is followed once, at the top, and no other file
    system is entered, so that nothing is ever removed through a mount.
    """
    path = path.resolve()
    for mount in sorted(mounts_below(path), reverse=True):
        subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
    left = mounts_below(path)
    if left or not path.is_dir():
        return left
    empty(path, path.stat().st_dev)
    if not path.is_mount():
        with contextlib.suppress(OSError):
            path.rmdir()
    return []


def mounts_below(path: Path) -> list[str]:
    """Return every mount point below ``path``, as often as something is mounted there."""
    points = [line.split()[4] for line in MOUNTS.read_text().splitlines()]
    names = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point) for point in points]
    return [name for name in names if name.startswith(f"{path}/")]


def empty(path: Path, device: int) -> None:
    """Remove what is in ``path`` on the file system ``device``, and nothing of another one."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(path):
            with contextlib.suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                elif entry.stat(follow_symlinks=False).st_dev == device:
                    empty(Path(entry.path), device)
                    os.rmdir(entry.path)


def log_of(unit: str) -> str:
    """Return the last 50 lines of the unit's log."""
    done = subprocess.run(
        ["journalctl", "-u", unit, "-n", "50", "--no-pager", "-o", "short"], capture_output=True, text=True, check=False
    )
    return done.stdout


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "default": [], "no_log": False},
            "units": {"type": "list", "elements": "dict", "default": []},
            "users": {"type": "list", "elements": "dict", "default": []},
            "payload": {"type": "path"},
            "receipt": {"type": "path", "default": "/var/lib/scaler/receipt.json"},
            "claim": {"type": "dict", "default": {}},
            "wipe": {"type": "list", "elements": "path", "default": []},
            "run": {"type": "list", "elements": "str"},
            "pods": {"type": "bool", "default": True},
            "before": {"type": "list", "elements": "list", "default": []},
            "operation": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "cached"], "default": "present"},
        },
        supports_check_mode=True,
    )
    operation = Operation(module)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", operation.name):
        module.fail_json(msg=f"{operation.name!r} is no name of an operation")
    bundle = Bundle(module, operation)
    try:
        if not module.check_mode:
            operation.begin()
        {"present": bundle.present, "absent": bundle.absent, "cached": bundle.cached}[module.params["state"]]()
    except BaseException as e:
        if operation.detached:
            operation.end(e)
        raise


if __name__ == "__main__":
    main()
