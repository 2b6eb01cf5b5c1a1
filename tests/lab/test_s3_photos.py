"""A manifest whose photos lie in S3, and S3 that fails."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.infra.s3 import new_bucket
from tests.lab.conftest import PhotoWriter
from worker.embedded.s3 import S3Endpoint
from worker.imaging.store import PhotoStore
from worker.lab.cache import LabCache
from worker.lab.embed import FitOptions, embed_manifest, unread_lines
from worker.lab.embedding import open_bench
from worker.lab.manifest import ManifestLine, read_manifest, write_manifest
from worker.lab.method import parse_method
from worker.lab.models import Workbench
from worker.settings import load_settings

pytestmark = pytest.mark.integration


def test_photos_in_s3_have_the_vectors_of_the_same_local_files(
    s3_plain: S3Endpoint, tmp_path: Path, write_photo: PhotoWriter
) -> None:
    bucket = new_bucket(s3_plain)
    settings = load_settings(storage=s3_plain.settings(bucket), imaging={"isolation": "none"})
    local = write_photo(tmp_path / "a.png", 1)
    store = PhotoStore(settings.storage)
    store.put(bucket, "in/a.png", local.read_bytes(), "image/png")
    store.close()
    paths = [str(local), f"s3://{bucket}/in/a.png", f"s3://{bucket}/in/missing.png", "s3://another/a.png"]
    write_manifest(tmp_path / "m.csv", [ManifestLine(path, "a", "catalogue", "") for path in paths])
    manifest = read_manifest(tmp_path / "m.csv")
    with open_bench(settings, LabCache(None)) as bench:
        embedded = embed_manifest(manifest, Workbench(settings).load(parse_method("none+gist")), bench, FitOptions())
    assert np.isfinite(embedded.vectors[0]).all()
    assert np.array_equal(embedded.vectors[0], embedded.vectors[1])
    assert np.isnan(embedded.vectors[2:]).all()
    reasons = {number: why for number, _, why in unread_lines(embedded)}
    assert reasons[3].startswith("photo-missing")
    assert reasons[4].startswith("location-forbidden")


def test_s3_that_does_not_answer_is_asked_again_and_then_named(
    tmp_path: Path, write_photo: PhotoWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = {
        "endpoint_url": "http://127.0.0.1:9",  # the discard port: nobody listens
        "path_style": True,
        "access_key_id": "a",
        "secret_access_key": "b",
        "allowed": [{"bucket": "bucket"}],
        "max_attempts": 1,
        "connect_timeout_s": 0.5,
    }
    settings = load_settings(storage=storage, imaging={"isolation": "none"})
    pauses: list[float] = []
    monkeypatch.setattr("worker.lab.embedding.time", SimpleNamespace(sleep=pauses.append, perf_counter=time.perf_counter))
    write_manifest(
        tmp_path / "m.csv",
        [
            ManifestLine("s3://bucket/a.png", "a", "catalogue", ""),
            ManifestLine(str(write_photo(tmp_path / "b.png", 2)), "b", "catalogue", ""),
        ],
    )
    with open_bench(settings, LabCache(None)) as bench:
        loaded = Workbench(settings).load(parse_method("none+gist"))
        embedded = embed_manifest(read_manifest(tmp_path / "m.csv"), loaded, bench, FitOptions())
    assert pauses == [1.0, 4.0]
    assert np.isnan(embedded.vectors[0]).all()
    assert np.isfinite(embedded.vectors[1]).all()
    assert len(unread_lines(embedded)) == 1
