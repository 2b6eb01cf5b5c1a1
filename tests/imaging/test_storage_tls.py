"""S3 over TLS: a certificate that is right, of a stranger, and expired."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.infra.s3 import new_bucket, running_gateway
from worker.errors import StorageUnavailable
from worker.events import PhotoLocation
from worker.imaging.storage import S3Photos
from worker.imaging.store import PhotoStore

pytestmark = pytest.mark.integration

DAY = dt.timedelta(days=1)


def self_signed(folder: Path, name: str, days_valid: int) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that ends in `days_valid` days (negative: it has ended), and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + days_valid * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files


def test_the_right_certificate_is_believed_and_a_strangers_is_not(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "right", 10)
    stranger, _ = self_signed(tmp_path, "stranger", 10)
    with running_gateway(certificate, key) as gateway:
        bucket = new_bucket(gateway.endpoint)
        PhotoStore(gateway.endpoint.settings()).put(bucket, "a", b"photo", "image/jpeg")
        location = PhotoLocation(bucket=bucket, key="a")
        assert S3Photos(gateway.endpoint.settings(bucket), 1000).fetch(location).data == b"photo"
        for bundle in (str(stranger), None):
            distrustful = replace(gateway.endpoint, ca_bundle=bundle).settings(bucket, max_attempts=1)
            with pytest.raises(StorageUnavailable, match="INTAKE_STORAGE__CA_BUNDLE"):
                S3Photos(distrustful, 1000).fetch(location)


def test_an_expired_certificate_is_a_retry_that_names_it(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "expired", -1)
    with running_gateway(certificate, key) as gateway:
        settings = gateway.endpoint.settings("bucket", max_attempts=1)
        with pytest.raises(StorageUnavailable, match="expired"):
            S3Photos(settings, 1000).fetch(PhotoLocation(bucket="bucket", key="a"))
