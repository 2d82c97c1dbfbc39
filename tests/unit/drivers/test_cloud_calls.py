from __future__ import annotations

import pytest

from scaler.drivers.cloud_calls import ATTEMPTS, Calls
from scaler.errors import AmbiguousError, CloudError, QuotaError, ScalerError, ThrottledError, UnreachableError
from tests.fakes.clock import FakeClock


class Service:
    """A cloud that fails with each of ``failures`` in turn, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.requests = 0

    def __call__(self) -> str:
        self.requests += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def calls() -> Calls:
    def translate(error: Exception) -> ScalerError | None:
        return CloudError("in the SDK's words") if isinstance(error, LookupError) else None

    return Calls(FakeClock(), translate)


BROKEN = CloudError("502", transient=True)
THROTTLED = ThrottledError("slower")
LOST = AmbiguousError("reset")
NEVER_SENT = UnreachableError("refused")


@pytest.mark.parametrize("failure", [BROKEN, THROTTLED, LOST, NEVER_SENT])
def test_a_read_is_repeated(failure: ScalerError) -> None:
    service = Service(failure, failure)
    assert calls().read(service) == "done"
    assert service.requests == 3


@pytest.mark.parametrize("failure", [BROKEN, THROTTLED, NEVER_SENT])
def test_an_absolute_write_is_repeated(failure: ScalerError) -> None:
    service = Service(failure)
    assert calls().absolute(service) == "done"
    assert service.requests == 2


def test_an_absolute_write_whose_answer_was_lost_is_looked_after_by_others() -> None:
    service = Service(LOST)
    with pytest.raises(AmbiguousError):
        calls().absolute(service)
    assert service.requests == 1


@pytest.mark.parametrize("failure", [THROTTLED, NEVER_SENT])
def test_what_was_never_begun_is_begun_again(failure: ScalerError) -> None:
    service = Service(failure)
    assert calls().once(service) == "done"


@pytest.mark.parametrize("failure", [BROKEN, LOST])
def test_a_relative_write_that_may_have_been_done_is_sent_once(failure: ScalerError) -> None:
    service = Service(failure)
    with pytest.raises(AmbiguousError):
        calls().once(service)
    assert service.requests == 1


def test_a_refusal_is_no_reason_to_ask_again() -> None:
    for way in (calls().read, calls().absolute, calls().once):
        service = Service(QuotaError("10 nodes"))
        with pytest.raises(QuotaError):
            way(service)
        assert service.requests == 1


def test_it_gives_up_and_tells_the_last_reason() -> None:
    service = Service(*[THROTTLED] * 99)
    with pytest.raises(ThrottledError):
        calls().read(service)
    assert service.requests == ATTEMPTS


def test_an_exception_of_the_sdks_is_told_and_a_defect_is_not_hidden() -> None:
    with pytest.raises(CloudError, match="in the SDK's words"):
        calls().read(Service(LookupError()))
    with pytest.raises(ZeroDivisionError):
        calls().read(Service(ZeroDivisionError()))
