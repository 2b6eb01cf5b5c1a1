"""A broker that trusts nobody: TLS, SCRAM, PLAIN, OAUTHBEARER, and an authorizer that denies what no ACL allows."""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from worker.embedded.kafka import EmbeddedKafka, Listener

ACL_FILE = Path(__file__).parents[2] / "deploy" / "kafka" / "acls.tsv"
PASSWORD = "a-scram-password"
USERS = ("worker", "submitter", "operator")
_JAAS = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Grant:
    """A line of the ACL file."""

    role: str
    resource: str
    pattern: str
    name: str
    operation: str


def grants(role: str) -> list[Grant]:
    """What the ACL file grants a role."""
    with ACL_FILE.open(newline="") as file:
        return [each for row in csv.DictReader(file, delimiter="\t") if (each := Grant(**row)).role == role]


class SecuredKafka:
    """The broker, and the admin's hands on it (through a listener only the tests know).

    Listeners: ``SCRAM`` (SASL_SSL), ``EXPIRED`` (the same with an expired certificate), ``PLAINSASL`` and ``OAUTH`` (SASL_PLAINTEXT).
    Users `USERS` have the password `PASSWORD`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = _Authority()
        self.ca_file = folder / "ca.pem"
        self.other_ca_file = folder / "other-ca.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file.write_bytes(authority.pem)
        self.other_ca_file.write_bytes(_Authority().pem)
        good, expired = folder / "good.pem", folder / "expired.pem"
        good.write_bytes(authority.server(timedelta(days=1)))
        expired.write_bytes(authority.server(timedelta(hours=-1)))
        scram = {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "scram-sha-512.sasl.jaas.config": f"{_JAAS}.scram.ScramLoginModule required;",
            "ssl.keystore.type": "PEM",
        }
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
        self.broker = EmbeddedKafka(
            folder / "broker",
            properties={
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",  # the plaintext listener, which only the tests know
                "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
            },
            listeners=(
                Listener("SCRAM", "SASL_SSL", scram | {"ssl.keystore.location": str(good)}),
                Listener("EXPIRED", "SASL_SSL", scram | {"ssl.keystore.location": str(expired)}),
                Listener(
                    "PLAINSASL",
                    "SASL_PLAINTEXT",
                    {
                        "sasl.enabled.mechanisms": "PLAIN",
                        "plain.sasl.jaas.config": f"{_JAAS}.plain.PlainLoginModule required {users};",
                    },
                ),
                Listener(
                    "OAUTH",
                    "SASL_PLAINTEXT",
                    {
                        "sasl.enabled.mechanisms": "OAUTHBEARER",
                        "oauthbearer.sasl.jaas.config": f"{_JAAS}.oauthbearer.OAuthBearerLoginModule required "
                        'unsecuredLoginStringClaim_sub="broker";',
                    },
                ),
            ),
            format_arguments=[
                argument for user in USERS for argument in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]")
            ],
        )

    def start(self) -> SecuredKafka:
        """Start the broker."""
        self.broker.start()
        return self

    def stop(self) -> None:
        """Stop it."""
        self.broker.stop()

    def set_grants(self, user: str, allowed: Sequence[Grant]) -> None:
        """Let `user` do exactly what is listed, from now on."""
        everything = ACLFilter(
            f"User:{user}",
            "*",
            ACLOperation.ANY,
            ACLPermissionType.ANY,
            ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
        )
        admin = KafkaAdminClient(bootstrap_servers=self.broker.bootstrap_servers)
        try:
            admin.delete_acls([everything])
            if allowed:
                admin.create_acls(
                    [
                        ACL(
                            f"User:{user}",
                            "*",
                            ACLOperation[each.operation],
                            ACLPermissionType.ALLOW,
                            ResourcePattern(ResourceType[each.resource], each.name, ACLResourcePatternType[each.pattern]),
                        )
                        for each in allowed
                    ]
                )
        finally:
            admin.close()


class _Authority:
    """A certificate authority for an hour."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, valid_for: timedelta) -> bytes:
        """Key (PKCS#8) and certificate of the broker as one PEM file, as Kafka wants them."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + valid_for)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return private + certificate.public_bytes(serialization.Encoding.PEM)
