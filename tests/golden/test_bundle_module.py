"""The half of the bundle that runs on a host, here on files of this machine's own temporary directory."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.testing import patch_module_args

from scaler import assets

if TYPE_CHECKING:
    from pathlib import Path

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
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the module in check mode and returns what it tells Ansible."""
    spec = importlib.util.spec_from_file_location("bundle", assets.PLAYBOOKS / "library" / "scaler_bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*files: dict[str, Any]) -> dict[str, Any]:
        receipt = str(tmp_path / "receipt.json")
        args = {"files": list(files), "receipt": receipt, "_ansible_check_mode": True}
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


@pytest.fixture
def module() -> Any:
    spec = importlib.util.spec_from_file_location("bundle", assets.PLAYBOOKS / "library" / "scaler_bundle.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


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
    args = {"state": "absent", "receipt": str(receipt), "claim": claim, "pods": False}
    with patch_module_args(args), pytest.raises(SystemExit):
        module.main()
    told = json.loads(capsys.readouterr().out)
    assert told["failed"]
    assert told["msg"] == "this host is node x of cluster other; nothing was touched"
    assert receipt.exists()
