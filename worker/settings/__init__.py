"""All settings: one tree, nested by room, read from the environment (``INTAKE_...``, ``__`` between levels) and a .env file.

``INTAKE_KAFKA__BOOTSTRAP_SERVERS=broker:9092`` sets ``Settings.kafka.bootstrap_servers``. Secrets are `SecretStr`: they print as
asterisks, and nothing but the client that needs one calls ``get_secret_value()``. A file per secret (Kubernetes mounts), named as
the variable it stands for (``INTAKE_KAFKA__SASL_PASSWORD``), is read from the folder ``INTAKE_SECRETS_DIR``; the environment wins.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from worker.errors import ConfigurationError
from worker.settings.catalogue import CatalogueSettings
from worker.settings.imaging import ImagingSettings, StorageSettings
from worker.settings.matching import MatchingSettings
from worker.settings.ops import OpsSettings
from worker.settings.serve import ServeSettings
from worker.settings.stream import KafkaSettings, StreamSettings
from worker.settings.vision import VisionSettings

__all__ = [
    "CatalogueSettings",
    "ImagingSettings",
    "KafkaSettings",
    "MatchingSettings",
    "OpsSettings",
    "ServeSettings",
    "Settings",
    "StorageSettings",
    "StreamSettings",
    "VisionSettings",
    "load_settings",
]


class Settings(BaseSettings):
    """The whole tree. Frozen: a running worker's settings do not change."""

    model_config = SettingsConfigDict(
        env_prefix="INTAKE_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
        secrets_dir_missing="error",
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="Where Kafka is and how to speak to it.")
    stream: StreamSettings = Field(default_factory=StreamSettings, description="Topics, batches, retries, deadlines.")
    storage: StorageSettings = Field(default_factory=StorageSettings, description="S3.")
    imaging: ImagingSettings = Field(default_factory=ImagingSettings, description="Limits and decoding of photos.")
    vision: VisionSettings = Field(default_factory=VisionSettings, description="Models and ONNX Runtime.")
    catalogue: CatalogueSettings = Field(default_factory=CatalogueSettings, description="The vector index.")
    matching: MatchingSettings = Field(default_factory=MatchingSettings, description="From candidates to a decision.")
    ops: OpsSettings = Field(default_factory=OpsSettings, description="Logs, metrics, traces, health.")
    serve: ServeSettings = Field(default_factory=ServeSettings, description="The service for one photo.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the signature of pydantic-settings
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Files of secrets are nested by ``__`` like variables (the library's default source reads only the top level)."""
        return init_settings, env_settings, dotenv_settings, NestedSecretsSettingsSource(file_secret_settings)


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` (room name to dict or model) win over the environment.

    Raises:
        ConfigurationError: a setting is missing or wrong; the message names it as the environment variable it is, and never
            shows a value.
    """
    secrets_dir = os.environ.get("INTAKE_SECRETS_DIR")
    try:
        return Settings(_secrets_dir=Path(secrets_dir) if secrets_dir else None, **overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"INTAKE_{'__'.join(str(part) for part in e['loc']).upper()}: {e['msg']}" for e in error.errors(include_input=False)
        ]
        raise ConfigurationError("settings are wrong: " + "; ".join(lines)) from None
    except SettingsError as error:
        # Says which room or folder, never a value: what could not be parsed is only in the cause, which is dropped.
        raise ConfigurationError(f"settings are wrong: {error}") from None
