"""The embedded broker starts, stops, dies, comes back and never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.kafka import KafkaServer, unique, wait_until
from worker.embedded.kafka import EmbeddedKafka, free_ports
from worker.embedded.tether import tethered
from worker.errors import ConfigurationError

pytestmark = pytest.mark.integration


def test_a_message_sent_is_a_message_read(kafka: KafkaServer) -> None:
    topic = kafka.create_topic(partitions=2)
    kafka.send(topic, [(b"a", b"1"), (b"b", b"2")])
    assert {(m.key, m.value) for m in kafka.read(topic)} == {(b"a", b"1"), (b"b", b"2")}


def test_no_two_ports_are_the_same() -> None:
    # Drawn one after the other, so many would hold a pair nearly always: there are 28,000 to draw from.
    ports = free_ports(500)
    assert len(set(ports)) == 500


def test_a_killed_broker_comes_back_on_the_same_port_with_its_data(tmp_path: Path) -> None:
    said: list[str] = []
    with EmbeddedKafka(tmp_path, message=said.append) as broker:
        server = KafkaServer(broker.bootstrap_servers)
        topic = server.create_topic(unique("kept"))
        server.send(topic, [(None, b"before")])
        server.close()
        broker.kill()
        assert broker.running_pid() is None
        broker.start()
        assert broker.bootstrap_servers == server.bootstrap_servers
        server.send(topic, [(None, b"after")])
        assert [m.value for m in server.read(topic)] == [b"before", b"after"]
        pid = broker.running_pid()
        assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert any("Starting Apache Kafka" in line for line in said)


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(ConfigurationError, match=r"num\.io\.threads"):
        broker.start()
    assert broker.running_pid() is None


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_a_tethered_program_ends_when_its_parent_is_killed_with_sigkill() -> None:
    code = (
        "import subprocess, time\n"
        "from worker.embedded.tether import tethered\n"
        "print(subprocess.Popen(tethered(['sleep', '600'])).pid, flush=True)\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    if parent.stdout is None:
        raise AssertionError
    child = int(parent.stdout.readline())
    assert _alive(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not _alive(child), "the tethered program to end", timeout_s=10)


def test_a_tethered_program_keeps_its_own_exit_code_and_output() -> None:
    answer = subprocess.run(tethered(["sh", "-c", "echo hello; exit 3"]), capture_output=True, text=True, timeout=10, check=False)
    assert (answer.returncode, answer.stdout) == (3, "hello\n")
