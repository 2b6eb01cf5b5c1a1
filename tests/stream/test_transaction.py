"""The commit guard: what a commit that returned has published is there, whatever another producer with the same id does meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.structs import ConsumerGroupMetadata

from tests.infra.kafka import KafkaServer, unique
from tests.stream.flows import make_settings, make_topics
from worker.errors import StopError, TransactionUnsafe
from worker.ops.faults import Faults
from worker.settings import Settings
from worker.stream.transaction import StaleMembership, Transactions
from worker.stream.types import OutputRecord
from worker.stream.watchdog import CallWatchdog

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka: KafkaServer) -> Settings:
    return make_settings(kafka, make_topics(kafka))


def opened(settings: Settings, name: str, faults: Faults | None = None) -> Transactions:
    watchdog = CallWatchdog(30.0)
    watchdog.start()
    transactions = Transactions(settings, name, watchdog, faults or Faults())
    transactions.open()
    return transactions


class _Losing(Transactions):
    """Drops its transaction after the records were delivered, as kafka-python does when it bumps its epoch."""

    __slots__ = ()

    def _publish(self, outputs: Sequence[OutputRecord]) -> None:
        super()._publish(outputs)
        self._producer._transaction_manager._transaction_started = False


def outputs(settings: Settings, *texts: str) -> list[OutputRecord]:
    return [OutputRecord(settings.stream.topics.match_alert, b"k", text.encode()) for text in texts]


def published(kafka: KafkaServer, settings: Settings) -> list[str]:
    return [(message.value or b"").decode() for message in kafka.read(settings.stream.topics.match_alert)]


def test_a_producer_that_was_overtaken_is_told_and_publishes_nothing(kafka: KafkaServer, settings: Settings) -> None:
    name = unique("txn")
    old = opened(settings, name)
    old.publish(outputs(settings, "before"))
    new = opened(settings, name)
    with pytest.raises(TransactionUnsafe):
        old.publish(outputs(settings, "too late"))
    old.close(1)
    assert published(kafka, settings) == ["before"]
    new.close(1)


def test_two_producers_that_fight_for_one_id_never_believe_a_commit_that_did_not_happen(
    kafka: KafkaServer, settings: Settings
) -> None:
    believed: list[str] = []
    unsafe: list[str] = []
    for turn in range(6):
        name = unique("fight")
        old = opened(settings, name)
        old.publish(outputs(settings, f"{turn} old 0"))
        new = opened(settings, name)
        believed.append(f"{turn} old 0")

        def publish(transactions: Transactions, who: str) -> None:
            for number in range(1, 6):
                text = f"{turn} {who} {number}"  # noqa: B023  joined before the next turn
                try:
                    transactions.publish(outputs(settings, text))
                except StopError:
                    unsafe.append(text)
                    return  # as the worker does: the process ends
                believed.append(text)

        threads = [threading.Thread(target=publish, args=each) for each in ((new, "new"), (old, "old"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for transactions in (old, new):
            transactions.close(1)
    assert unsafe
    assert Counter(published(kafka, settings)) == Counter(believed)


def test_a_member_the_group_does_not_know_commits_nothing_and_the_next_transaction_carries_nothing_over(
    kafka: KafkaServer, settings: Settings
) -> None:
    transactions = opened(settings, unique("txn"))
    group = settings.stream.group_id
    place = TopicPartition(settings.stream.topics.item_photographed, 0)
    stranger = ConsumerGroupMetadata(group_id=group, generation_id=7, member_id="stranger")
    with pytest.raises(StaleMembership):
        transactions.commit(outputs(settings, "refused"), {place: OffsetAndMetadata(1, "", -1)}, stranger)
    transactions.publish(outputs(settings, "next"))
    transactions.close(1)
    assert published(kafka, settings) == ["next"]
    assert kafka.committed(group, place.topic) == {}


@pytest.mark.parametrize("group", [ConsumerGroupMetadata(group_id="g"), ConsumerGroupMetadata("g", -1, "member")])
def test_offsets_are_never_sent_without_a_membership_for_nothing_would_fence_them(settings: Settings, group: Any) -> None:
    transactions = opened(settings, unique("txn"))
    with pytest.raises(StaleMembership, match="not a member"):
        transactions.commit([], {TopicPartition("t", 0): OffsetAndMetadata(1, "", -1)}, group)
    transactions.close(1)


def test_a_transaction_that_was_dropped_on_the_way_is_noticed_before_its_commit(kafka: KafkaServer, settings: Settings) -> None:
    opened(settings, name := unique("txn")).publish(outputs(settings, "first"))
    watchdog = CallWatchdog(30.0)
    watchdog.start()
    transactions = _Losing(settings, name, watchdog, Faults())
    transactions.open()
    with pytest.raises(TransactionUnsafe, match="not what was begun"):
        transactions.publish(outputs(settings, "lost"))
    transactions.close(1)
    assert published(kafka, settings) == ["first"]


def test_a_record_the_broker_finds_too_large_is_named_as_that(kafka: KafkaServer, settings: Settings) -> None:
    transactions = opened(settings, unique("txn"))
    with pytest.raises(StopError, match=r"too large.*max\.message\.bytes"):
        transactions.publish(outputs(settings, "x" * 2_000_000))
    transactions.close(1)
