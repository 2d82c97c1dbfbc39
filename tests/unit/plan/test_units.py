from __future__ import annotations

import pytest

from scaler.model.components import Place, Text
from scaler.plan import units

UNIT = Text(
    path="/etc/systemd/system/kubelet.service",
    text="""[Unit]
Description=--not-a-flag

[Service]
Environment="ONE=--v=2" TWO=x
EnvironmentFile=-/etc/default/kubelet
ExecStartPre=/bin/mount --bind
ExecStart=/usr/bin/kubelet \\
  --config=/var/lib/kubelet/config.yaml \\
# a comment between
  --node-ip ${IP} \\
  --root_dir=/a/${TWO}/b $ONE $ARGS $NOTHING
Restart=always
""",
)
UNIT_PLACE = Place(file="/u", line=1)
DEFAULTS = {"/etc/default/kubelet": "# ARGS=--no\nIP=10.0.0.1\nARGS='--port=0 --cgroup-driver=systemd'\n"}


def drop_in(text: str, name: str = "10-x") -> Text:
    return Text(path=f"/etc/systemd/system/kubelet.service.d/{name}.conf", text=text)


def told(*files: Text, environment: dict[str, str] = DEFAULTS) -> dict[str, tuple[str, str]]:
    started = units.started(files, environment)
    flags = units.flags(units.program(started.words)[1])
    return {flag.name: (flag.value, str(flag.place).removeprefix("/etc/systemd/system/")) for flag in flags}


def test_each_flag_has_the_line_where_it_is_written() -> None:
    assert told(UNIT) == {
        "config": ("/var/lib/kubelet/config.yaml", "kubelet.service:9"),
        "node-ip": ("10.0.0.1", "kubelet.service:11"),
        "root-dir": ("/a/x/b", "kubelet.service:12"),
        "v": ("2", "kubelet.service:5"),
        "port": ("0", "/etc/default/kubelet:3"),
        "cgroup-driver": ("systemd", "/etc/default/kubelet:3"),
    }


def test_an_empty_command_takes_back_the_one_before() -> None:
    found = told(UNIT, drop_in("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --kubeconfig=/k\n"))
    assert found == {"kubeconfig": ("/k", "kubelet.service.d/10-x.conf:3")}


def test_a_drop_in_changes_a_variable_and_the_flag_stands_there() -> None:
    found = told(UNIT, drop_in("[Service]\nEnvironment=ONE=--logtostderr\n"))
    assert found["logtostderr"] == ("true", "kubelet.service.d/10-x.conf:2")
    assert "v" not in found


def test_an_empty_environment_file_takes_back_those_before() -> None:
    assert "port" not in told(UNIT, drop_in("[Service]\nEnvironmentFile=\n"))


def test_a_file_of_the_environment_comes_after_the_units_own_variables() -> None:
    found = told(UNIT, environment={"/etc/default/kubelet": "ONE=--v=9\n"})
    assert found["v"] == ("9", "/etc/default/kubelet:1")


def test_other_sections_start_nothing() -> None:
    assert told(Text(path="/u", text="[Install]\nExecStart=/usr/bin/kubelet --v=2\n")) == {}


@pytest.mark.parametrize(
    "command",
    [
        "-/usr/bin/kubelet --port=0",
        '/bin/sh -c "exec /usr/bin/kubelet --port=0"',
        "@/usr/bin/kubelet --port 0",
        "/usr/bin/kubelet '--port=0'",
    ],
)
def test_prefixes_shells_and_quotes_are_taken_off(command: str) -> None:
    started = units.started([Text(path="/u", text=f"[Service]\nExecStart={command}\n")], {})
    path, rest = units.program(started.words)
    assert path == "/usr/bin/kubelet"
    assert [(flag.name, flag.value) for flag in units.flags(rest)] == [("port", "0")]


def test_a_flag_before_another_is_true() -> None:
    words = [units.Word(text, UNIT_PLACE) for text in ("--a", "--b=", "--c", "d", "e")]
    assert [(flag.name, flag.value) for flag in units.flags(words)] == [("a", "true"), ("b", ""), ("c", "d")]


def test_one_dash_is_enough_for_etcd() -> None:
    words = [units.Word(text, UNIT_PLACE) for text in ("-name", "m1", "-enable-v2=true")]
    assert [flag.name for flag in units.flags(words, single_dash=True)] == ["name", "enable-v2"]
    assert units.flags(words) == ()
