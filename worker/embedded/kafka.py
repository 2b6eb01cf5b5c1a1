"""Apache Kafka itself as a child process: one KRaft node for the demo and the tests.

The broker the worker meets in production, so that nothing is tested against a double. 2.5 s to start, about 320 MB resident.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from worker.embedded.java import java_executable, kafka_jars
from worker.embedded.tether import tethered
from worker.errors import ConfigurationError, DeadlineExceeded
from worker.ops.deadline import Deadline

HOST = "127.0.0.1"
# Cold start on two idle cores takes 4 s; with eighteen processes waiting for them it took 55 s.
START_TIMEOUT_S = 120.0
# Controlled shutdown of one node takes below a second; after this it is killed.
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.05
_LOG_TAIL_LINES = 15
_PORT_ATTEMPTS = 3

_LOG4J = """\
status = warn
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1} %m%n
"""


def _silent(_text: str) -> None:
    """Drop a progress message."""


def free_ports(count: int) -> list[int]:
    """So many different TCP ports of the loopback interface that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        # All are held until the last is known: a port that is given back may be the next one's.
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


@dataclass(frozen=True, slots=True)
class Listener:
    """One more listener beside the plaintext one, as for TLS or SASL.

    `properties` are the broker's, without their ``listener.name.<name>.`` prefix.
    """

    name: str
    protocol: str
    properties: Mapping[str, str] = field(default_factory=dict)


class EmbeddedKafka:
    """One Kafka broker in a folder. A context manager; ends with this process, however this process ends.

    Attributes:
        folder: configuration, log file (``kafka.log``) and data; a second broker on the same folder continues with its data.
        properties: broker properties that override or add to the defaults.
        listeners: more listeners; `address` tells their host:port.
        format_arguments: for Kafka's storage tool, as in ``--add-scram``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        properties: Mapping[str, str] | None = None,
        listeners: Sequence[Listener] = (),
        format_arguments: Sequence[str] = (),
        heap_mb: int = 512,
        message: Callable[[str], None] = _silent,
    ) -> None:
        self.folder = folder
        self.properties = dict(properties or {})
        self.listeners = tuple(listeners)
        self.format_arguments = tuple(format_arguments)
        self._fixed_port = port
        self._ports: dict[str, int] = {}
        self._heap_mb = heap_mb
        self._message = message
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """host:port of the plaintext listener."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """host:port of a listener by name; ports are known once the broker was started."""
        return f"{HOST}:{self._ports[listener]}"

    @property
    def log_path(self) -> Path:
        """Where the broker's log is."""
        return self.folder / "kafka.log"

    def running_pid(self) -> int | None:
        """Of the broker's process; None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> Self:
        """Start, or start again on the same data and ports; returns when the broker answers.

        Raises:
            ConfigurationError: the broker ended during its start; the end of its log is in the message.
            DeadlineExceeded: it did not answer in time.
        """
        if self.running_pid() is not None:
            return self
        kafka_jars(self._message)  # before the clock runs: this may be a download
        deadline = Deadline.after(timeout_s)
        fresh = not self._ports
        for attempt in range(_PORT_ATTEMPTS):
            if fresh:
                self._choose_ports()
            self._configure()
            try:
                self._launch(deadline)
            except ConfigurationError:
                # Somebody took a port between choosing and binding it.
                if fresh and attempt + 1 < _PORT_ATTEMPTS and "Address already in use" in self._log_tail():
                    continue
                raise
            return self
        raise ConfigurationError("no free ports for the embedded broker")

    def stop(self) -> None:
        """End the broker in order; kill it if it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL: the broker has no time to write anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _choose_ports(self) -> None:
        names = ["PLAINTEXT", "CONTROLLER", *(listener.name for listener in self.listeners)]
        drawn = [port for port in free_ports(len(names) + 1) if port != self._fixed_port]
        self._ports = dict(zip(names, drawn, strict=False))
        if self._fixed_port:
            self._ports["PLAINTEXT"] = self._fixed_port

    def _configure(self) -> None:
        """Write the broker's configuration and, once, format its storage."""
        self.folder.mkdir(parents=True, exist_ok=True)
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **{each.name: each.protocol for each in self.listeners}}
        addresses = {name: f"{name}://{self.address(name)}" for name in protocols}
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self.address('CONTROLLER')}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(value for name, value in addresses.items() if name != "CONTROLLER"),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "log.dirs": str(self.folder / "data"),
            # one node cannot replicate
            "default.replication.factor": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # the defaults of 50 partitions are for clusters; each costs start-up time here
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # a killed broker may come back only when its old session is over; the default of 9 s is for networks
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
        }
        for listener in self.listeners:
            prefix = f"listener.name.{listener.name.lower()}."
            settings |= {prefix + name: value for name, value in listener.properties.items()}
        settings |= self.properties
        lines = [f"{name}={value}" for name, value in settings.items()]
        (self.folder / "server.properties").write_text("\n".join(lines) + "\n")
        (self.folder / "log4j2.properties").write_text(_LOG4J)
        if not (self.folder / "data" / "meta.properties").exists():
            self._format()

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        classpath = ":".join(str(jar) for jar in kafka_jars(self._message))
        return [
            java_executable(),
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseSerialGC",  # the smallest and quickest to start; pauses do not matter here
            "-Xshare:auto",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            classpath,
            main_class,
            *arguments,
        ]

    def _format(self) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):  # the tool would read it as an option
            cluster = "K" + cluster[1:]
        command = self._java(
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            cluster,
            "--config",
            str(self.folder / "server.properties"),
            *self.format_arguments,
        )
        answer = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False)  # noqa: S603
        if answer.returncode:
            raise ConfigurationError(f"Kafka's storage could not be formatted: {(answer.stderr or answer.stdout).strip()}")

    def _launch(self, deadline: Deadline) -> None:
        self._message(f"Starting Apache Kafka on {self.bootstrap_servers}")
        command = tethered(self._java("kafka.Kafka", str(self.folder / "server.properties")))
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C ends the parent, which then stops the broker in order
            )
        try:
            self._wait_until_it_answers(self._process, deadline)
        except BaseException:
            self.kill()
            raise

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes], deadline: Deadline) -> None:
        while not self._answers():
            if process.poll() is not None:
                raise ConfigurationError(f"the embedded broker ended during its start:\n{self._log_tail()}")
            if deadline.passed:
                raise DeadlineExceeded(f"the embedded broker did not answer in time:\n{self._log_tail()}")
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        host, port = self.bootstrap_servers.split(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            admin = KafkaAdminClient(
                bootstrap_servers=self.bootstrap_servers, bootstrap_timeout_ms=2_000, request_timeout_ms=2_000
            )
        except (OSError, KafkaError):
            return False
        try:
            with contextlib.closing(admin):
                admin.list_topics()
        except KafkaError:
            return False
        return True

    def _log_tail(self) -> str:
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - 8_192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
