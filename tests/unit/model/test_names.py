from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from scaler.model import names

# Nothing that a shell, a unit file, YAML or Jinja gives a meaning to.
DANGEROUS = set("{}$;|&<>\"'`\\%\n\r\t #*?!()")

# One text of each kind, for the fuzz to begin from.
ACCEPTED = (
    "n1",
    "192.0.2.1",
    "2001:db8::1",
    "root",
    "/usr/bin",
    "api.example:6443",
    "1.20.2",
    "10.0.0.0/8",
    "busybox/v1/linux-amd64/b.tar",
)


def accepts(kind: Any, text: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1", "10.0.0.1"])
def test_an_address_is_accepted(text: str) -> None:
    assert accepts(names.Address, text)


@pytest.mark.parametrize(
    "text",
    [
        "999.1.1.1",
        "010.1.1.1",
        "1.2.3",
        "m3.local",
        "fe80::1%eth0",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:224.0.0.1",
        "1.2.3.4\n",
        "1.2.3.4; reboot",
        "{{ lookup('pipe', 'id') }}",
        "\uff1192.0.2.1",
        "",
        " 1.2.3.4",
    ],
)
def test_what_is_no_hosts_address_is_refused(text: str) -> None:
    assert not accepts(names.Address, text)


@pytest.mark.parametrize("text", ["n1", "web-1", "a.b.c", "1", "a" * 63])
def test_a_node_name_is_accepted(text: str) -> None:
    assert accepts(names.NodeName, text)


@pytest.mark.parametrize(
    "text",
    ["N1", "a" * 64, "n1.", "-n", "n-", "a..b", "{{ x }}", "$(x)", "n1\n", "n;1", "../n", "a/b", "", "n 1", "ñ"],
)
def test_what_is_no_node_name_is_refused(text: str) -> None:
    assert not accepts(names.NodeName, text)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("1.20.2", True),
        ("v1.20.2", False),
        ("1.20", False),
        ("1.20.2-rc1", False),
        ("\uff11.\uff12\uff10.\uff12", False),
    ],
)
def test_a_version_has_three_numbers(text: str, *, good: bool) -> None:
    assert accepts(names.Version, text) is good


@pytest.mark.parametrize("text", ["192.0.2.1:6443", "api.example:443", "[2001:db8::1]:6443"])
def test_an_endpoint_is_host_and_port(text: str) -> None:
    assert TypeAdapter(names.Endpoint).validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        ":6443",
        "999.1.1.1:1",
        "a_b:1",
        "a:\uff16\uff14\uff14\uff13",
        "a:\u00b2",
        "a:06443",
        "a: 1",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    assert not accepts(names.Endpoint, text)


@pytest.mark.parametrize("port", [0, 65536, -1, "ssh"])
def test_what_is_no_port_is_refused(port: object) -> None:
    assert not accepts(names.Port, port)


@pytest.mark.parametrize(
    "kind",
    [
        names.NodeName,
        names.Address,
        names.User,
        names.RemotePath,
        names.Domain,
        names.Endpoint,
        names.Version,
        names.Word,
        names.ArchivePath,
        names.ImageName,
        names.Network,
    ],
)
@given(
    st.text(alphabet=st.sampled_from("ab1.-_/:@{}$;|&<>\"'`\\%\n #"), max_size=12)
    | st.builds("{}{}".format, st.sampled_from(ACCEPTED), st.text(max_size=3))
    | st.from_regex(r"[a-z0-9.]{1,5}[\W]{1,3}[a-z0-9]{0,5}", fullmatch=True)
)
def test_no_accepted_text_can_mean_something_to_a_shell_or_a_template(kind: object, text: str) -> None:
    if accepts(kind, text):
        assert not DANGEROUS & set(text)
        assert text.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "image.tar",
        "a/v1/linux-amd64/b",
        "a/v1/linux-amd64/../b.tar",
        "a/v1/linux-amd64/é.tar",
        "/a/v1/linux-amd64/b.tar",
    ],
)
def test_what_is_no_archives_path_is_refused(text: str) -> None:
    assert not accepts(names.ArchivePath, text)


@pytest.mark.parametrize("text", ["Root", "root;", "a b", "-x", "$USER", "a" * 33, "", "root\n", "{{ u }}"])
def test_what_is_no_user_is_refused(text: str) -> None:
    assert not accepts(names.User, text)


@pytest.mark.parametrize("text", ["usr/bin", "/a b", "/a;b", "/$(id)", "/{{ x }}", "~/bin", "", "/a\n", "/a'"])
def test_what_is_no_path_is_refused(text: str) -> None:
    assert not accepts(names.RemotePath, text)


@pytest.mark.parametrize(("written", "kept"), [("2001:DB8:0::1", "2001:db8::1"), ("192.0.2.1", "192.0.2.1")])
def test_an_address_is_kept_in_its_one_spelling(written: str, kept: str) -> None:
    assert TypeAdapter(names.Address).validate_python(written) == kept
