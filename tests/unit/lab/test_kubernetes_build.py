from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.lab.kubernetes_build import linker_flags, openapi_packages, overlay

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        root.mkdir(parents=True, exist_ok=True)
        (root / name.replace("_go", ".go")).write_text(text)
    return root


def test_packages_that_ask_for_openapi_are_found_without_samples_and_tests(tmp_path: Path) -> None:
    for package in (
        "pkg/apis/abac/v1beta1",
        "staging/src/k8s.io/api/core/v1",
        "staging/src/k8s.io/code-generator/_examples/apiserver/apis/example/v1",
        "staging/src/k8s.io/sample-apiserver/pkg/apis/wardle/v1alpha1",
        "vendor/k8s.io/kube-openapi/test/integration/testdata",
    ):
        write(tmp_path / package, doc_go="// +k8s:openapi-gen=true\n")
    write(tmp_path / "pkg/kubelet", kubelet_go="package kubelet\n")
    assert openapi_packages(tmp_path) == [
        "k8s.io/kubernetes/pkg/apis/abac/v1beta1",
        "k8s.io/kubernetes/vendor/k8s.io/api/core/v1",
    ]


def test_every_vendored_file_of_reflect2_is_replaced_or_hidden(tmp_path: Path) -> None:
    vendored = write(tmp_path / "vendor/github.com/modern-go/reflect2", old_go="", same_go="", LICENSE="")
    newer = write(tmp_path / "newer", same_go="", new_go="")
    assert overlay(tmp_path, newer) == {
        "Replace": {
            str(vendored / "old.go"): "",
            str(vendored / "same.go"): str(newer / "same.go"),
            str(vendored / "new.go"): str(newer / "new.go"),
        }
    }


def test_the_version_is_stamped_into_all_packages_that_tell_it() -> None:
    flags = linker_flags("v1.20.2")
    assert flags.startswith("-s -w -X ")
    assert flags.count(".gitVersion=v1.20.2") == 3
    assert "-X k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version.gitMinor=20" in flags
