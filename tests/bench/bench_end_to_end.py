"""How much of the models' own throughput the whole worker reaches, and where the time goes; all in one run.

* bare: segmenter + crop + embedder alone, on decoded photos, with the same sessions, threads and batch size.
* end to end: the production pipeline on Apache Kafka, an S3 server and the embedded index, first commit to last.
* stub: the same with models that cost nothing, against a bare consume-transform-produce loop of kafka-python with the same transactions.

Both sides of a round run one after the other, and the median of the rounds' ratios is told: the speed of a machine drifts by half within minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.bench.bench_stream import bare_loop
from tests.bench.rig import Meter, Rig, phone_photos
from tests.infra.kafka import kafka_server, unique
from tests.stream.flows import make_topics
from worker.embedded.s3 import EmbeddedS3
from worker.imaging.types import Pixels
from worker.settings import VisionSettings

BAR = 40


def bare_models(rig: Rig) -> float:
    """Photos a second of segmenter, crop and embedder alone."""
    with rig.parts(rig.settings(unique("bare"))) as parts:
        pixels = [one for one in parts.embedder.decode(rig.decoded(parts)) if isinstance(one, Pixels)]
        parts.embedder.cut_out(pixels[: rig.batch])
        began = time.perf_counter()
        for start in range(0, len(pixels), rig.batch):
            cuts = parts.embedder.cut_out(pixels[start : start + rig.batch])
            parts.embedder.embed([cut.crop for cut in cuts if not isinstance(cut, Exception)])
        return len(pixels) / (time.perf_counter() - began)


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of what each round's two rates are to each other."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def processor_seconds() -> dict[str, float]:
    """Processor time so far of this process and of the servers it started. Decoders end with their worker and are not in it."""
    seconds = {"worker": sum(os.times()[:2]), "broker": 0.0, "S3 server": 0.0}
    for child in psutil.Process().children(recursive=True):
        try:
            words, times = " ".join(child.cmdline()), child.cpu_times()
        except psutil.Error:  # it ended meanwhile
            continue
        name = "broker" if "kafka" in words else "S3 server" if "worker.embedded.s3" in words else None
        if name:
            seconds[name] += times.user + times.system
    return seconds


def waterfall(meter: Meter) -> None:
    """Milliseconds an arrival, by stage."""
    times = {name: 1000 * seconds / max(1, meter.stage_records[name]) for name, seconds in meter.stage_seconds.items()}
    times["commit"] = 1000 * meter.commit_seconds / max(1, meter.done)
    longest = max(times.values())
    for name, milliseconds in times.items():
        print(f"  {name:>8} {milliseconds:8.2f} ms an arrival {'█' * max(1, round(BAR * milliseconds / longest))}")


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stub-records", type=int, default=1_500)
    parser.add_argument("--segmenter", default="default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, kafka_server(Path(name) / "kafka") as kafka, EmbeddedS3() as s3:
        vision = VisionSettings(segmenter=arguments.segmenter)
        rig = Rig(kafka, s3, Path(name), arguments.batch, phone_photos(arguments.photos), vision)
        rig.upload()
        bare: list[float] = []
        whole: list[float] = []
        for _ in range(arguments.rounds):
            began = processor_seconds()
            bare.append(bare_models(rig))
            between = processor_seconds()
            meter = rig.run_worker(arguments.photos)
            ended = processor_seconds()
            whole.append(meter.rate)
            print(
                f"  models alone {bare[-1]:6.2f} photos/s, end to end {whole[-1]:6.2f} photos/s, ratio {whole[-1] / bare[-1]:.2f}"
            )
        waterfall(meter)
        spent = [f"{name} {1000 * (ended[name] - between[name]) / arguments.photos:.0f}" for name in ended]
        alone = 1000 * (between["worker"] - began["worker"]) / arguments.photos
        print(f"  processor time, ms an arrival with starts and ends: {', '.join(spent)}; models alone {alone:.0f}")
        print(
            f"end to end: {statistics.median(whole):.2f} of {statistics.median(bare):.2f} photos/s "
            f"(batch {arguments.batch}): ratio {median_ratio(whole, bare):.2f} (aim 0.95)"
        )
        topics = make_topics(kafka, partitions=4)
        kafka.send(topics.input, [(f"arrival-{n:06}".encode(), b"{}") for n in range(arguments.stub_records)])
        loops, stubs = [], []
        for _ in range(arguments.rounds):
            loops.append(bare_loop(kafka, topics, arguments.stub_records, arguments.batch).rate)
            stubbed = rig.run_worker(arguments.stub_records, stub=True)
            stubs.append(stubbed.rate)
        waterfall(stubbed)
        print(
            f"stub models: {statistics.median(stubs):,.0f} of {statistics.median(loops):,.0f} arrivals/s: "
            f"ratio {median_ratio(stubs, loops):.2f} (aim 0.6)"
        )


if __name__ == "__main__":
    main()
