from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.engine.journal import STATE_VARIABLE
from scaler.engine.ledger import Book, ledger_path, only_server
from scaler.errors import InputError, LockedError, ScalerError
from scaler.model.node_groups import Wish
from tests.fakes.fleet import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.model.node_groups import Ledger

WISH = Wish(host="web-2", group="web", since=NOW)


def wishing(ledger: Ledger) -> Ledger:
    return ledger.model_copy(update={"wishes": (*ledger.wishes, WISH)})


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))


def test_what_was_changed_is_there_after_a_restart_and_nobody_elses_to_read() -> None:
    Book("prod").change(wishing)
    assert Book("prod").ledger.wishes == (WISH,)
    assert ledger_path("prod").stat().st_mode & 0o777 == 0o600


def test_what_does_not_change_is_not_written() -> None:
    Book("prod").change(lambda ledger: ledger)
    assert not ledger_path("prod").exists()


def test_what_cannot_be_written_has_not_changed() -> None:
    book = Book("prod")
    ledger_path("prod").mkdir(parents=True)
    with pytest.raises(ScalerError, match="cannot be written"):
        book.change(wishing)
    assert book.ledger.wishes == ()


def test_a_ledger_that_is_none_is_said_and_left_alone() -> None:
    path = ledger_path("prod")
    path.parent.mkdir(parents=True)
    path.write_text('{"version": 2}')
    with pytest.raises(InputError, match="not a ledger of this scaler"):
        Book("prod")
    assert path.read_text() == '{"version": 2}'


def test_a_cluster_has_one_server_on_a_machine() -> None:
    with only_server("prod"), only_server("other"), pytest.raises(LockedError), only_server("prod"):
        pass
    with only_server("prod"):
        pass
