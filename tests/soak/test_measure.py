"""What a soak measures, on made-up numbers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.soak.measure import Sample, Samples, latencies_s, percentile, rss_mb
from tests.soak.run import Plan, Result


def samples(*rss: float) -> Samples:
    return Samples(all=[Sample(float(at), each, lag) for at, (each, lag) in enumerate(zip(rss, range(len(rss)), strict=True))])


def test_memory_that_stays_is_flat_whatever_it_did_in_between() -> None:
    assert samples(*[200.0] * 20, 900.0, *[205.0] * 20).flat


def test_memory_that_grows_by_more_than_a_tenth_is_not_flat() -> None:
    growing = samples(*np.linspace(200, 260, 100).tolist())
    assert not growing.flat
    warm, end = growing.warm_and_end_mb()
    assert warm == pytest.approx(204.2, abs=0.5)
    assert end == pytest.approx(255.8, abs=0.5)


def test_the_most_lag_is_found() -> None:
    assert samples(1.0, 1.0, 1.0).most_lag() == 2
    assert Samples().most_lag() == 0


def test_memory_of_a_process_is_read_and_is_zero_when_it_has_ended() -> None:
    assert 5 < rss_mb(os.getpid()) < 5000
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert rss_mb(child.pid) == 0


def test_percentiles_are_of_the_sorted_times() -> None:
    assert percentile(np.arange(101.0), 0.99) == pytest.approx(99.0)
    assert percentile(latencies_s({}, []), 0.99) == 0.0


@pytest.mark.parametrize(("lag", "bounded"), [(101, False), (100, True)])
def test_a_soak_fails_when_it_was_not_kept_up_with_or_decided_nothing(lag: int, *, bounded: bool) -> None:
    result = Result(Plan(1, 2, 5, 0), load=10.0, lag_at_end=lag)
    assert result.bounded is bounded
    assert result.passed is False
