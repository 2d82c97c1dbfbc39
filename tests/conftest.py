"""What holds for all tests: the same examples each time, one lab's tests together, what writers came to at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.lab.writing import FIGURES

if TYPE_CHECKING:
    import pytest

# A busy machine is no reason for a property to fail.
settings.register_profile("same", deadline=None, derandomize=True)
# SCALER_TEST_EXAMPLES=new looks for what no example has shown yet.
settings.register_profile("new", deadline=None)
settings.load_profile(os.environ.get("SCALER_TEST_EXAMPLES", "same"))


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


class OneLabEach(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps the tests of one lab in one process, and those that change this machine by Ansible in one too."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if not path.startswith("tests/lab/"):
            return "this machine"
        # A module that makes a lab has it for itself; all others have the session's.
        return path if "made(" in Path(path).read_text(encoding="utf-8") else "the session's lab"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Let each process work on one lab at a time."""
    return OneLabEach(config, log)
