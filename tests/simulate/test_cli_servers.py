"""The commands against Apache Kafka and an S3 server. The worker's part is played by the test, which publishes the outcomes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from typer.testing import CliRunner, Result

from tests.infra.kafka import KafkaServer, unique
from tests.infra.s3 import new_bucket
from worker.cli import app
from worker.cli.following import OutcomeReader
from worker.embedded.s3 import S3Endpoint
from worker.errors import ConfigurationError, PhotoRefused
from worker.events.codec import ParsedArrival, parse_item_photographed
from worker.events.reading import EventLimits
from worker.imaging.storage import S3Photos
from worker.ops.deadline import Deadline
from worker.settings import load_settings
from worker.simulate.outcomes import read_outcome
from worker.simulate.score import ScoreReport
from worker.simulate.truth import Kind, read_truth

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "examples"
PREFIX = "in/"


@dataclass(frozen=True, slots=True)
class Servers:
    """Topics and a bucket of this test alone; the settings are in the environment."""

    kafka: KafkaServer
    s3: S3Endpoint
    bucket: str
    topics: dict[str, str]

    def arrivals(self) -> list[ParsedArrival]:
        """Every event on the input topic, read as strictly as the worker reads it."""
        messages = self.kafka.read(self.topics["item_photographed"])
        return [parse_item_photographed(m.key, m.value, m.headers, EventLimits()) for m in messages]

    def publish(self, name: str, **fields: Any) -> None:
        """Publish the example event `name`, changed, as the worker would."""
        event = json.loads((EXAMPLES / f"{name}.v1.json").read_text()) | fields
        self.kafka.send(self.topics[name.replace("-", "_")], [(str(event["arrival_id"]).encode(), json.dumps(event).encode())])


@pytest.fixture
def servers(kafka: KafkaServer, s3_plain: S3Endpoint, monkeypatch: pytest.MonkeyPatch) -> Servers:
    names = ("item_photographed", "match_alert", "catalogue_insert", "dead_letter")
    topics = {name: kafka.create_topic(unique(name), partitions=2) for name in names}
    bucket = new_bucket(s3_plain)
    environment = s3_plain.environment() | {
        "INTAKE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "INTAKE_STORAGE__ALLOWED": json.dumps([{"bucket": bucket, "prefix": PREFIX}]),
    }
    environment |= {f"INTAKE_STREAM__TOPICS__{name.upper()}": topic for name, topic in topics.items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Servers(kafka, s3_plain, bucket, topics)


def intake(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@contextmanager
def answering(servers: Servers, answer: Callable[[ParsedArrival], None]) -> Iterator[None]:
    """Answers each new arrival once, while the block runs; a failure in it fails the test.

    What was answered is known by name: of a topic with two partitions, what is new need not come last in the next reading.
    """
    stop = threading.Event()

    def run() -> None:
        answered: set[str] = set()
        while not stop.is_set():
            for arrival in servers.arrivals():
                if arrival.event.arrival_id not in answered:
                    answer(arrival)
                    answered.add(arrival.event.arrival_id)
            stop.wait(0.1)

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run)
        try:
            yield
        finally:
            stop.set()
            running.result(timeout=60)


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    paths = []
    for name in ("one.jpg", "two.PNG"):
        path = tmp_path / name
        path.write_bytes(f"the bytes of {name}".encode())
        paths.append(str(path))
    return paths


def test_submit_uploads_the_photos_and_publishes_an_event_the_worker_can_read(servers: Servers, photos: list[str]) -> None:
    result = intake("submit", *photos, "--arrival-id", "A-7", "--attribute", "brand=Acme", "--view", "front", "--view", "label")
    assert result.exit_code == 0, result.output
    [arrival] = servers.arrivals()
    assert arrival.event.arrival_id == "A-7"
    assert arrival.event.attributes.present() == {"brand": "Acme"}
    assert [photo.key for photo in arrival.event.photos] == ["in/A-7/front.jpg", "in/A-7/label.png"]
    assert arrival.source == "/intake/submit"
    source = S3Photos(load_settings().storage, 10_000)
    fetched = [source.fetch(photo) for photo in arrival.event.photos]
    source.close()
    assert [photo.data for photo in fetched] == [Path(path).read_bytes() for path in photos]


def test_submit_prints_the_event_as_json(servers: Servers, photos: list[str]) -> None:
    printed = json.loads(intake("submit", photos[0], "--json").output)
    [arrival] = servers.arrivals()
    assert printed["arrival_id"] == arrival.event.arrival_id


def test_submit_waits_for_the_outcome_and_shows_the_candidates(servers: Servers, photos: list[str]) -> None:
    def alert(arrival: ParsedArrival) -> None:
        servers.publish("catalogue-insert", arrival_id="someone-else")
        servers.publish("match-alert", arrival_id=arrival.event.arrival_id)

    with answering(servers, alert):
        result = intake("submit", photos[0], "--arrival-id", "A-8", "--wait")
    assert result.exit_code == 0, result.output
    expected = json.loads((EXAMPLES / "match-alert.v1.json").read_text())
    assert "A-8" in result.output
    for candidate in expected["candidates"]:
        assert candidate["article_id"] in result.output


def test_submit_says_when_no_outcome_comes(servers: Servers, photos: list[str]) -> None:
    result = intake("submit", photos[0], "--wait", "--timeout", "0.5")
    assert result.exit_code == 1
    assert "no outcome" in result.output


def test_a_missing_topic_is_named(servers: Servers, photos: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_STREAM__TOPICS__MATCH_ALERT", "nobody-made-this")
    result = intake("submit", photos[0], "--wait")
    assert isinstance(result.exception, ConfigurationError)
    assert "nobody-made-this" in str(result.exception)


def test_watch_shows_what_is_in_the_topics(servers: Servers) -> None:
    servers.publish("match-alert", arrival_id="A-1")
    servers.publish("catalogue-insert", arrival_id="A-2")
    servers.publish("dead-letter", arrival_id="A-3")
    result = intake("watch", "--from-beginning", "--limit", "3", "--timeout", "30")
    assert result.exit_code == 0, result.output
    for arrival_id in ("A-1", "A-2", "A-3"):
        assert arrival_id in result.output


def test_watch_prints_events_as_published(servers: Servers) -> None:
    servers.publish("match-alert", arrival_id="A-1")
    servers.kafka.send(servers.topics["match_alert"], [(b"x", b"not json"), (b"x", None)])
    servers.publish("dead-letter", arrival_id="A-3")
    lines = [
        json.loads(line)
        for line in intake("watch", "--from-beginning", "--json", "--limit", "2", "--timeout", "30").output.splitlines()
    ]
    assert {line["arrival_id"] for line in lines} == {"A-1", "A-3"}
    assert {"candidates", "photos", "explanation"} <= set(next(line for line in lines if line["arrival_id"] == "A-1"))


def test_watch_sees_only_what_comes_from_now_on(servers: Servers) -> None:
    servers.publish("match-alert", arrival_id="before")
    with OutcomeReader(load_settings(), from_beginning=False) as reader:
        servers.publish("match-alert", arrival_id="after")
        for followed in reader.read(Deadline.after(30)):
            assert followed.event["arrival_id"] == "after"
            break
        else:
            pytest.fail("nothing was read")


def test_watch_does_not_see_what_was_aborted(servers: Servers) -> None:
    event = (EXAMPLES / "match-alert.v1.json").read_bytes()
    producer = KafkaProducer(bootstrap_servers=servers.kafka.bootstrap_servers, transactional_id=unique("aborting"))
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(servers.topics["match_alert"], key=b"aborted", value=event)
    producer.flush()
    producer.abort_transaction()
    producer.close()
    servers.publish("match-alert", arrival_id="committed")
    output = intake("watch", "--from-beginning", "--json", "--limit", "1", "--timeout", "30").output
    assert json.loads(output)["arrival_id"] == "committed"


def test_simulate_sends_every_event_with_its_photos(servers: Servers, tmp_path: Path) -> None:
    truth_file = tmp_path / "truth.jsonl"
    faults = "corrupt=0.15,missing=0.1,repeat=0.15,twin=0.1"
    result = intake(
        "simulate", "--count", "20", "--rate", "200", "--catalogue-size", "6", "--faults", faults, "--run", "r1", "--processes", "0",
        "--truth", str(truth_file),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    truths = read_truth(truth_file)
    arrivals = servers.arrivals()
    assert sorted(a.event.arrival_id for a in arrivals) == sorted(t.arrival_id for t in truths)
    kinds = {truth.arrival_id: truth.kind for truth in truths if truth.kind is not Kind.REPEAT}
    source = S3Photos(load_settings().storage, 10_000_000)
    for arrival in arrivals:
        for location in arrival.event.photos:
            if kinds[arrival.event.arrival_id] is Kind.MISSING:
                with pytest.raises(PhotoRefused):
                    source.fetch(location)
            elif kinds[arrival.event.arrival_id] is not Kind.CORRUPT:
                assert source.fetch(location).data.startswith(b"\xff\xd8")
    source.close()


def test_a_repeated_event_is_the_same_byte_for_byte(servers: Servers) -> None:
    assert (
        intake(
            "simulate", "--count", "10", "--rate", "500", "--catalogue-size", "3", "--faults", "repeat=0.5", "--processes", "0"
        ).exit_code
        == 0
    )
    records: dict[bytes | None, set[tuple[bytes | None, tuple[tuple[str, bytes | None], ...]]]] = {}
    messages = servers.kafka.read(servers.topics["item_photographed"])
    for message in messages:
        records.setdefault(message.key, set()).add((message.value, message.headers))
    assert len(messages) == 10
    assert len(records) == 5
    assert all(len(versions) == 1 for versions in records.values())


def test_simulate_waits_for_the_outcomes_and_scores_them(servers: Servers) -> None:
    """A worker that calls everything new: garments of the catalogue come out wrong, all others right, nothing is lost."""

    def insert(arrival: ParsedArrival) -> None:
        name = arrival.event.arrival_id
        servers.publish("catalogue-insert", arrival_id=name, article_id=f"article-{name}", event_id=f"id-{name}")

    with answering(servers, insert):
        result = intake(
            "simulate", "--count", "8", "--rate", "100", "--catalogue-size", "3", "--mix", "new=1,re-photographed=1", "--processes", "0",
            "--score", "--wait", "30", "--json",
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = ScoreReport.model_validate_json(result.stdout[result.stdout.index("{") :])
    by_kind = {line.kind: line for line in report.kinds}
    assert by_kind[Kind.NEW].right == 4
    assert by_kind[Kind.REPHOTOGRAPHED].wrong == 4
    assert report.complete


def test_outcomes_in_the_topics_can_be_scored_later(servers: Servers, tmp_path: Path) -> None:
    truth_file = tmp_path / "truth.jsonl"
    common = ("simulate", "--truth", str(truth_file))
    assert (
        intake(*common, "--count", "3", "--rate", "100", "--catalogue-size", "3", "--mix", "new=1", "--processes", "0").exit_code
        == 0
    )
    for truth in read_truth(truth_file):
        servers.publish("catalogue-insert", arrival_id=truth.arrival_id, article_id=f"article-{truth.arrival_id}")
    servers.publish("dead-letter", arrival_id="of-another-run")
    result = intake(*common, "--score-only", "--wait", "15")
    assert result.exit_code == 0, result.output
    assert "3 of 3 right" in result.output


def test_an_alert_example_reads_as_an_outcome() -> None:
    for name, got in (("match-alert", {"duplicate", "review"}), ("catalogue-insert", {"new"}), ("dead-letter", {"dead-letter"})):
        outcome = read_outcome(json.loads((EXAMPLES / f"{name}.v1.json").read_text()))
        assert outcome is not None
        assert outcome.got in got


def test_waiting_ends_when_nothing_comes(servers: Servers) -> None:
    result = intake(
        "simulate", "--count", "2", "--rate", "100", "--catalogue-size", "2", "--processes", "0", "--score", "--wait", "0.5"
    )  # fmt: skip
    assert result.exit_code == 1
    assert "2 without an outcome" in result.output
