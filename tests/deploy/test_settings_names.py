"""Every INTAKE_ name in a file people deploy or read is a setting that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.deploy.checking import DEPLOY, ROOT
from worker.ops.settings_reference import OTHER_VARIABLES, all_settings, markdown, setting_names
from worker.settings import Settings

# A name with a meaning of its own in compose.yaml (the S3 server's and the worker's side share it), and those of the tests.
LOCAL = {"INTAKE_S3_ACCESS_KEY", "INTAKE_S3_SECRET_KEY"}
NAME = re.compile(r"\bINTAKE_[A-Z0-9]+(?:_[A-Z0-9]+)*(?:__[A-Z0-9]+(?:_[A-Z0-9]+)*)*")
FILES = sorted(
    path
    for path in (*DEPLOY.rglob("*"), ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "Makefile")
    if path.is_file() and path.suffix in {"", ".yaml", ".yml", ".md", ".env", ".json", ".sh"}
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(Path(path).relative_to(ROOT)))
def test_every_name_is_a_setting(path: Path) -> None:
    known = setting_names() | LOCAL
    prefixes = {name.rsplit("__", 1)[0] for name in known} | {"INTAKE_"}
    text = path.read_text(encoding="utf-8")
    for match in NAME.finditer(text):
        name = match.group()
        shortened = text[match.end() : match.end() + 5].startswith(("__...", "_...", "..."))
        assert (
            name in known or name.startswith("INTAKE_TEST_") or name == "INTAKE_DATASETS" or (shortened and name in prefixes)
        ), name


def test_a_misspelt_name_would_be_found() -> None:
    assert "INTAKE_KAFKA__BOOTSTRAP_SERVERS" in setting_names()
    assert "INTAKE_KAFKA__BOOTSTRAP_SERVER" not in setting_names()


def test_every_leaf_of_the_tree_is_in_the_reference() -> None:
    names = [setting.variable for setting in all_settings()]
    assert len(names) == len(set(names)) > 60
    assert set(OTHER_VARIABLES) <= setting_names()
    assert "INTAKE_CATALOGUE__HNSW__M" in names
    assert "INTAKE_CATALOGUE__HNSW" in setting_names()


def test_a_group_shows_its_own_defaults_and_not_those_of_its_class() -> None:
    defaults = {setting.variable: setting.default for setting in all_settings()}
    assert (
        defaults["INTAKE_STREAM__INFERENCE_RETRY__INITIAL_S"]
        == f"`{Settings.model_construct().stream.inference_retry.initial_s}`"
    )
    assert defaults["INTAKE_STREAM__TWIN_RETRY__INITIAL_S"] != defaults["INTAKE_STREAM__INFERENCE_RETRY__INITIAL_S"]


def test_secrets_are_marked_and_never_have_a_default() -> None:
    secret = [setting for setting in all_settings() if setting.secret]
    assert {"INTAKE_KAFKA__SASL_PASSWORD", "INTAKE_CATALOGUE__API_KEY"} <= {setting.variable for setting in secret}
    assert {setting.default for setting in secret} == {"unset"}
    assert {setting.kind for setting in secret} == {"secret"}
    assert str(SecretStr("x")) not in markdown()


def test_the_reference_is_current() -> None:
    assert (DEPLOY / "SETTINGS.md").read_text(encoding="utf-8") == markdown(), "make settings"
