from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from tests.infra.qdrant_process import QdrantStandin
from worker.catalogue.live import ensure_live_catalogue, open_catalogue_admin
from worker.doctor.catalogue_checks import check_catalogue, collection_findings
from worker.doctor.findings import Finding, Level
from worker.embedded.kafka import free_port
from worker.errors import AccessDenied, CatalogueUnavailable
from worker.settings import CatalogueSettings, Settings
from worker.vision import model_fingerprint


def settings(catalogue: CatalogueSettings) -> Settings:
    return Settings(_env_file=None, catalogue=catalogue)


def of_level(findings: list[Finding], level: Level) -> str:
    return " | ".join(finding.message for finding in findings if finding.level is level)


# ---- against a server


@pytest.mark.integration
def test_no_catalogue_yet_is_a_warning_that_says_how_to_make_one(qdrant_settings: CatalogueSettings) -> None:
    findings = list(check_catalogue(settings(qdrant_settings)))
    assert "Qdrant " in of_level(findings, Level.OK)
    assert "no catalogue yet" in of_level(findings, Level.WARN)
    assert of_level(findings, Level.FAIL) == ""


@pytest.mark.integration
def test_looking_makes_nothing(qdrant_settings: CatalogueSettings) -> None:
    list(check_catalogue(settings(qdrant_settings)))
    with closing(open_catalogue_admin(qdrant_settings)) as admin:
        assert admin.alias_target() is None


@pytest.mark.integration
def test_the_catalogue_of_the_configured_models_is_well(qdrant_settings: CatalogueSettings) -> None:
    whole = settings(qdrant_settings)
    with closing(open_catalogue_admin(qdrant_settings)) as admin:
        ensure_live_catalogue(admin, model_fingerprint(whole.vision), 4).close()
    findings = list(check_catalogue(whole))
    assert "0 points of dimension 4, 0 pending" in of_level(findings, Level.OK)
    assert "no settled point" in of_level(findings, Level.WARN)
    assert of_level(findings, Level.FAIL) == ""


@pytest.mark.integration
def test_a_catalogue_of_other_models_is_a_failure_that_says_what_to_do(qdrant_settings: CatalogueSettings) -> None:
    with closing(open_catalogue_admin(qdrant_settings)) as admin:
        ensure_live_catalogue(admin, "0123456789ab", 4).close()
    *_, last = check_catalogue(settings(qdrant_settings))
    assert last.level is Level.FAIL
    assert "0123456789ab" in last.message
    assert "reindex" in last.advice


@pytest.mark.integration
def test_a_server_that_fails_refuses_or_is_no_qdrant_is_said(own_qdrant_standin: QdrantStandin) -> None:
    for kind, error in (("error-503", CatalogueUnavailable), ("html", CatalogueUnavailable), ("forbidden", AccessDenied)):
        own_qdrant_standin.fault(kind)
        with pytest.raises(error):
            list(check_catalogue(settings(own_qdrant_standin.settings())))
        own_qdrant_standin.heal()


def test_a_server_that_is_away_is_said() -> None:
    nowhere = CatalogueSettings(url=f"http://127.0.0.1:{free_port()}", timeout_s=1)
    with pytest.raises(CatalogueUnavailable, match="cannot be reached"):
        list(check_catalogue(settings(nowhere)))


@pytest.mark.integration
def test_the_embedded_index_is_looked_at_too(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    edge = CatalogueSettings(engine="edge", path=tmp_path / "index")
    whole = settings(edge)
    with closing(open_catalogue_admin(edge)) as admin:
        ensure_live_catalogue(admin, model_fingerprint(whole.vision), 4).close()
    assert "0 points of dimension 4" in of_level(list(check_catalogue(whole)), Level.OK)


# ---- what is said of a collection's configuration


def collection(
    *,
    copies: int = 1,
    acknowledged: int | None = None,
    strict: dict[str, Any] | None = None,
    unoptimized: bool = False,
    **changes: Any,
) -> models.CollectionInfo:
    params: dict[str, Any] = {"vectors": {"size": 4, "distance": "Cosine"}, "replication_factor": copies}
    if acknowledged is not None:
        params["write_consistency_factor"] = acknowledged
    return models.CollectionInfo.model_validate(
        {
            "status": "green",
            "optimizer_status": "ok",
            "points_count": 0,
            "segments_count": 1,
            "payload_schema": {name: {"data_type": "keyword", "points": 0} for name in ("arrival_id", "article_id", "state")},
            "config": {
                "params": params,
                "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
                "optimizer_config": {
                    "deleted_threshold": 0.2,
                    "vacuum_min_vector_number": 1000,
                    "default_segment_number": 0,
                    "flush_interval_sec": 5,
                    "prevent_unoptimized": unoptimized,
                },
                "strict_mode_config": strict,
            },
        }
        | changes
    )


def test_an_ordinary_collection_gives_no_cause_for_complaint() -> None:
    assert list(collection_findings(CatalogueSettings(), collection())) == []
    assert list(collection_findings(CatalogueSettings(), collection(copies=3, acknowledged=2))) == []
    assert list(collection_findings(CatalogueSettings(), collection(strict={"enabled": False, "max_query_limit": 1}))) == []


@pytest.mark.parametrize(
    ("info", "catalogue", "level", "said"),
    [
        (collection(unoptimized=True), {}, Level.FAIL, "hides new points"),
        (collection(copies=3, acknowledged=2), {"write_ordering": "weak"}, Level.FAIL, "write_ordering=weak"),
        (collection(copies=3, acknowledged=2), {"read_consistency": "one"}, Level.FAIL, "read_consistency=one"),
        (collection(copies=3, acknowledged=1), {}, Level.FAIL, "acknowledged by 1 of 3"),
        (collection(copies=2), {}, Level.FAIL, "acknowledged by 1 of 2"),
        (collection(strict={"enabled": True, "max_query_limit": 20}), {}, Level.FAIL, "allows 20 points"),
        (collection(strict={"enabled": True, "read_rate_limit": 100}), {}, Level.WARN, "limits requests"),
        (
            collection(strict={"enabled": True, "unindexed_filtering_retrieve": False}, payload_schema={}),
            {},
            Level.FAIL,
            "arrival_id, article_id, state have none",
        ),
        (collection(status="red"), {}, Level.FAIL, "red"),
        (collection(status="yellow"), {}, Level.OK, "being built"),
    ],
)
def test_a_collection_that_breaks_a_promise_is_named(
    info: models.CollectionInfo, catalogue: dict[str, Any], level: Level, said: str
) -> None:
    (finding,) = collection_findings(CatalogueSettings(**catalogue), info)
    assert finding.level is level
    assert said in finding.message
    assert finding.advice or level is Level.OK
