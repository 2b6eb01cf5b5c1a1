"""The fuzz target itself, without the fuzzer: a target that accepts nothing would find nothing."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.events_target import MODES, PART, mode_of, read, seeds, target
from tests.fuzz.fuzz_events import mutator, spoil
from worker.events.codec import ParsedArrival


def test_every_mode_has_seeds() -> None:
    assert {seed[0] for seed in seeds()} == set(range(len(MODES)))


@pytest.mark.parametrize("seed", seeds(), ids=mode_of)
def test_a_seed_and_what_becomes_of_it_passes_the_target(seed: bytes) -> None:
    mutate = mutator(PART, lambda data, size: data[: size // 2] + b"\x00" + data[size // 2 :])
    drawn = random.Random(seed)
    target(seed)
    data = seed
    for _ in range(100):
        data = mutate(data, 4096, drawn.randrange(2**32)) or seed
        target(data)


def test_the_seeds_of_arrivals_are_read_as_arrivals() -> None:
    modes = [mode_of(seed) for seed in seeds() if isinstance(read(mode_of(seed), seed[1:]), ParsedArrival)]
    assert sorted(modes) == ["bare", "bare", "headers", "headers", "notification", "notification", "structured"]


def test_a_spoiled_event_is_json_still_and_another_one() -> None:
    body = seeds()[0][1:]
    spoiled = {spoil(body, random.Random(seed)) for seed in range(100)}
    assert len(spoiled) > 50
    assert None not in spoiled
    assert spoil(b"{", random.Random(0)) is None
    assert spoil(b"1", random.Random(0)) is None


@pytest.mark.parametrize("error", [KeyError, ValueError, RecursionError])
def test_the_target_notices_any_other_exception(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("tests.fuzz.events_target.parse_item_photographed", broken)
    with pytest.raises(error):
        target(seeds()[0])
