"""A request's trace: what each step took, also of a request that fails."""

import pytest

from qrelay.trace import Trace


class Clock:
    """Moves on by as much as it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_steps_add_up_and_attempts_end() -> None:
    clock = Clock()
    trace = Trace(clock)
    trace.answered(200)  # nobody was called: nothing to note it on
    with trace.timing("queue_ms"):
        clock.now += 0.25
    for _ in range(2):
        with trace.timing("refresh_ms"):
            clock.now += 0.5
    first = trace.attempt("a", "one", "q")
    clock.now += 1
    trace.answered(429)
    trace.ended("account_throttled")
    trace.attempt("b", "two", "q")
    clock.now += 2
    trace.answered(200)
    trace.ended("ok")
    clock.now += 4
    assert (trace.queue_ms, trace.refresh_ms, trace.connect_ms) == (250, 1000, 0)
    assert (first.outcome, first.status, first.ms) == ("account_throttled", 429, 1000)
    assert (trace.attempts[1].outcome, trace.attempts[1].status, trace.attempts[1].ms) == ("ok", 200, 2000)
    assert trace.first_event_ms == 4250
    assert trace.elapsed_ms() == 8250


def test_a_step_that_fails_has_taken_its_time() -> None:
    clock = Clock()
    trace = Trace(clock)

    def connecting() -> None:
        with trace.timing("connect_ms"):
            clock.now += 3
            raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        connecting()
    assert trace.connect_ms == 3000
    assert trace.first_event_ms is None
