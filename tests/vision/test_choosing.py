"""The garment in question, on drawn shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError

from tests.vision.conftest import SIDE, row_of, save
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.simulate.categories import Category
from worker.vision.choosing import garment_in_question, united
from worker.vision.garment_classes import (
    ACCESSORY,
    BACKGROUND,
    CLASSES,
    FOOTWEAR,
    FULL_BODY,
    GARMENTS,
    LOWER,
    OUTERWEAR,
    PERSON,
    UPPER,
    class_of_category,
)
from worker.vision.load import load_segmenter
from worker.vision.rows import InputSpec, ModelRow, OutputSpec
from worker.vision.segmenters import OnnxSegmenter, shares_of
from worker.vision.store import ModelStore
from worker.vision.types import ByteArray, FloatArray

HEAD, TOP, LEGS, SHOES = (slice(8, 20), slice(20, 50), slice(50, 80), slice(80, 88))


def drawn(**places: tuple[slice, slice]) -> FloatArray:
    """(classes, 100, 80) shares: background, and each class in its box; nearly sure everywhere."""
    label = np.full((100, 80), BACKGROUND)
    for name, (rows, columns) in places.items():
        label[rows, columns] = CLASSES.index(name.rstrip("_").replace("full_body", "full-body"))
    shares = np.full((len(CLASSES), 100, 80), 0.02, np.float32)
    np.put_along_axis(shares, label[None], 1 - 0.02 * (len(CLASSES) - 1), axis=0)
    return shares


def worn(upper: str = "upper", lower: str = "lower") -> FloatArray:
    middle = slice(25, 55)
    return drawn(**{"person": (HEAD, middle), upper: (TOP, middle), lower: (LEGS, middle), "footwear": (SHOES, middle)})


def taken(plane: FloatArray, rows: slice) -> float:
    """Share of the wearer's middle that is taken in these rows."""
    return float((plane[rows, 28:52] > 0.5).mean())


@pytest.mark.parametrize(
    ("category", "wanted"),
    [
        ("T-Shirts", UPPER),
        ("t shirt", UPPER),
        ("Shirt dress", FULL_BODY),
        ("DRESSES", FULL_BODY),
        ("long-sleeve", UPPER),
        ("Longsleeve", UPPER),
        ("jeans", LOWER),
        ("Trousers", LOWER),
        ("women's skirts", LOWER),
        ("Outwear", OUTERWEAR),
        ("leather jackets", OUTERWEAR),
        ("Shoes", FOOTWEAR),
        ("dress shoes", FOOTWEAR),
        ("handbags", ACCESSORY),
        ("Body", FULL_BODY),
        ("full body", FULL_BODY),
        ("Accessories", ACCESSORY),
        ("Undershirt", UPPER),
        ("Hoodies", UPPER),
        ("scarves", ACCESSORY),
        ("", None),
        (None, None),
        ("something else", None),
    ],
)
def test_a_category_s_words_say_which_class_is_wanted(category: str | None, wanted: int | None) -> None:
    assert class_of_category(category) == wanted


@pytest.mark.parametrize("category", list(Category))
def test_every_category_of_the_simulator_wants_a_class(category: Category) -> None:
    assert class_of_category(category) in GARMENTS


def test_of_a_worn_outfit_the_category_s_garment_is_cut_out_and_nothing_else() -> None:
    for category, rows, others in (
        ("shirt", TOP, (HEAD, LEGS, SHOES)),
        ("jeans", LEGS, (HEAD, TOP, SHOES)),
        ("shoes", SHOES, (HEAD, TOP, LEGS)),
    ):
        plane = garment_in_question(worn(), category)
        assert taken(plane, rows) > 0.95
        assert max(taken(plane, other) for other in others) < 0.05


def test_a_person_is_never_the_garment() -> None:
    for category in (None, "shirt", "dress", "hat", "nonsense"):
        assert taken(garment_in_question(worn(), category), HEAD) == 0


def test_without_a_category_all_that_is_worn_is_cut_out_and_not_its_wearer() -> None:
    plane = garment_in_question(worn(), None)
    assert taken(plane, TOP) > 0.95
    assert taken(plane, LEGS) > 0.95
    assert taken(plane, HEAD) == 0


def test_shoes_are_part_of_no_outfit_unless_they_are_what_is_shown() -> None:
    top, shoes = (slice(20, 70), slice(20, 60)), (slice(85, 95), slice(20, 60))
    head = (slice(2, 12), slice(30, 50))
    plane = garment_in_question(drawn(person=head, upper=top, footwear=shoes), None)
    assert taken(plane, slice(25, 65)) > 0.95
    assert taken(plane, slice(86, 94)) < 0.05
    plane = garment_in_question(drawn(person=head, upper=(slice(20, 24), slice(20, 60)), footwear=shoes), None)
    assert taken(plane, slice(86, 94)) > 0.95


def test_a_sweater_that_the_network_takes_for_a_jacket_is_found_all_the_same() -> None:
    plane = garment_in_question(worn(upper="outerwear"), "sweater")
    assert taken(plane, TOP) > 0.95
    assert taken(plane, LEGS) < 0.05


def test_a_dress_taken_for_top_and_skirt_is_both() -> None:
    plane = garment_in_question(worn(), "dress")
    assert taken(plane, TOP) > 0.95
    assert taken(plane, LEGS) > 0.95
    assert taken(plane, SHOES) < 0.05


def test_a_wanted_garment_that_is_not_there_gives_all_garments() -> None:
    plane = garment_in_question(worn(), "bag")
    assert min(taken(plane, rows) for rows in (TOP, LEGS, SHOES)) > 0.95


def test_a_garment_by_itself_is_whole_whatever_its_parts_are_taken_for() -> None:
    # A T-shirt whose sleeve is taken for a jacket's and whose print for a bag.
    shares = drawn(upper=(TOP, slice(20, 60)), outerwear=(TOP, slice(60, 70)), accessory=(slice(30, 36), slice(36, 42)))
    for category in (None, "t-shirt"):
        plane = garment_in_question(shares, category)
        assert float((plane[TOP, 20:70] > 0.5).mean()) > 0.95


def test_of_two_garments_on_a_bed_the_wanted_one_is_cut_out() -> None:
    shares = drawn(upper=(slice(5, 45), slice(10, 70)), lower=(slice(55, 95), slice(10, 70)))
    plane = garment_in_question(shares, "trousers")
    assert float((plane[60:90, 12:68] > 0.5).mean()) > 0.95
    assert float((plane[8:42, 12:68] > 0.5).mean()) < 0.05


def test_without_a_category_the_largest_most_central_thing_is_cut_out_and_a_pair_stays_a_pair() -> None:
    shares = drawn(upper=(slice(20, 80), slice(15, 60)), accessory=(slice(2, 12), slice(68, 78)))
    plane = garment_in_question(shares, None)
    assert float((plane[22:78, 17:58] > 0.5).mean()) > 0.95
    assert float(plane[2:12, 68:78].max()) < 0.5
    shoes = drawn(footwear=(slice(30, 70), slice(10, 35)), footwear_=(slice(30, 70), slice(45, 70)))
    plane = garment_in_question(shoes, None)
    assert float((plane[32:68, 12:33] > 0.5).mean()) > 0.95
    assert float((plane[32:68, 47:68] > 0.5).mean()) > 0.95


def test_nothing_at_all_stays_nothing() -> None:
    for category in (None, "shirt"):
        assert garment_in_question(drawn(), category).max() < 0.5
        assert garment_in_question(drawn(person=(TOP, LEGS)), category).max() < 0.5


def coloured(shares: FloatArray, **colours: tuple[int, int, int]) -> ByteArray:
    """A photo, twice the size of the shares, grey but where a named class is."""
    photo = np.full((*shares.shape[1:], 3), 90, np.uint8)
    for name, colour in colours.items():
        photo[shares.argmax(axis=0) == CLASSES.index(name.replace("full_body", "full-body"))] = colour
    return np.asarray(photo.repeat(2, axis=0).repeat(2, axis=1), np.uint8)


def sleeved() -> FloatArray:
    """A top whose sleeves are taken for a jacket's: as much of them as of the top."""
    return drawn(
        person=(HEAD, slice(30, 50)), outerwear=(TOP, slice(14, 66)), upper=(TOP, slice(28, 52)), lower=(LEGS, slice(25, 55))
    )


def test_sleeves_of_the_top_s_colour_are_the_top_s() -> None:
    shares = sleeved()
    whole = united(shares, coloured(shares, upper=(200, 40, 40), outerwear=(180, 32, 34), lower=(30, 30, 90)))
    for category in ("sweater", "jacket"):
        plane = garment_in_question(whole, category)
        assert float((plane[TOP, 14:66] > 0.5).mean()) > 0.95
        assert taken(plane, LEGS) < 0.05
    np.testing.assert_allclose(whole.sum(axis=0), shares.sum(axis=0), atol=1e-5)


def test_a_jacket_of_another_colour_is_not_the_top() -> None:
    shares = sleeved()
    photo = coloured(shares, upper=(240, 240, 240), outerwear=(20, 30, 90), lower=(30, 30, 90))
    assert (united(shares, photo) == shares).all()
    plane = garment_in_question(united(shares, photo), "shirt")
    assert taken(plane, TOP) > 0.95
    assert float((plane[TOP, 14:26] > 0.5).mean()) < 0.05


def test_trousers_of_the_jacket_s_colour_stay_trousers() -> None:
    shares = sleeved()
    whole = united(shares, coloured(shares, upper=(240, 240, 240), outerwear=(20, 30, 90), lower=(20, 30, 90)))
    assert taken(garment_in_question(whole, "jacket"), LEGS) < 0.05


def test_a_dress_of_one_colour_that_is_taken_for_three_things_is_one() -> None:
    shares = drawn(
        person=(HEAD, slice(30, 50)),
        upper=(TOP, slice(25, 55)),
        full_body=(slice(50, 60), slice(25, 55)),
        lower=(slice(60, 80), slice(25, 55)),
    )
    colour = (90, 140, 90)
    whole = united(shares, coloured(shares, upper=colour, full_body=colour, lower=colour))
    plane = garment_in_question(whole, "dress")
    assert min(taken(plane, rows) for rows in (TOP, LEGS)) > 0.95
    assert taken(plane, HEAD) == 0


def test_a_scarf_by_itself_is_whole_though_half_of_it_is_taken_for_a_top() -> None:
    shares = drawn(accessory=(slice(20, 50), slice(20, 60)), upper=(slice(50, 80), slice(20, 60)))
    whole = united(shares, coloured(shares, accessory=(120, 160, 200), upper=(124, 166, 205)))
    assert float((garment_in_question(whole, "scarf")[22:78, 22:58] > 0.5).mean()) > 0.95
    apart = united(shares, coloured(shares, accessory=(120, 160, 200), upper=(200, 30, 30)))
    assert float((garment_in_question(apart, "scarf")[55:78, 22:58] > 0.5).mean()) < 0.05


def test_a_strip_of_the_wanted_class_is_a_doubt_about_its_kin() -> None:
    shares = drawn(person=(HEAD, slice(30, 50)), outerwear=(slice(20, 80), slice(20, 60)), upper=(slice(40, 46), slice(30, 50)))
    plane = garment_in_question(shares, "sweater")
    assert float((plane[22:78, 22:28] > 0.5).mean()) > 0.95


@pytest.fixture
def class_row(tmp_path: Path) -> ModelRow:
    """A graph whose logits are 60 times red, green and blue for background, upper and lower, and -1000 for the rest."""
    path = tmp_path / "classes.onnx"
    weights = np.zeros((len(CLASSES), 3, 1, 1), np.float32)
    weights[BACKGROUND, 0] = weights[UPPER, 1] = weights[LOWER, 2] = 60
    bias = np.full(len(CLASSES), -1000, np.float32)
    bias[[BACKGROUND, UPPER, LOWER]] = 0
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    nodes = [
        helper.make_node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(weights)),
        helper.make_node("Constant", [], ["b"], value=onnx.numpy_helper.from_array(bias)),
        helper.make_node("Conv", ["image", "w", "b"], ["logits"]),
    ]
    save(nodes, [image], helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES), SIDE, SIDE]), path)
    return row_of(
        path,
        id="classes",
        task="segment",
        input=InputSpec(image="image", height=SIDE, width=SIDE),
        output=OutputSpec(name="logits", activation="softmax", channels=GARMENTS, classes=CLASSES),
    )


def two_garments() -> ByteArray:
    photo = np.zeros((64, 48, 3), np.uint8)
    photo[..., 0] = 255
    photo[8:28, 8:40] = (0, 255, 0)
    photo[36:60, 8:40] = (0, 0, 255)
    return photo


def test_a_model_with_classes_cuts_out_what_each_photo_s_category_asks_for(class_row: ModelRow, vision: VisionSettings) -> None:
    segmenter = load_segmenter(class_row, ModelStore(vision), vision)
    photo = two_garments()
    upper, lower = segmenter.segment([photo, photo], ["Shirts", "skirt"])
    assert upper.alpha[18, 20] == 255
    assert upper.alpha[48, 20] == 0
    assert lower.alpha[18, 20] == 0
    assert lower.alpha[48, 20] == 255
    assert upper.coverage == pytest.approx(20 * 32 / (64 * 48), rel=0.15)


def test_labels_are_class_numbers_of_the_photo_s_own_size(class_row: ModelRow, vision: VisionSettings) -> None:
    segmenter = load_segmenter(class_row, ModelStore(vision), vision)
    assert isinstance(segmenter, OnnxSegmenter)
    assert segmenter.classes == CLASSES
    [label] = segmenter.label([two_garments()])
    assert label.shape == (64, 48)
    assert label.dtype == np.uint8
    assert (label[2, 2], label[18, 20], label[48, 20]) == (BACKGROUND, UPPER, LOWER)
    assert segmenter.label([]) == []


def test_a_row_with_other_classes_or_without_softmax_is_refused() -> None:
    with pytest.raises(ValidationError, match="classes must be"):
        OutputSpec(name="x", activation="softmax", classes=("background", "garment"))
    with pytest.raises(ValidationError, match="softmax"):
        OutputSpec(name="x", classes=CLASSES)


def test_a_graph_with_another_number_of_channels_than_its_row_is_a_model_error() -> None:
    spec = OutputSpec(name="x", activation="softmax", channels=GARMENTS, classes=CLASSES)
    with pytest.raises(ModelError, match="names 8 classes"):
        shares_of(np.zeros((3, 4, 4), np.float32), spec)


def test_person_and_background_are_no_garments() -> None:
    assert {BACKGROUND, PERSON} == set(range(len(CLASSES))) - set(GARMENTS)
