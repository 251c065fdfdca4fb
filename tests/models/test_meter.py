"""What is counted, and when."""

import time

import pytest

from renga.models.meter import Meter


def test_a_pass_counts_its_tokens_and_its_time():
    meter = Meter()
    for tokens in (3, 0, 5):
        with meter.reading(tokens):
            time.sleep(0.002)
    assert (meter.passes, meter.tokens, meter.bytes_up, meter.bytes_down) == (3, 8, 0, 0)
    assert 0.006 <= meter.seconds < 1


def test_time_within_time_counts_once():
    meter = Meter()
    start = time.perf_counter()
    with meter.working():
        for _ in range(3):
            with meter.reading(1):
                time.sleep(0.005)
    whole = time.perf_counter() - start
    assert 0.015 <= meter.seconds <= whole


def test_a_pass_that_fails_takes_time_and_reads_nothing():
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter.working(), meter.reading(4):
        raise ZeroDivisionError
    assert (meter.passes, meter.tokens) == (0, 0)
    assert meter.seconds > 0
    before = meter.seconds
    with meter.reading(2):
        time.sleep(0.001)
    assert meter.seconds > before  # the failure has left no block open
