from __future__ import annotations

import pytest

from scaler.lab.apt import both_types_of_line, both_types_of_stanza, of_release, upstream

STANZA = """\
Types: deb
# a comment between the fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/example.gpg
"""


def test_a_line_becomes_both_types_at_the_same_mirror_with_the_same_key() -> None:
    line = "deb [signed-by=/etc/example.gpg arch=amd64] http://mirror.example/debian bookworm main contrib  # ours"
    where = "[signed-by=/etc/example.gpg arch=amd64] http://mirror.example/debian bookworm main"
    assert both_types_of_line(line) == [f"deb {where}", f"deb-src {where}"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/engine bookworm stable",
        "deb http://mirror.example/flat ./",
        "deb http://mirror.example/cut",
    ],
)
def test_a_line_of_another_release_or_project_is_left_out(line: str) -> None:
    assert both_types_of_line(line) == []


def test_a_stanza_becomes_both_types_for_the_suites_of_the_release() -> None:
    assert both_types_of_stanza(STANZA) == (
        "Types: deb deb-src\n"
        "Uris: http://mirror.example/debian\n"
        "Suites: bookworm bookworm-updates\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/example.gpg\n"
    )


def test_a_key_written_into_a_stanza_is_kept_line_by_line() -> None:
    key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n -----END PGP PUBLIC KEY BLOCK-----\n"
    stanza = f"Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n{key}"
    assert "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n" in both_types_of_stanza(stanza)


@pytest.mark.parametrize(
    "stanza",
    [
        STANZA + "Enabled: no\n",
        STANZA.replace("bookworm", "noble"),
        STANZA.replace("main contrib", "stable"),
        "# only a comment\n",
    ],
)
def test_a_stanza_that_is_off_or_of_another_release_is_left_out(stanza: str) -> None:
    assert both_types_of_stanza(stanza) == ""


def test_files_of_both_formats_are_read_together_and_entries_appear_once() -> None:
    line = "deb http://mirror.example/debian bookworm main\n"
    both = f"{line}{line.replace('deb ', 'deb-src ', 1)}"
    sources = of_release([both], [f"{STANZA}\n{STANZA.replace('debian', 'debian-security')}\n\n{STANZA}"])
    assert sources.lines == both
    assert sources.stanzas.count("Types: deb deb-src") == 2
    assert "\n\nTypes: " in sources.stanzas


def test_another_distribution_gives_no_entries() -> None:
    sources = of_release(["deb http://mirror.example/ubuntu noble main\n"], [STANZA.replace("bookworm", "noble")])
    assert (sources.lines, sources.stanzas) == ("", "")


@pytest.mark.parametrize(
    ("debian", "tag"),
    [
        ("1.20.5+really1.20.2-1.1+deb12u1", "v1.20.2"),
        ("3.4.23-4+b4", "v3.4.23"),
        ("1.6.20~ds1-1+deb12u3", "v1.6.20"),
        ("1.1.5+ds1-1+deb12u1", "v1.1.5"),
        ("1:1.35.0-4+deb12u1+b1", "v1.35.0"),
        ("2.0", "v2.0"),
    ],
)
def test_a_debian_version_tells_the_tag_of_upstream(debian: str, tag: str) -> None:
    assert upstream(debian) == tag
