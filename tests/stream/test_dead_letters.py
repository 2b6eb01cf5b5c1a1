"""`intake dead-letters`: found, shown, sent again exactly once, deleted."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.infra.kafka import KafkaServer, wait_until
from tests.stream.flows import Topics, make_flow, make_settings, make_topics, running, values
from worker.cli.dead_letters import app
from worker.errors import ConfigurationError, PhotoRefused, Reason, RetryError, StopError
from worker.events import DeadLetterRedriven
from worker.events.codec import decode_event
from worker.events.reading import EventLimits
from worker.ops.faults import Faults
from worker.settings import Settings
from worker.stream.letters import REDRIVE_HEADER, Selection, StoredLetter, read_letters
from worker.stream.redrive import purge, purgeable, redrive
from worker.stream.types import Flow, SourceRecord, Stage

pytestmark = pytest.mark.integration

Command = Callable[..., Result]


@pytest.fixture
def topics(kafka: KafkaServer) -> Topics:
    return make_topics(kafka)


@pytest.fixture
def settings(kafka: KafkaServer, topics: Topics) -> Settings:
    return make_settings(kafka, topics)


@pytest.fixture
def command(kafka: KafkaServer, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("INTAKE_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("INTAKE_STREAM__GROUP_ID", topics.input)
    monkeypatch.setenv("INTAKE_STREAM__TOPICS__ITEM_PHOTOGRAPHED", topics.input)
    monkeypatch.setenv("INTAKE_STREAM__TOPICS__DEAD_LETTER", topics.dead_letter)
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *arguments, **options: CliRunner().invoke(app, list(arguments), catch_exceptions=False, **options)


def refuse_unless(healthy: threading.Event) -> Callable[[Sequence[SourceRecord]], Sequence[Any]]:
    def run(records: Sequence[SourceRecord]) -> Sequence[Any]:
        return [
            PhotoRefused(Reason.PHOTO_MISSING, "no such object: upload it and redrive")
            if (record.value or b"").startswith(b"missing") and not healthy.is_set()
            else record
            for record in records
        ]

    return run


def refuse(kafka: KafkaServer, settings: Settings, topics: Topics, records: Sequence[tuple[bytes | None, bytes]]) -> None:
    """Publish records and let a worker refuse those that say ``missing`` or ``bad``."""
    kafka.send(topics.input, records, headers=[("x-device", b"phone-7")])
    work(kafka, settings, topics, threading.Event())


def work(kafka: KafkaServer, settings: Settings, topics: Topics, healthy: threading.Event) -> None:
    """Run a worker until everything in the input topic is worked off."""
    flow = make_flow(topics, Stage("fetch", refuse_unless(healthy), "fetch"))
    end = max((message.offset for message in kafka.read(topics.input)), default=-1) + 1
    with running(settings, flow) as worker:
        wait_until(lambda: kafka.committed(topics.input, topics.input).get(0) == end, "the input's end")
        worker.stop()


def marks(kafka: KafkaServer, topics: Topics) -> list[DeadLetterRedriven]:
    """The marks among the dead letters, read as any reader of the contract would."""
    return [
        decode_event(DeadLetterRedriven, message.value, message.headers, EventLimits())[0]
        for message in kafka.read(topics.dead_letter)
        if ("ce_type", DeadLetterRedriven.ce_type().encode()) in message.headers
    ]


RECORDS: tuple[tuple[bytes | None, bytes], ...] = (
    (b"k0", b"0"),
    (b"k1", b"missing 1"),
    (b"k2", b"bad"),
    (b"k3", b'missing {"\xc3\xa4": 3}'),
    (b"k4", b"missing \xff\xfe"),
)


def test_dead_letters_are_listed_and_shown(kafka: KafkaServer, settings: Settings, topics: Topics, command: Command) -> None:
    refuse(kafka, settings, topics, RECORDS)
    listed = command("list")
    assert "4 dead letters, 0 of them redriven" in listed.stdout
    assert listed.stdout.count("photo-missing") == 3
    only = command("list", "--reason", "event-not-json", "--json")
    (summary,) = [json.loads(line) for line in only.stdout.splitlines()]
    assert summary["source"] == f"{topics.input}/0/2"
    assert summary["stage"] == "parse"
    assert "2 older ones are not shown" in command("list", "--last", "2").stdout
    shown = command("show", summary["id"][:13]).stdout
    assert summary["id"] in shown
    assert "original key: k2" in shown
    assert "original header x-device: phone-7" in shown
    assert shown.rstrip().endswith("bad")
    with pytest.raises(ConfigurationError, match="no dead letter has an id that begins with 'ffff-no'"):
        command("show", "ffff-no")


def test_a_redriven_event_is_processed_once_with_its_original_bytes(
    kafka: KafkaServer, settings: Settings, topics: Topics, command: Command
) -> None:
    refuse(kafka, settings, topics, RECORDS)
    would = command("redrive", "--reason", "photo-missing", "--dry-run")
    assert "3 would be redriven" in would.stdout
    assert len(kafka.read(topics.input)) == 5
    assert command("redrive").exit_code == 2  # what is not said is not done
    done = command("redrive", "--reason", "photo-missing")
    assert "3 redriven, 0 were redriven before" in done.stdout
    assert "0 redriven, 3 were redriven before" in command("redrive", "--reason", "photo-missing").stdout
    again = [message for message in kafka.read(topics.input) if REDRIVE_HEADER in dict(message.headers)]
    assert [(message.key, message.value) for message in again] == [RECORDS[1], RECORDS[3], RECORDS[4]]
    assert all(dict(message.headers)["x-device"] == b"phone-7" for message in again)
    ids = {stored.letter_id for stored in read_letters(settings) if stored.redriven}
    assert {dict(message.headers)[REDRIVE_HEADER].decode() for message in again} == ids  # type: ignore[union-attr]
    assert {str(mark.dead_letter_id) for mark in marks(kafka, topics)} == ids
    healthy = threading.Event()
    healthy.set()
    work(kafka, settings, topics, healthy)
    assert values(kafka, topics.alert) == [b"0", RECORDS[1][1], RECORDS[3][1], RECORDS[4][1]]
    assert "4 dead letters, 3 of them redriven" in command("list").stdout


def test_an_event_that_is_refused_again_is_a_new_dead_letter_that_can_be_redriven_again(
    kafka: KafkaServer, settings: Settings, topics: Topics
) -> None:
    refuse(kafka, settings, topics, [(b"k", b"missing")])
    redrive(settings, Selection())
    work(kafka, settings, topics, threading.Event())
    first, second = read_letters(settings)
    assert (first.redriven, second.redriven) == (True, False)
    assert first.letter_id != second.letter_id
    report = redrive(settings, Selection())
    assert [stored.letter_id for stored in report.redriven] == [second.letter_id]
    last = kafka.read(topics.input)[-1]
    assert [value for name, value in last.headers if name == REDRIVE_HEADER] == [second.letter_id.encode()]


@pytest.mark.parametrize("point", ["after-begin", "after-send", "before-commit"])
def test_an_interrupted_redrive_is_repeated_without_sending_anything_twice(
    kafka: KafkaServer, settings: Settings, topics: Topics, point: str
) -> None:
    refuse(kafka, settings, topics, RECORDS)
    with pytest.raises(StopError, match="injected"):
        redrive(settings, Selection(), faults=Faults.parse(f"{point}:exit:1"))
    assert len(kafka.read(topics.input)) == 5
    report = redrive(settings, Selection())
    assert len(report.redriven) == 4
    assert redrive(settings, Selection()).redriven == []
    assert len(kafka.read(topics.input)) == 9


def test_redrives_that_run_at_once_send_everything_once(kafka: KafkaServer, settings: Settings, topics: Topics) -> None:
    refuse(kafka, settings, topics, [(f"k{number}".encode(), b"missing") for number in range(30)])
    errors: list[BaseException] = []

    def run() -> None:
        try:
            redrive(settings, Selection())
        except (StopError, RetryError) as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    redrive(settings, Selection())
    again = [dict(message.headers).get(REDRIVE_HEADER) for message in kafka.read(topics.input)]
    counts = Counter(each for each in again if each)
    assert len(counts) == 30
    assert set(counts.values()) == {1}


def test_an_original_that_was_too_large_to_keep_is_taken_from_its_topic(kafka: KafkaServer, topics: Topics) -> None:
    large = kafka.create_topic(configs={"max.message.bytes": "4000000"})
    settings = make_settings(kafka, Topics(large, topics.alert, topics.insert, topics.dead_letter))
    content = b"missing " + b"x" * 2_000_000
    kafka.send(large, [(b"k", content)], headers=[("x-device", b"phone-7")])
    flow = make_flow(topics)

    def parse(_record: SourceRecord) -> SourceRecord:
        raise PhotoRefused(Reason.EVENT_TOO_LARGE, "2 MB")

    with running(settings, Flow(parse, flow.stages, flow.abandon)) as worker:
        wait_until(lambda: kafka.committed(large, large) == {0: 1}, "the large event")
        worker.stop()
    kafka_limit = settings.model_copy()
    assert len(redrive(kafka_limit, Selection()).redriven) == 1
    first, again = kafka.read(large)
    assert (again.key, again.value) == (b"k", content)
    assert again.headers[0] == first.headers[0]
    assert again.headers[1][0] == REDRIVE_HEADER


def test_purging_deletes_what_was_redriven_from_the_oldest_on_and_the_rest_only_when_asked(
    kafka: KafkaServer, settings: Settings, topics: Topics, command: Command
) -> None:
    refuse(kafka, settings, topics, RECORDS)
    assert "0 of 4 dead letters would be deleted" in command("purge").stdout
    first, _second, third, _fourth = read_letters(settings)
    command("redrive", "--id", first.letter_id, "--id", third.letter_id)
    kept = command("purge", input="n\n")
    assert kept.exit_code == 1
    assert len(read_letters(settings)) == 4
    assert "1 deleted" in command("purge", input="y\n").stdout  # the third lies behind one that was not redriven
    assert [stored.letter.reason for stored in read_letters(settings)] == [
        Reason.EVENT_NOT_JSON,
        Reason.PHOTO_MISSING,
        Reason.PHOTO_MISSING,
    ]
    assert [stored.redriven for stored in read_letters(settings)] == [False, True, False]
    everything = command("purge", "--all", "--yes")
    assert "3 of 3 dead letters would be deleted, 2 of them were never redriven" in everything.stdout
    assert read_letters(settings) == []
    purge(settings, purgeable(settings, [], everything=True))  # nothing is left, and that is no error


def test_a_selection_names_exactly_what_it_means(settings: Settings, kafka: KafkaServer, topics: Topics) -> None:
    refuse(kafka, settings, topics, RECORDS)
    letters = read_letters(settings)
    assert Selection().of(letters) == letters
    assert [stored.letter.reason for stored in Selection(reason=Reason.EVENT_NOT_JSON).of(letters)] == [Reason.EVENT_NOT_JSON]
    wanted: StoredLetter = letters[2]
    assert Selection(ids=(wanted.letter_id[:20].upper(),)).of(letters) == [wanted]
    with pytest.raises(ConfigurationError, match="4 dead letters have an id that begins with ''"):
        Selection(ids=("",)).of(letters)


def test_records_in_the_topic_that_are_no_dead_letters_are_passed_over(
    kafka: KafkaServer, settings: Settings, topics: Topics
) -> None:
    kafka.send(topics.dead_letter, [(b"k", b"not a dead letter"), (b"k", None)])
    assert read_letters(settings) == []
