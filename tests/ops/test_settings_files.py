"""Secrets as files, and what is said of settings that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.settings import load_settings


@pytest.fixture(autouse=True)
def nothing_else_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # no .env
    monkeypatch.delenv("INTAKE_SECRETS_DIR", raising=False)


def mounted(folder: Path, **files: str) -> Path:
    """A folder as Kubernetes mounts a secret: files are links into a dated, hidden folder."""
    data = folder / "..2026_11_21"
    data.mkdir(parents=True)
    (folder / "..data").symlink_to(data.name)
    for name, text in files.items():
        (data / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")
    return folder


def test_secrets_are_read_from_a_kubernetes_mount(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = mounted(tmp_path / "secrets", INTAKE_CATALOGUE__API_KEY="qdrant-key\n", INTAKE_STORAGE__SECRET_ACCESS_KEY="s3")
    monkeypatch.setenv("INTAKE_SECRETS_DIR", str(folder))
    settings = load_settings()
    assert settings.catalogue.api_key is not None
    assert settings.catalogue.api_key.get_secret_value() == "qdrant-key"
    assert settings.storage.secret_access_key is not None
    assert "qdrant-key" not in repr(settings)


def test_a_file_and_variables_of_the_same_room_add_up_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = mounted(tmp_path / "secrets", INTAKE_KAFKA__SASL_PASSWORD="from-file", INTAKE_KAFKA__SSL_KEY_PASSWORD="from-file")
    monkeypatch.setenv("INTAKE_SECRETS_DIR", str(folder))
    monkeypatch.setenv("INTAKE_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("INTAKE_KAFKA__SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("INTAKE_KAFKA__SASL_USERNAME", "intake")
    monkeypatch.setenv("INTAKE_KAFKA__SSL_KEY_PASSWORD", "from-environment")
    kafka = load_settings().kafka
    assert kafka.sasl_password is not None
    assert kafka.sasl_password.get_secret_value() == "from-file"
    assert kafka.ssl_key_password is not None
    assert kafka.ssl_key_password.get_secret_value() == "from-environment"


def test_a_secrets_folder_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INTAKE_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INTAKE_KAFKA__SECURITY_PROTOCOL", "hunter2-secret"),
        ("INTAKE_STREAM__BATCH_SIZE", "hunter2-secret"),
        ("INTAKE_STORAGE__ALLOWED", "hunter2-secret"),
        ("INTAKE_STORAGE", "hunter2-secret"),
        ("INTAKE_KAFKA__BOOTSTRAP", "hunter2-secret"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert name.removeprefix("INTAKE_").split("__")[0].lower() in str(caught.value).lower()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
