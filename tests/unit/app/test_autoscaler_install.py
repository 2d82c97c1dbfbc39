from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml

from scaler.app import autoscaler_certificates, autoscaler_install
from scaler.app.autoscaler import Endpoint, How
from scaler.app.autoscaler_work import Drain
from scaler.errors import InputError
from scaler.gateways import units
from scaler.gateways.externalgrpc.server import Certificates
from scaler.gateways.process import run
from tests.unit import examples

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.app.autoscaler_install import Unit

CLUSTER = examples.cluster(settings=examples.settings(pools={"web": {}}))
PLAIN = How(Endpoint("127.0.0.1", 8086), None)


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SCALER_CACHE_DIR", str(tmp_path / "cache"))


def made(tmp_path: Path, how: How = PLAIN, user: str = "root") -> Unit:
    return autoscaler_install.unit(CLUSTER, how, user=user, directory=tmp_path / "units")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    pki = tmp_path / "pki"
    autoscaler_certificates.make(pki, ["10.0.0.5"], datetime.now(UTC))
    files = Certificates(pki / "server.crt", pki / "server.key", pki / "ca.crt")
    how = How(Endpoint("10.0.0.5", 8086), files, Endpoint("127.0.0.1", 8087), Drain("10m", delete_emptydir_data=True))
    unit = made(tmp_path, how)
    autoscaler_install.install(unit, now=False)
    return unit.path


def test_the_unit_starts_the_server_with_what_was_said(written: Path, tmp_path: Path) -> None:
    command = re.search(r"^ExecStart=(.+)$", written.read_text(), re.MULTILINE)
    assert command
    argv = command[1].split()
    assert argv[1:5] == ["autoscaler", "serve", "--cluster", "/inv"]
    assert argv[5:7] == ["--listen", "10.0.0.5:8086"]
    assert argv[7:13] == [
        "--cert",
        str(tmp_path / "pki" / "server.crt"),
        "--key",
        str(tmp_path / "pki" / "server.key"),
        "--client-ca",
        str(tmp_path / "pki" / "ca.crt"),
    ]
    assert argv[13:] == ["--metrics-listen", "127.0.0.1:8087", "--timeout", "10m", "--delete-emptydir-data"]


def test_the_places_that_it_writes_to_are_there_and_named(written: Path, tmp_path: Path) -> None:
    found = re.findall(r"^ReadWritePaths=(.+)$", written.read_text(), re.MULTILINE)
    assert found == ["/inv", f"{tmp_path}/state", f"{tmp_path}/cache"]
    assert (tmp_path / "state").is_dir()
    assert (tmp_path / "cache").is_dir()


def test_systemd_understands_the_unit_and_finds_it_hardened(written: Path) -> None:
    assert run(["systemd-analyze", "verify", str(written)], timeout=120).err == ""
    told = run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(written)], timeout=120)
    level = re.search(r"Overall exposure level for \S+: (\S+) (\S+)", told.out)
    assert level
    assert float(level[1]) < 3
    assert level[2] == "OK"


@pytest.mark.parametrize(
    ("word", "told"),
    [("plain/path", "plain/path"), ("a b", '"a b"'), ('a"b', '"a\\"b"'), ("100%", "100%%"), ("$HOME", "$$HOME")],
)
def test_a_word_stays_one_word_whatever_is_in_it(word: str, told: str) -> None:
    assert units.argument(word) == told


def test_a_variable_is_filled_in_only_where_systemd_does_it() -> None:
    assert units.word("/home/a$b") == "/home/a$b"


def test_what_the_units_own_tmp_hides_is_shown_to_it(tmp_path: Path) -> None:
    text = made(tmp_path).text
    assert f"BindPaths={tmp_path}/state\n" in text


def test_another_user_gets_a_state_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCALER_STATE_DIR")
    unit = made(tmp_path, user="nobody")
    assert "User=nobody\n" in unit.text
    assert "/root" not in str(unit.doer.state)
    assert f"ReadWritePaths={unit.doer.state}\n" in unit.text


def test_the_cloud_config_is_what_the_autoscaler_reads(tmp_path: Path) -> None:
    assert yaml.safe_load(autoscaler_install.cloud_config(PLAIN)) == {
        "address": "127.0.0.1:8086",
        "grpc_timeout": "10s",
    }
    files = Certificates(*(tmp_path / name for name in "abc"))
    told = yaml.safe_load(autoscaler_install.cloud_config(PLAIN._replace(certificates=files)))
    assert set(told) == {"address", "key", "cert", "cacert", "grpc_timeout"}


def test_a_unit_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "units").touch()
    with pytest.raises(InputError, match="cannot be written"):
        autoscaler_install.install(made(tmp_path), now=False)


def test_a_cluster_without_pools_gets_no_unit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no pools"):
        autoscaler_install.unit(examples.cluster(), PLAIN, user="", directory=tmp_path)
