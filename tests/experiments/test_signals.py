"""Signals as requests: the first one stops a run in good order, a second one at once."""

import signal
import threading
from collections.abc import Iterator

import pytest

from memlm.experiments.signals import SignalRequests

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def handlers_come_back() -> Iterator[None]:
    earlier = [signal.getsignal(number) for number in NUMBERS]
    yield
    assert [signal.getsignal(number) for number in NUMBERS] == earlier


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_stops_at_once(number: signal.Signals, status: int):
    with SignalRequests() as requests:
        requests.heed_stops()
        assert not requests.stop()
        signal.raise_signal(number)
        assert requests.stop()
        with pytest.raises(SystemExit) as end:
            signal.raise_signal(number)
        assert end.value.code == requests.exit_status == status


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_in_python_a_second_ctrl_c_interrupts(first: signal.Signals):
    with SignalRequests(in_python=True) as requests:
        requests.heed_stops()
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert requests.exit_status == 128 + first


def test_a_first_stop_says_how_to_stop_at_once(capsys: pytest.CaptureFixture[str]):
    with SignalRequests() as requests:
        requests.heed_stops()
        signal.raise_signal(signal.SIGTERM)
    assert capsys.readouterr() == ("", "stopping after this step; once more to stop at once\n")


def test_a_request_to_save_is_cleared_once_it_was_asked_for():
    with SignalRequests() as requests:
        assert not requests.save()
        signal.raise_signal(signal.SIGUSR1)
        assert not requests.stop()
        assert [requests.save(), requests.save()] == [True, False]


def test_before_there_is_something_to_save_ctrl_c_interrupts():
    with SignalRequests() as requests:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert not requests.stop()


def test_an_error_gives_the_handlers_back():
    def use() -> None:
        with SignalRequests() as requests:
            requests.heed_stops()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()


def test_outside_of_the_main_thread_there_are_no_requests():
    found = []

    def use() -> None:
        with SignalRequests() as requests:
            requests.heed_stops()
            found.append((requests.stop(), requests.save(), requests.exit_status))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [(False, False, 0)]
