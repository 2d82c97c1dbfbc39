"""What holds for all tests: the same examples each time, and what the writers came to at the end."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from scaler.drivers.cloud import kinds
from tests.lab.writing import FIGURES

if TYPE_CHECKING:
    import pytest

# A busy machine is no reason for a property to fail.
settings.register_profile("same", deadline=None, derandomize=True)
# SCALER_TEST_EXAMPLES=new looks for what no example has shown yet.
settings.register_profile("new", deadline=None)
settings.load_profile(os.environ.get("SCALER_TEST_EXAMPLES", "same"))


_PROVIDER = re.compile(rf"(?:/test_|\[)({'|'.join(kinds())})(?=[]_.-])")


class OneProviderEach(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps the tests of one cloud in one process, which makes its server and its API server once; others by file."""

    def _split_scope(self, nodeid: str) -> str:
        found = _PROVIDER.search(nodeid)
        return found[1] if found else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Let each process of ``--dist loadscope`` work on one cloud at a time."""
    return OneProviderEach(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_configure(config: pytest.Config) -> None:
    """Let the writers of all processes of this session tell what they came to in one file."""
    if not hasattr(config, "workerinput"):
        os.environ[FIGURES] = str(Path(tempfile.mkdtemp(prefix="scaler-test-")) / "figures")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove that file."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(Path(os.environ.pop(FIGURES)).parent)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the writers came to while clusters changed."""
    told = Path(os.environ[FIGURES])
    if told.exists():
        terminalreporter.section("writers")
        terminalreporter.write(told.read_text())
