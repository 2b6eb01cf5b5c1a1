"""From a manifest to vectors, by the command: exact, in order, robust, resumable."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.lab.conftest import PhotoWriter
from worker.assembly import open_embedder
from worker.cli import app
from worker.embedding import EmbeddedPhoto
from worker.errors import ConfigurationError, ModelError
from worker.imaging.local import LocalPhotos, local_location
from worker.lab.cache import LabCache
from worker.lab.embedding import open_bench
from worker.lab.manifest import Manifest, ManifestLine, read_manifest, write_manifest
from worker.lab.method import parse_method
from worker.lab.models import Workbench
from worker.settings import load_settings
from worker.vision.segmenters import mask_of
from worker.vision.types import ByteArray, Mask


def run_lab(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["lab", *map(str, arguments)], catch_exceptions=True)


@pytest.fixture
def photos(tmp_path: Path, write_photo: PhotoWriter, own_cache: Path) -> Path:
    """A manifest of six photos, one of them not there, one no photo, one named twice."""
    lines = []
    for number in range(3):
        write_photo(tmp_path / "photos" / f"{number}.png", number)
        lines.append(ManifestLine(f"photos/{number}.png", f"a{number}", "catalogue", "studio"))
    (tmp_path / "photos" / "text.jpg").write_text("no photo")
    lines += [
        ManifestLine("photos/missing.jpg", "a0", "query", "phone"),
        ManifestLine("photos/text.jpg", "", "query", "phone"),
        ManifestLine(str(tmp_path / "photos" / "1.png"), "a1", "query", "phone"),
        ManifestLine("s3://not-allowed/x.jpg", "a1", "query", "phone"),
    ]
    write_manifest(tmp_path / "m.csv", lines)
    return tmp_path / "m.csv"


def test_default_gives_exactly_the_workers_vectors(tmp_path: Path, photos: Path) -> None:
    result = run_lab("embed", "--manifest", photos, "--method", "default", "--output", tmp_path / "v.npy")
    assert result.exit_code == 0, result.output
    vectors = np.load(tmp_path / "v.npy")
    assert vectors.dtype == np.float32
    settings = load_settings()
    source = LocalPhotos(settings.imaging.max_bytes)
    with open_embedder(settings) as (_, embedder):
        for number in range(3):
            photo = source.fetch(local_location(tmp_path / "photos" / f"{number}.png"))
            [embedded] = embedder.embed_photos([photo])
            assert isinstance(embedded, EmbeddedPhoto)
            assert np.array_equal(vectors[number], embedded.vector)


def test_rows_follow_the_manifest_and_what_cannot_be_read_is_nan_and_named(tmp_path: Path, photos: Path) -> None:
    result = run_lab("embed", "--manifest", photos, "--method", "none+gist:l2", "--output", tmp_path / "v.npy")
    assert result.exit_code == 0
    vectors = np.load(tmp_path / "v.npy", allow_pickle=False)
    assert vectors.shape == (7, 960)
    assert np.isnan(vectors).all(axis=1).tolist() == [False, False, False, True, True, False, True]
    assert np.array_equal(vectors[1], vectors[5])
    for words in (
        "row 4 (photos/missing.jpg): photo-missing",
        "row 5 (photos/text.jpg): photo-format",
        "row 7 (s3://not-allowed/x.jpg)",
    ):
        assert words in result.stderr
    assert "7 x 960 float32, 3 not readable" in result.stdout


def test_a_manifest_of_which_nothing_can_be_read_gives_nan_of_the_right_shape(tmp_path: Path, own_cache: Path) -> None:
    write_manifest(tmp_path / "m.csv", [ManifestLine("x.jpg", "a", "catalogue", ""), ManifestLine("y.jpg", "a", "query", "")])
    result = run_lab("embed", "-m", tmp_path / "m.csv", "--method", "none+colour-histogram", "-o", tmp_path / "new" / "v.npy")
    assert result.exit_code == 0
    vectors = np.load(tmp_path / "new" / "v.npy")
    assert vectors.shape == (2, 25)
    assert np.isnan(vectors).all()


def test_a_second_run_computes_nothing_and_gives_the_same(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_lab("embed", "-m", photos, "--method", "none+gist:l2", "-o", tmp_path / "1.npy")

    def never(*_arguments: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("worker.lab.descriptors.gist.gist", never)
    result = run_lab("embed", "-m", photos, "--method", "none+gist:cosine", "-o", tmp_path / "2.npy")
    assert result.exit_code == 0, result.output
    assert np.array_equal(np.load(tmp_path / "1.npy"), np.load(tmp_path / "2.npy"), equal_nan=True)
    assert isinstance(
        run_lab("embed", "-m", photos, "--method", "none+gist", "-o", tmp_path / "3.npy", "--no-cache").exception, AssertionError
    )


def test_a_photo_that_changes_under_its_name_gets_its_new_vector(tmp_path: Path, photos: Path, write_photo: PhotoWriter) -> None:
    run_lab("embed", "-m", photos, "--method", "none+gist", "-o", tmp_path / "1.npy")
    write_photo(tmp_path / "photos" / "0.png", 99)
    run_lab("embed", "-m", photos, "--method", "none+gist", "-o", tmp_path / "2.npy")
    one, two = np.load(tmp_path / "1.npy"), np.load(tmp_path / "2.npy")
    assert not np.array_equal(one[0], two[0])
    assert np.array_equal(one[1:3], two[1:3])


def test_methods_that_share_a_segmenter_cut_each_photo_once(tmp_path: Path, photos: Path, own_cache: Path) -> None:
    for method in ("grabcut+gist", "grabcut+colour-histogram"):
        assert run_lab("embed", "-m", photos, "--method", method, "-o", tmp_path / "v.npy").exit_code == 0
    with sqlite3.connect(own_cache) as db:
        assert db.execute("select count(*) from masks").fetchone() == (3,)
        assert db.execute("select count(*) from vectors").fetchone() == (6,)


def test_a_run_that_was_stopped_goes_on_with_what_it_has(
    tmp_path: Path, write_photo: PhotoWriter, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [ManifestLine(str(write_photo(tmp_path / f"{n}.png", n, 64)), f"a{n}", "catalogue", "") for n in range(40)]
    write_manifest(tmp_path / "m.csv", lines)
    from worker.lab.descriptors import gist as module

    real, calls = module.gist, []

    def stopping(rgb: np.ndarray, orientations: tuple[int, ...]) -> np.ndarray:
        calls.append(1)
        if len(calls) == 25:
            raise KeyboardInterrupt
        return real(rgb, orientations)

    monkeypatch.setattr(module, "gist", stopping)
    assert run_lab("embed", "-m", tmp_path / "m.csv", "--method", "none+gist", "-o", tmp_path / "v.npy").exit_code != 0
    assert not (tmp_path / "v.npy").exists()
    stopped = len(calls)
    assert run_lab("embed", "-m", tmp_path / "m.csv", "--method", "none+gist", "-o", tmp_path / "v.npy").exit_code == 0
    assert len(calls) - stopped == 40 - 24  # the 24 before the stop are there
    assert np.isfinite(np.load(tmp_path / "v.npy")).all()


def test_several_processes_use_one_cache(tmp_path: Path) -> None:
    one, two = LabCache(tmp_path), LabCache(tmp_path)
    for number in range(20):
        (one, two)[number % 2].put_vector("m", bytes([number]), np.full(4, number, np.float32), 1.0)
    for number in range(20):
        found = (two, one)[number % 2].vector("m", bytes([number]))
        assert found is not None
        assert found.value[0] == number
    one.close()
    two.close()


def test_what_a_descriptor_sees_can_be_had_as_crops(photos: Path, own_cache: Path) -> None:
    settings = load_settings()
    manifest = read_manifest(photos)
    with open_bench(settings, LabCache(None)) as bench:
        loaded = Workbench(settings).load(parse_method("none+gist"))
        seen = dict(bench.crops(manifest.locations, loaded, lambda _count: None))
    assert len(seen) == 6
    shapes = [crop if isinstance(crop, str) else crop.rgb.shape for crop in seen.values()]
    assert shapes[:3] == [(128, 128, 3)] * 3
    assert str(shapes[3]).startswith("photo-missing")


def test_components_are_learned_from_the_catalogue_alone(tmp_path: Path, photos: Path, write_photo: PhotoWriter) -> None:
    run_lab("embed", "-m", photos, "--method", "none+gist+pca2d", "-o", tmp_path / "1.npy")
    more = tmp_path / "more.csv"
    more.write_text(photos.read_text() + f"{write_photo(tmp_path / 'photos' / '7.png', 7)},,query,phone\n")
    run_lab("embed", "-m", more, "--method", "none+gist+pca2d", "-o", tmp_path / "2.npy")
    one, two = np.load(tmp_path / "1.npy"), np.load(tmp_path / "2.npy")
    assert one.shape == (7, 2)
    assert np.array_equal(one, two[:7], equal_nan=True)
    run_lab("embed", "-m", photos, "--method", "none+gist+pca2d", "--fit", more, "-o", tmp_path / "3.npy")
    assert not np.allclose(one[:3], np.load(tmp_path / "3.npy")[:3])


@pytest.mark.parametrize(
    ("method", "error", "words"),
    [
        ("none+nothing", ConfigurationError, "there is no descriptor 'nothing'"),
        ("nothing+gist", ModelError, "'nothing' is in no registry"),
        ("gist", ConfigurationError, "is not written SEGMENTER"),
        ("none+gist+pca50d", ConfigurationError, "3 photos have only 2 components"),
        ("none+gist+svm", ConfigurationError, "--attributes"),
    ],
)
def test_a_method_that_does_not_exist_or_fit_is_one_clear_error(
    tmp_path: Path, photos: Path, method: str, error: type[Exception], words: str
) -> None:
    result = run_lab("embed", "-m", photos, "--method", method, "-o", tmp_path / "v.npy")
    assert isinstance(result.exception, error)
    assert words in str(result.exception)
    assert not (tmp_path / "v.npy").exists()


def test_the_parts_of_every_method_are_listed() -> None:
    result = run_lab("methods")
    assert result.exit_code == 0
    for name in (
        "grabcut",
        "u2netp",
        "gist",
        "hog",
        "white-box",
        "vgg19",
        "se-resnext50",
        "efficientnet-lite0",
        "pca99",
        "cosine",
    ):
        assert name in result.output


def test_the_command_is_there_without_torch_and_the_plotting_libraries() -> None:
    import subprocess
    import sys

    code = (
        "import sys, worker.cli.lab, worker.cli\n"
        "heavy = [n for n in ('torch', 'sklearn', 'skimage', 'matplotlib', 'timm') if n in sys.modules]\n"
        "print(heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_evaluate_writes_every_figure_and_a_page_and_the_same_again(tmp_path: Path, photos: Path) -> None:
    arguments: list[str | Path] = ["evaluate", "-m", photos, "--method", "none+gist:l2", "--method", "none+colour-histogram"]
    result = run_lab(*arguments, "--json", tmp_path / "1.json", "--html", tmp_path / "r.html", "--threshold", "none+gist:l2=-0.5")
    assert result.exit_code == 0, result.output
    first = json.loads((tmp_path / "1.json").read_text())
    assert [row["method"] for row in first["methods"]] == ["none+gist:l2", "none+colour-histogram"]
    [kind] = first["methods"][0]["kinds"]
    assert kind["kind"] == "phone"
    assert kind["queries"] == 3
    assert set(kind["top"]) >= {str(k) for k in (*range(1, 11), 20, 30, 40, 50)}
    # Two of the three cannot be read, and the third is itself in the catalogue, where it does not find itself.
    assert kind["top"]["50"] == 0
    assert first["methods"][0]["unreadable"] == 3
    page = (tmp_path / "r.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert "data:image/jpeg;base64," in page
    assert page.count("<svg viewBox") == 3
    assert run_lab(*arguments, "--json", tmp_path / "2.json", "--threshold", "none+gist:l2=-0.5").exit_code == 0
    assert json.loads((tmp_path / "2.json").read_text()) == first
    assert "by chance" in result.output
    assert "Cost of a photo" in result.output


def test_evaluate_needs_both_roles_and_thresholds_of_its_own_methods(
    tmp_path: Path, write_photo: PhotoWriter, own_cache: Path
) -> None:
    photo = write_photo(tmp_path / "a.png", 1)
    write_manifest(tmp_path / "m.csv", [ManifestLine(str(photo), "a", "catalogue", "")])
    result = run_lab("evaluate", "-m", tmp_path / "m.csv", "--method", "none+gist")
    assert isinstance(result.exception, ConfigurationError)
    assert "both roles" in str(result.exception)
    for wrong in ("none+gist", "none+hog=1", "none+gist=x"):
        assert run_lab("evaluate", "-m", tmp_path / "m.csv", "--method", "none+gist", "--threshold", wrong).exit_code == 2


def test_a_cache_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "lab.sqlite").write_bytes(b"this is no database, it is a text of some length" * 40)
    with pytest.raises(ConfigurationError, match="--no-cache"):
        LabCache(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        LabCache(tmp_path / "file")


def test_the_cache_keeps_masks_without_loss_and_vectors_bit_by_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    alpha, vector = rng.integers(0, 256, (37, 53), np.uint8), rng.normal(size=9).astype(np.float32)
    cache = LabCache(tmp_path)
    cache.put_mask("s", b"1", alpha, 12.5)
    cache.put_vector("m", b"1", vector, 3.5)
    cache.close()
    again = LabCache(tmp_path)
    kept, found = again.mask("s", b"1"), again.vector("m", b"1")
    assert kept is not None
    assert found is not None
    assert np.array_equal(kept[0], alpha)
    assert (kept[1], again.mask_ms("s", b"1"), found.ms) == (12.5, 12.5, 3.5)
    assert np.array_equal(found.value, vector)
    assert again.mask("other", b"1") is None
    assert again.vector("m", b"2") is None
    again.close()


def test_weights_are_of_a_network_there_is_and_of_a_file_that_is_there(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"")
    for wrong in ("resnet18", f"resnet18={tmp_path / 'none.pth'}", f"resnet81={tmp_path / 'w.pth'}"):
        result = run_lab("embed", "-m", photos, "--method", "none+gist", "-o", tmp_path / "v.npy", "--weights", wrong)
        assert result.exit_code == 2, wrong


@dataclass
class HalvesByCategory:
    """Cuts out the upper half for a shirt, the lower half for trousers and everything where nothing is asked for."""

    asked: list[str | None] = field(default_factory=list)
    model_id: str = "halves"

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        [photo], [category] = photos, categories or [None]
        self.asked.append(category)
        alpha = np.full(photo.shape[:2], 255, np.uint8)
        middle = len(alpha) // 2
        if category == "Shirt":
            alpha[middle:] = 0
        if category == "trousers":
            alpha[:middle] = 0
        return [mask_of(alpha)]


@pytest.mark.parametrize("knows_classes", [True, False])
def test_the_garment_a_line_s_category_names_is_cut_out_and_kept_as_such(
    tmp_path: Path, write_photo: PhotoWriter, knows_classes: bool
) -> None:
    photo = write_photo(tmp_path / "outfit.png", 1)
    loaded = Workbench(load_settings()).load(parse_method("none+colour-histogram"))
    cutter = HalvesByCategory()
    loaded = replace(loaded, segmenter=cutter, knows_classes=knows_classes)
    vectors = {}
    cache = tmp_path / "cache"
    for category in ("Shirt", "trousers", "", "Shirt", "shirts"):
        manifest = Manifest((ManifestLine(str(photo), "a", "catalogue", "studio", category),), tmp_path)
        with open_bench(load_settings(), LabCache(cache), manifest.categories) as bench:
            vectors[category] = bench.embed(manifest.locations, loaded, lambda _count: None).vectors[0]
    if knows_classes:
        assert cutter.asked == ["Shirt", "trousers", None]  # the rest is in the cache, by class and not by word
        assert len({vector.tobytes() for vector in vectors.values()}) == 3
        assert np.array_equal(vectors["Shirt"], vectors["shirts"])
    else:
        assert cutter.asked == ["Shirt"]
        assert len({vector.tobytes() for vector in vectors.values()}) == 1


def test_a_location_that_is_named_twice_has_its_first_category(tmp_path: Path) -> None:
    lines = [ManifestLine("a.jpg", "a", "catalogue", "studio", category) for category in ("", "Dress", "Skirt")]
    manifest = Manifest((*lines, ManifestLine("b.jpg", "b", "catalogue", "studio")), tmp_path)
    assert manifest.categories == {str(tmp_path / "a.jpg"): "Dress"}
