from __future__ import annotations

from scaler.plan.config_files import read_containerd, read_yaml

KUBELET = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  x509: {clientCAFile: /ca.crt}
clusterDNS:
  - 10.96.0.10
  - 10.96.0.11
registerNode: true
"""
CONTAINERD = """\
version = 2
# bin_dir = "/no"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause" # which one
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
  endpoint = ["https://mirror"]
"""


def test_each_field_has_its_path_its_value_and_its_line() -> None:
    file = read_yaml("/k", KUBELET)
    assert (file.kind, file.group, file.api and file.api.value) == (
        "KubeletConfiguration",
        "kubelet.config.k8s.io",
        "v1beta1",
    )
    assert [(f.name, f.value, f.place.line) for f in file.fields] == [
        ("authentication", "", 3),
        ("authentication.x509", "", 4),
        ("authentication.x509.clientCAFile", "/ca.crt", 4),
        ("clusterDNS", "10.96.0.10,10.96.0.11", 5),
        ("registerNode", "true", 8),
    ]


def test_json_is_read_as_well() -> None:
    assert [f.name for f in read_yaml("/k", '{"kind": "KubeletConfiguration", "maxPods": 110}').fields] == ["maxPods"]


def test_what_is_no_yaml_says_why_and_where() -> None:
    file = read_yaml("/k", "a: 1\nb: [\n")
    assert file.wrong.startswith("is not YAML")
    assert file.place.line >= 2


def test_a_list_or_nothing_has_no_fields() -> None:
    assert read_yaml("/k", "- a\n").wrong == "has no fields"
    assert read_yaml("/k", "").wrong == "has no fields"


def test_containerds_settings_are_told_by_the_end_of_their_names() -> None:
    found = {f.name: (f.value, f.place.line) for f in read_containerd("/c", CONTAINERD).fields}
    assert found["version"] == ("2", 1)
    assert found["cni.bin_dir"] == ("/opt/cni/bin", 6)
    assert found["plugins.io.containerd.grpc.v1.cri.registry.mirrors.docker.io"] == ("", 7)
    assert [name for name, (value, _) in found.items() if value == "pause"] != []
    assert "/no" not in {value for value, _ in found.values()}
