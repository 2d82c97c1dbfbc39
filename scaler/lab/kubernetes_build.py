"""Build Kubernetes' six binaries from the release's source package, which is upstream's full tree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import LabError
from scaler.gateways.process import run
from scaler.lab import go
from scaler.lab.apt import RELEASE, Apt, upstream
from scaler.lab.streaming import stream

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES: tuple[str, ...] = ("golang-go", "golang-github-modern-go-reflect2-dev", "dpkg-dev")
BINARIES: tuple[str, ...] = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)

REFLECT2 = "github.com/modern-go/reflect2"
DEBIAN_GOPATH = Path("/usr/share/gocode/src")
ROOT_PACKAGE = "k8s.io/kubernetes"
OPENAPI_PACKAGE = "pkg/generated/openapi"
OPENAPI_FILE = "zz_generated.openapi"
# The server's, the clients' and the aggregator's idea of the version are three packages.
VERSION_PACKAGES = (
    "k8s.io/component-base/version",
    "k8s.io/kubernetes/vendor/k8s.io/component-base/version",
    "k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version",
)
EVERY = 100
SECONDS = 600


class Built(NamedTuple):
    """What a build made: upstream's version and the directory that holds the binaries."""

    version: str
    directory: Path


class Workshop(NamedTuple):
    """The cache of one source version under one Go version; whatever is in it under its final name is whole."""

    root: Path

    @property
    def gopath(self) -> Path:
        """The GOPATH of the build."""
        return self.root / "gopath"

    @property
    def tree(self) -> Path:
        """Upstream's tree, at the one place in GOPATH where it builds."""
        return self.gopath / "src" / ROOT_PACKAGE

    @property
    def env(self) -> dict[str, str]:
        """The environment of the build."""
        return go.environment(gopath=self.gopath, cache=self.root / "gocache")


def check_packages() -> None:
    """Refuse early where a package the build needs is missing."""
    needed = (go.GO, DEBIAN_GOPATH / REFLECT2 / "go_above_118.go", Path(shutil.which("dpkg-source") or "/nowhere"))
    missing = [package for package, path in zip(PACKAGES, needed, strict=True) if not path.exists()]
    if missing:
        raise LabError(
            f"the build of Kubernetes needs {', '.join(missing)}", hint=f"apt-get install {' '.join(missing)}"
        )


def unpack(apt: Apt, workshop: Workshop) -> None:
    """Download the source package (apt checks its digests) and lay the tree where Go looks for it."""
    if workshop.tree.exists():
        return
    archives = workshop.root / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    apt.get("source", "--download-only", "--only-source", "kubernetes", cwd=archives)
    (description,) = archives.glob("*.dsc")
    workshop.tree.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=workshop.root) as temporary:
        fresh = Path(temporary) / "tree"
        run(["dpkg-source", "-x", str(description), str(fresh)], timeout=SECONDS)
        if not (fresh / "cmd" / "kubelet").is_dir():
            raise LabError(
                f"{description.name} does not hold the whole of Kubernetes", hint=f"Debian {RELEASE}'s package does"
            )
        fresh.rename(workshop.tree)


def openapi_packages(tree: Path) -> list[str]:
    """Name the packages that ask for OpenAPI definitions, without samples and tests."""
    roots = [tree / "pkg", tree / "staging/src/k8s.io", tree / "vendor/k8s.io/kube-openapi"]
    found = {
        path.parent.relative_to(tree).as_posix()
        for root in roots
        for path in root.rglob("*.go")
        if b"+k8s:openapi-gen=" in path.read_bytes()
    }
    kept = [x for x in found if not {"_examples", "test", "sample-apiserver", "sample-controller"} & set(x.split("/"))]
    return sorted(f"{ROOT_PACKAGE}/{x.replace('staging/src/', 'vendor/', 1)}" for x in kept)


def generate_openapi(workshop: Workshop, progress: Callable[[str], None]) -> None:
    """Generate the one Go file of the API server that neither upstream nor Debian keeps in the tree."""
    generated = workshop.tree / OPENAPI_PACKAGE / f"{OPENAPI_FILE}.go"
    if generated.exists():
        return
    generator = workshop.root / "openapi-gen"
    package = "./vendor/k8s.io/kube-openapi/cmd/openapi-gen"
    go.build(["-o", str(generator), package], lambda _: None, env=workshop.env, cwd=workshop.tree)
    progress("kubernetes: generating the OpenAPI definitions")
    with TemporaryDirectory(dir=workshop.root) as fresh:
        argv = [
            str(generator),
            *("-i", ",".join(openapi_packages(workshop.tree))),
            *("-p", f"{ROOT_PACKAGE}/{OPENAPI_PACKAGE}"),
            *("-O", OPENAPI_FILE),
            *("-h", str(workshop.tree / "hack/boilerplate/boilerplate.generatego.txt")),
            *("-r", str(Path(fresh) / "violations")),
            *("--output-base", fresh),
        ]
        stream(argv, lambda _: None, timeout=SECONDS, env=workshop.env, cwd=workshop.tree)
        (Path(fresh) / ROOT_PACKAGE / OPENAPI_PACKAGE / generated.name).rename(generated)


def overlay(tree: Path, newer: Path) -> dict[str, dict[str, str]]:
    """Lay a newer reflect2 over the vendored one, which crashes under Go 1.18 and later in any map."""
    vendored = tree / "vendor" / REFLECT2
    source = {".go", ".s"}
    hidden = {str(x): "" for x in sorted(vendored.iterdir()) if x.suffix in source}
    shown = {str(vendored / x.name): str(x) for x in sorted(newer.iterdir()) if x.suffix in source}
    return {"Replace": hidden | shown}


def linker_flags(version: str) -> str:
    """Stamp the version into every package that tells it, and leave the debug tables out."""
    major, minor, *_ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    said = [f"-X {package}.{name}={value}" for package in VERSION_PACKAGES for name, value in stamps.items()]
    return " ".join(["-s", "-w", *said])


def build(apt: Apt, cache: Path, *, progress: Callable[[str], None]) -> Built:
    """Build the six binaries below ``cache``; a second build of the same version by the same Go is warm."""
    check_packages()
    debian = apt.source_version("kubernetes")
    version = upstream(debian)
    workshop = Workshop(cache / f"kubernetes-{debian}-{go.version()}")
    workshop.root.mkdir(parents=True, exist_ok=True)
    progress(f"kubernetes: the source of {version}")
    unpack(apt, workshop)
    generate_openapi(workshop, progress)

    plan = workshop.root / "overlay.json"
    plan.write_text(json.dumps(overlay(workshop.tree, DEBIAN_GOPATH / REFLECT2)))
    out = workshop.root / "bin"
    compiled = 0

    def heard(line: str) -> None:
        nonlocal compiled
        compiled += 1
        if compiled % EVERY == 0:
            progress(f"kubernetes: {compiled} packages compiled, now {line}")

    progress(f"kubernetes: compiling {version}, several minutes where nothing is cached")
    flags = ["-overlay", str(plan), "-ldflags", linker_flags(version), "-o", f"{out}/"]
    go.build([*flags, *(f"./cmd/{name}" for name in BINARIES)], heard, env=workshop.env, cwd=workshop.tree)
    return Built(version, out)
