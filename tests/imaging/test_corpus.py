"""No hostile or odd file crashes a decoder, outgrows its memory, or raises anything but a refusal with its reason."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imaging.corpus import FAMILIES, Specimen, sound_files, specimens
from tests.imaging.pictures import photo
from worker.errors import PhotoRefused
from worker.imaging.decoder_pool import DecoderPool
from worker.imaging.types import Pixels
from worker.settings.imaging import ImagingSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="decoder processes limit themselves with Linux's means")

SETTINGS = ImagingSettings(decoder_processes=2)
# Large pictures in a file of some KB must not take the parent's memory either.
PARENT_GROWTH_MB = 200


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    running = DecoderPool(SETTINGS)
    yield running
    running.close()


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Specimen]]:
    return {family: list(specimens(family)) for family in FAMILIES}


def judge(specimen: Specimen, answer: Pixels | PhotoRefused) -> str | None:
    """What is wrong with the answer, or None."""
    wrong: str | None = None
    if isinstance(answer, Pixels):
        if specimen.size is None and not specimen.either:
            wrong = f"decoded to {answer.original_size}, should be refused"
        elif specimen.size not in {None, answer.original_size}:
            wrong = f"decoded to {answer.original_size}, not {specimen.size}"
        elif min(answer.rgb.shape[:2]) > SETTINGS.target_side:
            wrong = f"{answer.rgb.shape} is larger than the target"
    elif answer.reason not in specimen.reasons:
        wrong = f"{answer.reason.value} is none of {sorted(specimen.reasons)}: {answer}"
    elif "s3://" not in str(answer) or len(str(answer)) > 1000:
        wrong = f"no message for people: {answer}"
    return wrong and f"{specimen.name}: {wrong}"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_file_is_decoded_or_refused_as_it_should_be(
    family: str, corpus: dict[str, list[Specimen]], pool: DecoderPool
) -> None:
    files, pids = corpus[family], pool.pids
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = pool.decode([photo(specimen.data) for specimen in files])
    faults = [fault for specimen, answer in zip(files, answers, strict=True) if (fault := judge(specimen, answer))]
    assert not faults, "\n".join(faults)
    assert pool.pids == pids, "a decoder process died"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < PARENT_GROWTH_MB * 1024
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        peak_kb = int(status.split("VmHWM:")[1].split()[0])
        assert peak_kb < SETTINGS.decoder_memory_mb * 1024


def test_the_corpus_is_large_and_every_file_has_its_name_and_expectation(corpus: dict[str, list[Specimen]]) -> None:
    names = [f"{family}/{specimen.name}" for family, files in corpus.items() for specimen in files]
    assert len(names) >= 400
    assert len(set(names)) == len(names)
    assert all(specimen.size or specimen.reasons for files in corpus.values() for specimen in files)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"bombs", "metadata"}))
def test_the_corpus_is_the_same_in_every_run(family: str, corpus: dict[str, list[Specimen]]) -> None:
    sound_files.cache_clear()
    assert [specimen.data for specimen in specimens(family)] == [specimen.data for specimen in corpus[family]]
