from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

import pytest

from scaler.errors import InputError
from scaler.steps.inventory_written import STEP
from tests.fakes.world import Fakes, host, hosts

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
# The cluster prod.
all:
  children:
    masters:
      hosts:
        m1:  # in the cellar
          ansible_host: "10.0.0.1"
    standby:
      hosts:
        n1:
          ansible_host: "10.0.0.11"
          ansible_user: ops  # not root
        n2:
          ansible_host: "10.0.0.12"
"""


def written(directory: Path, fakes: Fakes, text: str = TEXT) -> Fakes:
    file = directory / "hosts.yml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o640)
    digest = hashlib.sha256(text.encode()).hexdigest()
    fakes.world.cluster = fakes.world.cluster.model_copy(update={"hosts_digest": digest})
    return fakes


def test_a_host_moves_from_standby_to_the_workers_with_its_variables_and_comments(tmp_path: Path) -> None:
    fakes = written(tmp_path, Fakes(tmp_path, hosts("n1")))
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    text = (tmp_path / "hosts.yml").read_text()
    assert text.startswith("# The cluster prod.\n")
    assert "m1:  # in the cellar" in text
    before, _, workers = text.partition("workers:")
    assert "n1" not in before
    assert "n2" in before
    assert 'ansible_host: "10.0.0.11"' in workers
    assert "ansible_user: ops  # not root" in workers


def test_a_host_of_the_command_line_is_written_with_all_that_reaches_it(tmp_path: Path) -> None:
    fakes = written(tmp_path, Fakes(tmp_path, [host("n7", 17, user="ops", port=2222)]))
    STEP.apply(fakes.world, fakes.hosts)
    _, _, workers = (tmp_path / "hosts.yml").read_text().partition("workers:")
    for line in ("n7:", "ansible_host: 10.0.0.17", "ansible_user: ops", "ansible_port: 2222"):
        assert line in workers


def test_the_files_mode_stays(tmp_path: Path) -> None:
    fakes = written(tmp_path, Fakes(tmp_path, hosts("n1")))
    STEP.apply(fakes.world, fakes.hosts)
    assert stat.S_IMODE((tmp_path / "hosts.yml").stat().st_mode) == 0o640


def test_a_file_that_was_edited_during_the_run_is_left_as_it_is(tmp_path: Path) -> None:
    fakes = written(tmp_path, Fakes(tmp_path, hosts("n1")))
    edited = TEXT + "# by hand\n"
    (tmp_path / "hosts.yml").write_text(edited, encoding="utf-8")
    with pytest.raises(InputError, match="was changed while this run went on"):
        STEP.apply(fakes.world, fakes.hosts)
    assert (tmp_path / "hosts.yml").read_text() == edited


def test_a_host_that_is_among_the_workers_already_is_not_written_twice(tmp_path: Path) -> None:
    text = TEXT.replace("    standby:", "    workers:")
    fakes = written(tmp_path, Fakes(tmp_path, hosts("n1", "n2")), text)
    STEP.apply(fakes.world, fakes.hosts)
    assert (tmp_path / "hosts.yml").read_text() == text
