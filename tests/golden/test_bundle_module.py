"""The half of the bundle that runs on a host, here on files of this machine's own temporary directory."""

from __future__ import annotations

import base64
import fcntl
import getpass
import grp
import gzip
import hashlib
import importlib.util
import json
import os
import signal
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.testing import patch_module_args

from scaler import assets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

OPERATION = "20260301-020000-abcd-1-worker-present"
# As a program that refuses a file whose text has "nonsense" in it.
CHECK = ["/bin/sh", "-c", '! grep nonsense "$0" >&2']


def entry(dest: Path, text: str, **more: Any) -> dict[str, Any]:
    content = text.encode()
    return {
        "dest": str(dest),
        "mode": "0644",
        "owner": "root",
        "group": "root",
        "secret": False,
        "units": [],
        "content": base64.b64encode(content).decode(),
        "sha256": hashlib.sha256(content).hexdigest(),
        **more,
    }


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the module, whose operations are in a directory of this machine's own."""
    spec = importlib.util.spec_from_file_location("bundle", assets.PLAYBOOKS / "library" / "scaler_bundle.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setattr(made, "RUNNING", tmp_path / "running")
    # This process is in nobody's session that might end.
    monkeypatch.setattr(made.Operation, "leave_the_session", lambda _: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGALRM)}
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def told(tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the module in check mode and returns what it tells Ansible."""

    def run(*files: dict[str, Any]) -> dict[str, Any]:
        receipt = str(tmp_path / "receipt.json")
        args = {"files": list(files), "receipt": receipt, "operation": OPERATION, "_ansible_check_mode": True}
        with patch_module_args(args), pytest.raises(SystemExit):
            module.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return run


def everything(path: Path) -> dict[str, str]:
    return {str(p.relative_to(path)): p.read_text() for p in path.rglob("*") if p.is_file()}


def test_check_mode_lets_a_files_program_look_and_leaves_nothing(tmp_path: Path, told: Any) -> None:
    (tmp_path / "x.conf").write_text("old")
    answer = told(entry(tmp_path / "x.conf", "new", check=CHECK))
    assert answer["changed"] is True
    assert answer["changed_files"] == [str(tmp_path / "x.conf")]
    assert everything(tmp_path) == {"x.conf": "old"}


@pytest.mark.parametrize("place", ["x.conf", "no/such/directory/x.conf"])
def test_check_mode_fails_where_the_program_refuses(tmp_path: Path, told: Any, place: str) -> None:
    answer = told(entry(tmp_path / place, "nonsense", check=CHECK))
    assert answer["failed"] is True
    assert answer["msg"] == f"{tmp_path / place} is refused by /bin/sh, the old one stays: nonsense"
    assert everything(tmp_path) == {}
    assert not (tmp_path / "no").exists()


def test_a_file_that_is_as_it_should_be_is_not_looked_at(tmp_path: Path, told: Any) -> None:
    (tmp_path / "x.conf").write_text("nonsense")
    (tmp_path / "x.conf").chmod(0o644)
    owner = {"owner": (tmp_path / "x.conf").owner(), "group": (tmp_path / "x.conf").group()}
    assert told(entry(tmp_path / "x.conf", "nonsense", check=CHECK, **owner))["changed"] is False


def test_a_program_that_is_not_there_is_told(tmp_path: Path, told: Any) -> None:
    answer = told(entry(tmp_path / "x.conf", "new", check=["/no/such/program"]))
    assert answer["msg"].startswith(f"{tmp_path / 'x.conf'} cannot be checked, the old one stays: ")
    assert "/no/such/program" in answer["msg"]


def done(module: ModuleType, tmp_path: Path, *files: dict[str, Any], operation: str = OPERATION) -> None:
    """Run the module for real."""
    args = {"files": list(files), "receipt": str(tmp_path / "receipt.json"), "operation": operation}
    with patch_module_args(args), pytest.raises(SystemExit):
        module.main()


def mine(dest: Path, text: str, **more: Any) -> dict[str, Any]:
    """Return a file's entry that whoever runs the tests may write."""
    return entry(dest, text, owner=getpass.getuser(), group=grp.getgrgid(os.getgid()).gr_name, **more)


def counting(tmp_path: Path, gate: Path) -> list[str]:
    """Return a program that notes each time it looks at a file, and ends only once ``gate`` is there."""
    script = f"echo once >> {tmp_path}/count; while [ ! -e {gate} ]; do sleep 0.05; done"
    return ["/bin/sh", "-c", script]


def count(tmp_path: Path) -> int:
    return len((tmp_path / "count").read_text().splitlines()) if (tmp_path / "count").exists() else 0


def until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def asker(module: ModuleType, tmp_path: Path, *files: dict[str, Any]) -> int:
    """Run the module in a process of its own, as sshd does; return its number."""
    child = os.fork()
    if child == 0:
        try:
            done(module, tmp_path, *files)
        finally:
            os._exit(0)
    return child


def operation_ended(module: ModuleType) -> bool:
    lock = os.open(module.RUNNING, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)


def test_a_result_stays_private_until_it_is_known_to_have_arrived(
    tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    done(module, tmp_path, mine(tmp_path / "x.conf", "new"))
    answer = json.loads(capsys.readouterr().out)
    assert (answer["changed"], answer["changed_files"]) == (True, [str(tmp_path / "x.conf")])
    (left,) = module.RUNNING.iterdir()
    assert left.name == f"{OPERATION}.json"
    assert left.stat().st_mode & 0o777 == 0o600
    assert module.RUNNING.stat().st_mode & 0o777 == 0o700


def test_no_content_of_a_file_is_in_a_result(
    tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "a key of the cluster"
    done(module, tmp_path, mine(tmp_path / "x.conf", secret))
    assert base64.b64encode(secret.encode()).decode() not in capsys.readouterr().out


def test_a_change_goes_on_when_whoever_asked_for_it_is_killed_and_its_result_is_collected(
    tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    file = mine(tmp_path / "x.conf", "new", check=counting(tmp_path, tmp_path / "gate"))
    first = asker(module, tmp_path, file)
    until(lambda: count(tmp_path) == 1)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert not (tmp_path / "x.conf").exists()
    (tmp_path / "gate").touch()
    done(module, tmp_path, file)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["changed"], answer["changed_files"]) == (True, [str(tmp_path / "x.conf")])
    assert (tmp_path / "x.conf").read_text() == "new"
    assert count(tmp_path) == 1


def test_a_failure_is_collected_as_well(tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    file = mine(tmp_path / "x.conf", "nonsense", check=CHECK)
    done(module, tmp_path, file)
    first = json.loads(capsys.readouterr().out)
    done(module, tmp_path, mine(tmp_path / "x.conf", "not looked at"))
    assert json.loads(capsys.readouterr().out) == first
    assert (first["failed"], "is refused by /bin/sh" in first["msg"]) == (True, True)


def test_another_operation_waits_for_the_one_that_runs_and_looks_for_itself(
    tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    file = mine(tmp_path / "x.conf", "new", check=counting(tmp_path, tmp_path / "gate"))
    first = asker(module, tmp_path, file)
    until(lambda: count(tmp_path) == 1)
    assert not operation_ended(module)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert not operation_ended(module)
    (tmp_path / "gate").touch()
    done(module, tmp_path, file, operation="another")
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert [path.name for path in module.RUNNING.iterdir()] == ["another.json"]
    assert count(tmp_path) == 1


def test_an_operation_that_another_one_keeps_waiting_too_long_says_so(
    tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 1)
    module.RUNNING.mkdir()
    lock = os.open(module.RUNNING, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    done(module, tmp_path, mine(tmp_path / "x.conf", "new"))
    os.close(lock)
    assert "another operation of scaler runs on this host" in json.loads(capsys.readouterr().out)["msg"]
    assert not (tmp_path / "x.conf").exists()


def test_a_defect_is_told_as_a_failure(
    tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Bundle, "stage", lambda *_: 1 // 0)
    done(module, tmp_path, mine(tmp_path / "x.conf", "new"))
    answer = json.loads(capsys.readouterr().out)
    assert answer["failed"] is True
    assert "ZeroDivisionError" in answer["msg"]


def test_a_change_that_was_killed_is_no_result(
    tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Bundle, "stage", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    done(module, tmp_path, mine(tmp_path / "x.conf", "new"))
    assert json.loads(capsys.readouterr().out)["msg"] == "the change of this host was killed before its end"


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 201])
def test_a_name_that_is_no_file_name_is_refused(
    tmp_path: Path, module: ModuleType, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    done(module, tmp_path, mine(tmp_path / "x.conf", "new"), operation=name)
    assert "is no name of an operation" in json.loads(capsys.readouterr().out)["msg"]


def test_wiping_empties_a_directory_and_follows_no_link_in_it(tmp_path: Path, module: Any) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    inside = tmp_path / "kubelet" / "pods" / "x"
    inside.mkdir(parents=True)
    (inside / "file").write_text("gone")
    (inside / "link").symlink_to(tmp_path / "outside")
    assert module.wipe(tmp_path / "kubelet") == []
    assert not (tmp_path / "kubelet").exists()
    assert everything(tmp_path) == {"outside/kept": "kept"}


def test_where_something_stays_mounted_nothing_is_removed(
    tmp_path: Path, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubelet").mkdir()
    (tmp_path / "kubelet" / "file").write_text("kept")
    stuck = str(tmp_path / "kubelet" / "volume")
    monkeypatch.setattr(module, "mounts_below", lambda _: [stuck])
    assert module.wipe(tmp_path / "kubelet") == [stuck]
    assert everything(tmp_path) == {"kubelet/file": "kept"}


def test_another_file_system_is_not_entered(tmp_path: Path, module: Any) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "file").write_text("kept")
    module.empty(tmp_path, tmp_path.stat().st_dev + 1)
    assert everything(tmp_path) == {"volume/file": "kept"}


def test_a_mount_points_name_is_read_whole(module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = tmp_path / "mountinfo"
    told.write_text(
        f"36 35 98:0 / {tmp_path}/a\\040b rw - ext4 /dev/x rw\n37 35 98:0 / /elsewhere rw - ext4 /dev/x rw\n"
    )
    monkeypatch.setattr(module, "MOUNTS", told)
    assert module.mounts_below(tmp_path) == [f"{tmp_path}/a b"]


def test_a_host_that_is_anothers_is_not_cleaned(
    tmp_path: Path, module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = tmp_path / "receipt.json"
    kept = {"files": {}, "units": [], "directories": [], "claim": {"cluster": "other", "node": "x"}}
    receipt.write_text(json.dumps(kept))
    claim = {"cluster": "prod", "node": "n1"}
    args = {"state": "absent", "receipt": str(receipt), "claim": claim, "pods": False, "operation": OPERATION}
    with patch_module_args(args), pytest.raises(SystemExit):
        module.main()
    told = json.loads(capsys.readouterr().out)
    assert told["failed"]
    assert told["msg"] == "this host is node x of cluster other; nothing was touched"
    assert receipt.exists()


def binary(dest: Path, text: str) -> dict[str, Any]:
    told = entry(dest, text)
    del told["content"]
    return told


def packed(tmp_path: Path, *texts: str) -> str:
    """Return an archive as it is sent to a host."""
    path = tmp_path / "payload.tar"
    with tarfile.open(path, "w") as archive:
        for text in texts:
            member = tmp_path / "member"
            member.write_bytes(gzip.compress(text.encode()))
            archive.add(member, arcname=sha256(text))
    return str(path)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the host's cache, which root fills; here everything belongs to whoever runs the tests."""
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(module, "owner_of", lambda _: (os.getuid(), os.getgid()))
    return tmp_path / "cache"


@pytest.fixture
def asked(
    tmp_path: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Return a function that asks the module for ``state`` and returns what it tells Ansible; nothing outlives it."""
    begun: list[Any] = []
    begin = module.Operation.begin

    def noted(operation: Any) -> None:
        begun.append(operation)
        begin(operation)

    monkeypatch.setattr(module.Operation, "begin", noted)
    monkeypatch.setattr(module.Operation, "outlive", lambda _: None)
    numbers = iter(range(100))

    def run(*files: dict[str, Any], state: str = "cached", **more: Any) -> dict[str, Any]:
        args = {"files": list(files), "receipt": str(tmp_path / "r.json"), "state": state, **more}
        with patch_module_args({**args, "operation": f"op-{next(numbers)}"}), pytest.raises(SystemExit):
            module.main()
        # As the end of its process does.
        while begun:
            os.close(begun.pop().lock)
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    return run


def test_what_the_cache_lacks_is_asked_for_and_kept_by_its_digest(tmp_path: Path, cache: Path, asked: Any) -> None:
    files = [binary(tmp_path / "bin" / "kubelet", "k"), binary(tmp_path / "bin" / "proxy", "p")]
    first = asked(*files)
    assert (first["changed"], set(first["missing"])) == (False, {sha256("k"), sha256("p")})
    assert not cache.exists()
    sent = asked(*files, payload=packed(tmp_path, "k", "p"))
    assert sent["changed"] is True
    assert sent["payload_bytes"] > 0
    assert everything(cache) == {sha256("k"): "k", sha256("p"): "p"}
    assert not (tmp_path / "bin").exists()
    again = asked(*files)
    assert (again["changed"], again["missing"], again["payload_bytes"]) == (False, [], 0)


def test_what_is_in_its_place_is_kept_and_not_asked_for(tmp_path: Path, cache: Path, asked: Any) -> None:
    (tmp_path / "kubelet").write_text("k")
    told = asked(binary(tmp_path / "kubelet", "k"))
    assert (told["changed"], told["missing"], told["payload_bytes"]) == (True, [], 0)
    assert everything(cache) == {sha256("k"): "k"}


def test_what_no_worker_has_any_more_does_not_stay(tmp_path: Path, cache: Path, asked: Any) -> None:
    cache.mkdir()
    for text in ("k", "old"):
        (cache / sha256(text)).write_text(text)
    (cache / ".half.x1y2").write_text("of a copy that was cut off")
    file = binary(tmp_path / "kubelet", "k")
    rehearsed = asked(file, _ansible_check_mode=True)
    assert rehearsed["changed"] is True
    assert len(everything(cache)) == 3
    assert asked(file)["changed"] is True
    assert everything(cache) == {sha256("k"): "k"}
    assert asked(file, _ansible_check_mode=True)["changed"] is False


def test_a_wrong_byte_on_the_way_leaves_the_cache_as_it_was(tmp_path: Path, cache: Path, asked: Any) -> None:
    path = packed(tmp_path, "x")
    with tarfile.open(path, "w") as archive:
        archive.add(tmp_path / "member", arcname=sha256("k"))
    told = asked(binary(tmp_path / "kubelet", "k"), payload=path)
    assert told["failed"] is True
    assert not cache.exists()


def test_a_bundle_takes_from_the_cache_what_is_right_there_and_asks_for_the_rest(
    tmp_path: Path, cache: Path, asked: Any
) -> None:
    cache.mkdir()
    (cache / sha256("k")).write_text("k")
    (cache / sha256("p")).write_text("spoilt")
    files = [binary(tmp_path / "kubelet", "k"), binary(tmp_path / "proxy", "p")]
    first = asked(*files, state="present")
    assert (first["changed"], first["missing"]) == (False, [sha256("p")])
    sent = asked(*files, state="present", payload=packed(tmp_path, "p"))
    assert sent["changed"] is True
    assert ((tmp_path / "kubelet").read_text(), (tmp_path / "proxy").read_text()) == ("k", "p")
