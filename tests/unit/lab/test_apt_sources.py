from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import LabError
from scaler.lab.apt_sources import Source, debian_sources, parse_deb822, parse_list, render_deb822

if TYPE_CHECKING:
    from pathlib import Path

DEB822 = """\
# made by an installer
Types: deb deb-src
# a comment inside
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://other.test/apt
Suites: bookworm
Components: stable
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: bookworm
Components: main
"""

LIST = """\
# deb http://off.test/debian bookworm main
deb http://mirror.test/debian bookworm main non-free-firmware
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.test/sec bookworm-security main
deb [signed-by=/usr/share/keyrings/vendor.gpg] http://vendor.test/apt bookworm main
deb-src http://mirror.test/debian bookworm main
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    return tmp_path


def sources(machine: Path, release: str = "bookworm") -> list[Source]:
    return debian_sources(release, etc=machine, os_release=machine / "os-release")


def test_the_enabled_entries_of_a_sources_file_are_read() -> None:
    found = parse_deb822(DEB822)
    assert [source.uris for source in found] == ["http://mirror.test/debian", "http://other.test/apt"]
    assert found[0].suites == ("bookworm", "bookworm-updates", "bookworm-backports")
    assert found[0].components == ("main", "contrib")
    assert found[1].signed_by.startswith("-----BEGIN PGP")


def test_the_binary_entries_of_a_list_file_are_read() -> None:
    assert [(source.uris, source.suites[0]) for source in parse_list(LIST)] == [
        ("http://mirror.test/debian", "bookworm"),
        ("http://m.test/sec", "bookworm-security"),
        ("http://vendor.test/apt", "bookworm"),
    ]


def test_only_debians_own_main_is_taken(machine: Path) -> None:
    (machine / "sources.list").write_text(LIST)
    (machine / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert [(source.uris, source.suites, source.components) for source in sources(machine)] == [
        ("http://mirror.test/debian", ("bookworm",), ("main",)),
        ("http://m.test/sec", ("bookworm-security",), ("main",)),
        ("http://mirror.test/debian", ("bookworm", "bookworm-updates"), ("main",)),
    ]


def test_another_release_of_the_machine_is_replaced(machine: Path) -> None:
    (machine / "os-release").write_text("VERSION_CODENAME=trixie\n")
    (machine / "sources.list").write_text("deb http://mirror.test/debian trixie-updates main\n")
    assert sources(machine)[0].suites == ("bookworm-updates",)


def test_a_machine_without_a_debian_mirror_is_told_so(machine: Path) -> None:
    with pytest.raises(LabError, match="no Debian mirror"):
        sources(machine)


def test_what_is_written_is_read_again() -> None:
    found = parse_deb822(DEB822)
    assert parse_deb822(render_deb822(found)) == found


def test_source_entries_can_be_written() -> None:
    assert render_deb822([Source("http://mirror.test/debian", ("bookworm",), ("main",))], "deb-src") == (
        "Types: deb-src\nURIs: http://mirror.test/debian\nSuites: bookworm\nComponents: main\n"
    )
