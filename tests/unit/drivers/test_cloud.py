from __future__ import annotations

import subprocess
import sys

import pytest

from scaler.drivers import cloud
from scaler.errors import InputError
from scaler.model.clouds import KINDS


def test_there_is_a_driver_for_every_kind() -> None:
    assert set(cloud.kinds()) == set(KINDS)


def test_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(InputError) as refused:
        cloud.of("doks")
    assert refused.value.hint == f"binary, or one of {', '.join(cloud.kinds())}"


@pytest.mark.parametrize(
    ("kind", "package"),
    [
        ("tke", "tencentcloud"),
        ("eks", "boto3"),
        ("gke", "google"),
        ("aks", "azure"),
        ("ack", "alibabacloud_cs20151215"),
    ],
)
def test_a_missing_sdk_says_which_extra_brings_it(kind: str, package: str) -> None:
    script = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from scaler.drivers import cloud\n"
        "from scaler.errors import InputError\n"
        "try:\n"
        f"    cloud.of({kind!r})\n"
        "except InputError as e:\n"
        "    print(e.hint)\n"
    )
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.stdout == f"pip install 'scaler[{kind}]'\n", done.stderr
