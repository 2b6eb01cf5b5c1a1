"""Phone-like views of a crop, drawn in the crop itself: what an embedder is taught to see through.

Deliberately other than `worker.simulate` (which models are judged by): cheap enough to be made anew for every batch, on a crop instead
of a photo, with its own folds (zero lines of smooth noise), light and mask faults. A view ends as the worker's crop does: through
`make_crop`, with the mask a segmenter might have given.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from worker.errors import PhotoRefused
from worker.vision.crop import make_crop
from worker.vision.types import ByteArray, FloatArray, Mask

Rng = np.random.Generator
WHITE = 255
HALF = 128
BARE_MEDIAN = 0.08  # of the side: letters and buttons are gone, sleeves and blocks of colour stay
# Numbers of a normal distribution, drawn once; a view takes a random stretch of them (drawing a picture's worth costs 3 ms).
_NOISE_LENGTH = 1 << 20


@dataclass(frozen=True, slots=True)
class Strength:
    """How far a view goes. Angles in degrees, lengths as shares of the crop's side, the rest as factors or shares of views."""

    turn: float = 30.0
    wide_turn: float = 0.1  # share of views turned by up to 180 degrees
    tilt: float = 0.10
    bend: float = 0.02
    crease: float = 1.6
    exposure: tuple[float, float] = (0.55, 1.3)
    gamma: tuple[float, float] = (0.75, 1.35)
    cast: float = 0.14
    saturation: tuple[float, float] = (0.7, 1.2)
    light: float = 0.35
    flash: float = 0.3
    noise: tuple[float, float] = (0.0, 10.0)
    blur: float = 1.6
    shrink: float = 0.3
    jpeg: tuple[int, int] = (30, 92)
    close_up: float = 0.15
    hidden: float = 0.3
    cut_away: float = 0.25
    torn: float = 0.6
    mirror: float = 0.25


# A view of medium strength; a wild one; and one of a bad place: turned far, under lamps of another colour, half hidden, by a cheap phone.
MILD = Strength(
    turn=15, wide_turn=0.0, tilt=0.05, bend=0.012, crease=1.0, exposure=(0.75, 1.15), gamma=(0.85, 1.18), cast=0.06,
    saturation=(0.85, 1.12), light=0.2, flash=0.1, noise=(0, 5), blur=1.0, shrink=0.15, jpeg=(55, 95), close_up=0.05,
    hidden=0.1, cut_away=0.1, torn=0.4, mirror=0.1,
)  # fmt: skip
WILD = Strength()
HARD = Strength(
    turn=60, tilt=0.18, bend=0.03, crease=2.2, exposure=(0.45, 1.4), gamma=(0.65, 1.5), cast=0.25, saturation=(0.55, 1.25), light=0.6,
    flash=0.4, noise=(0, 16), blur=2.0, shrink=0.5, jpeg=(25, 85), hidden=0.5, cut_away=0.35,
)  # fmt: skip


def view(
    rgb: ByteArray, mask: ByteArray, ground: ByteArray, rng: Rng, side: int, strength: Strength
) -> tuple[ByteArray, ByteArray]:
    """One view.

    Args:
        rgb: (s, s, 3) uint8, a crop: garment on white.
        mask: (s, s) uint8, of the garment.
        ground: (any, any, 3) uint8, what may show where the mask is wrong.
        rng: the same state gives the same view.
        side: of the view.
        strength: how far it goes.

    Returns:
        rgb (side, side, 3) and mask (side, side) uint8, as `make_crop` gives them; the crop itself where nothing of it would be left.
    """
    if rng.random() < strength.close_up:
        rgb, mask = _window(rgb, mask, rng)
    moved, cover, shade = _moved(rgb, mask, rng, strength)
    seen, found = _hidden(moved, cover, ground, rng, strength)
    picture = photographed(seen, shade, rng, strength)
    try:
        crop = make_crop(picture, Mask(found, float((found >= HALF).mean())), side)
    except PhotoRefused:
        return as_crop(rgb, mask, side)
    return crop.rgb, crop.mask


def as_crop(rgb: ByteArray, mask: ByteArray, side: int) -> tuple[ByteArray, ByteArray]:
    """A crop at another size."""
    if rgb.shape[0] == side:
        return rgb, mask
    how = cv2.INTER_AREA if rgb.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=how), np.uint8), np.asarray(
        cv2.resize(mask, (side, side), interpolation=how), np.uint8
    )


def recoloured(rgb: ByteArray, mask: ByteArray, rng: Rng) -> ByteArray:
    """The same garment in another colour: a colourway, which is another article. The change is always plain to see."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    chroma = lab[..., 1:] - 128
    angle = float(rng.uniform(0.25, 1.75)) * np.pi  # never back to where it was
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    shift = rng.normal(0, 1, 2)
    shift *= rng.uniform(18, 45) / (np.linalg.norm(shift) + 1e-6)
    inside = mask >= HALF
    grey = float(np.abs(chroma[inside]).mean()) < 12 if inside.any() else True
    chroma = chroma @ turn.T * np.float32(rng.uniform(0.7, 1.2)) + (shift if grey or rng.random() < 0.3 else 0)
    light = lab[..., 0] + float(rng.uniform(-50, 50))
    changed = np.concatenate([light[..., None], chroma + 128], axis=-1)
    out = cv2.cvtColor(np.clip(changed, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    share = mask.astype(np.uint16)[..., None]
    return ((out * share + rgb * (255 - share)) // 255).astype(np.uint8)


def bare(rgb: ByteArray, mask: ByteArray) -> ByteArray:
    """The garment without its print, buttons and seams, mirrored: about what its back is, where no photo of the back is at hand.

    A median takes away what is smaller than itself and keeps the edges of what is larger: sleeves, waistbands, blocks of colour.
    """
    side = rgb.shape[0]
    half = side // 2
    share = mask.astype(np.float32)[..., None] / 255
    # White around the garment must not count: its place is taken by the colours nearby.
    weight = cv2.GaussianBlur(share[..., 0], (0, 0), side * BARE_MEDIAN / 2)[..., None]
    nearby = cv2.GaussianBlur(rgb.astype(np.float32) * share, (0, 0), side * BARE_MEDIAN / 2) / np.maximum(weight, 1e-3)
    filled = np.clip(rgb.astype(np.float32) * share + nearby * (1 - share), 0, 255).astype(np.uint8)
    small = cv2.resize(filled, (half, half), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(cv2.medianBlur(small, 2 * int(half * BARE_MEDIAN / 2) + 1), (side, side), interpolation=cv2.INTER_LINEAR)
    out = plain.astype(np.float32) * share + rgb.astype(np.float32) * (1 - share)
    return np.ascontiguousarray(np.clip(out, 0, 255).astype(np.uint8)[:, ::-1])


def noise_table(seed: int = 0) -> FloatArray:
    """Normal numbers to take stretches of."""
    return np.random.default_rng(seed).standard_normal(_NOISE_LENGTH, dtype=np.float32)


_NOISE = noise_table()


def _window(rgb: ByteArray, mask: ByteArray, rng: Rng) -> tuple[ByteArray, ByteArray]:
    """A close-up: a square within the garment's box, often filled by cloth, scaled to the crop's side."""
    side = rgb.shape[0]
    ys, xs = np.nonzero(mask[::4, ::4] >= HALF)
    if len(ys) == 0:
        return rgb, mask
    span = max(int(np.ptp(ys)), int(np.ptp(xs))) * 4
    size = int(np.clip(span * rng.uniform(0.28, 0.75), 24, side))
    at = int(rng.integers(len(ys)))
    top = int(np.clip(ys[at] * 4 - size // 2, 0, side - size))
    left = int(np.clip(xs[at] * 4 - size // 2, 0, side - size))
    part, cover = rgb[top : top + size, left : left + size], mask[top : top + size, left : left + size]
    if rng.random() < 0.5:
        cover = np.full_like(cover, WHITE)  # no garment found: the whole photo is the crop
    return (
        np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8),
        np.asarray(cv2.resize(cover, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8),
    )


def _smooth(rng: Rng, cells: int, side: int, across: int | None = None) -> FloatArray:
    """Smooth noise of about unit spread, (side, across or side)."""
    noise = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(noise, (across or side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def creases(rng: Rng, side: int, strength: Strength) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Slopes (along x, along y) of creased cloth and the light it throws, around 1; each (side, side)."""
    lines = _smooth(rng, int(rng.integers(3, 9)), side)  # creases run where smooth noise is zero
    relief = np.exp(-np.square(lines / np.float32(rng.uniform(0.08, 0.3)))) * np.float32(rng.uniform(0.3, 1.0))
    relief += _smooth(rng, int(rng.integers(6, 20)), side) * np.float32(0.15)
    slope_x, slope_y = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=0.25)
    light = float(rng.uniform(0, 2 * np.pi))
    depth = np.float32(strength.crease * rng.uniform(0.1, 1.0))
    shade = 1 + depth * (slope_x * np.float32(np.cos(light)) + slope_y * np.float32(np.sin(light)))
    return np.asarray(slope_x, np.float32), np.asarray(slope_y, np.float32), np.asarray(shade, np.float32)


def _moved(rgb: ByteArray, mask: ByteArray, rng: Rng, strength: Strength) -> tuple[ByteArray, ByteArray, FloatArray]:
    """Turned, tilted, bent; and the light its creases throw, around 1."""
    side = rgb.shape[0]
    half = side // 2
    slope_x, slope_y, shade = creases(rng, half, strength)  # at half the size: they are smooth
    bend = np.float32(strength.bend * side * rng.uniform(0.2, 1.0))
    cells = int(rng.integers(3, 7))
    shift_x = cv2.resize(_smooth(rng, cells, half) * bend + slope_x * bend * 6, (side, side))
    shift_y = cv2.resize(_smooth(rng, cells, half) * bend + slope_y * bend * 6, (side, side))
    # Output corners to the places in the crop they show.
    angle = np.radians(
        rng.uniform(-180, 180) if rng.random() < strength.wide_turn else rng.uniform(-strength.turn, strength.turn)
    )
    stretch = rng.uniform(0.9, 1.1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * (1.15 * rng.uniform(0.95, 1.1))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64) * [stretch, 1 / stretch]
    corners += rng.uniform(-strength.tilt, strength.tilt, (4, 2)) * 2
    if rng.random() < strength.mirror:
        corners[:, 0] *= -1
    target = (corners @ turn.T * 0.5 + 0.5) * side
    square = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    matrix = cv2.getPerspectiveTransform(square, target.astype(np.float32))
    axis = np.arange(side, dtype=np.float32)
    x, y = axis[None], axis[:, None]
    depth_z = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    map_x = ((matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / depth_z + shift_x).astype(np.float32)
    map_y = ((matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / depth_z + shift_y).astype(np.float32)
    both = np.dstack([rgb, mask])
    moved = cv2.remap(both, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(WHITE, WHITE, WHITE, 0))
    return (
        np.ascontiguousarray(moved[..., :3]),
        np.ascontiguousarray(moved[..., 3]),
        np.asarray(cv2.resize(shade, (side, side)), np.float32),
    )


def _hidden(rgb: ByteArray, mask: ByteArray, ground: ByteArray, rng: Rng, strength: Strength) -> tuple[ByteArray, ByteArray]:
    """What lies on the garment or is folded away, and what a segmenter gets wrong: torn edges, floor taken for garment."""
    side = rgb.shape[0]
    share = mask.astype(np.uint16)[..., None]
    floor = np.asarray(cv2.resize(ground, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    picture = ((rgb * share + floor * (255 - share)) // 255).astype(np.uint8)
    found = mask.copy()
    if rng.random() < strength.cut_away:
        _cut_away(found, rng)
    if rng.random() < strength.hidden:
        for _ in range(int(rng.integers(1, 3))):
            _occlude(picture, found, rng)
    if rng.random() < strength.torn:
        noise = _smooth(rng, int(rng.integers(6, 24)), side)
        soft = cv2.GaussianBlur(found, (0, 0), float(rng.uniform(1, 6))).astype(np.float32) / 255
        level = np.float32(rng.uniform(0.3, 0.65)) + noise * np.float32(rng.uniform(0.02, 0.2))
        found = np.where(soft > level, WHITE, 0).astype(np.uint8)
    return picture, found


def _cut_away(found: ByteArray, rng: Rng) -> None:
    """Take a part beyond a line out of the mask: folded under, or beyond the photo's edge."""
    ys, xs = np.nonzero(found[::4, ::4] >= HALF)
    if len(ys) == 0:
        return
    angle = float(rng.uniform(0, 2 * np.pi))
    along = xs * 4 * np.cos(angle) + ys * 4 * np.sin(angle)
    limit = float(np.quantile(along, 1 - rng.uniform(0.05, 0.35)))
    axis = np.arange(found.shape[0])
    found[(axis[None] * np.cos(angle) + axis[:, None] * np.sin(angle)) > limit] = 0


def _occlude(picture: ByteArray, found: ByteArray, rng: Rng) -> None:
    """A hand, a tag, a sleeve of something else; either the segmenter leaves it out, or it counts as garment."""
    side = found.shape[0]
    ys, xs = np.nonzero(found[::4, ::4] >= HALF)
    if len(ys) == 0:
        return
    at = int(rng.integers(len(ys)))
    centre = (int(xs[at]) * 4, int(ys[at]) * 4)
    axes = (int(side * rng.uniform(0.04, 0.16)), int(side * rng.uniform(0.03, 0.1)))
    shape = np.zeros((side, side), np.uint8)
    cv2.ellipse(shape, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    where = shape > 0
    colour = rng.uniform(20, 245, 3)
    picture[where] = np.clip(colour + rng.normal(0, 6, 3), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        found[where] = 0


def photographed(picture: ByteArray, shade: FloatArray, rng: Rng, strength: Strength) -> ByteArray:
    """What a phone makes of a picture: light, exposure, white balance, focus, noise, scaling, JPEG.

    Args:
        picture: (h, w, 3) uint8.
        shade: (h, w) float32, what the cloth's creases do to the light, around 1.
        rng: the same state gives the same photo.
        strength: how far it goes.

    Returns:
        as `picture`.
    """
    height, width = picture.shape[:2]
    light = 1 + _smooth(rng, 3, height, width) * np.float32(strength.light * rng.uniform(0, 0.6))
    if rng.random() < strength.flash:
        light *= _spot(height, width, rng)
    lit = picture.astype(np.float32) * (light * shade)[..., None]
    if strength.saturation != (1.0, 1.0):
        grey = lit.mean(axis=2, keepdims=True)
        lit = grey + (lit - grey) * np.float32(rng.uniform(*strength.saturation))
    stretch = int(rng.integers(_NOISE_LENGTH - lit.size))
    lit += _NOISE[stretch : stretch + lit.size].reshape(lit.shape) * np.float32(rng.uniform(*strength.noise))
    gains = rng.uniform(*strength.exposure) * (1 + rng.uniform(-strength.cast, strength.cast, 3))
    seen = np.clip(lit * gains.astype(np.float32), 0, 255).astype(np.uint8)
    curve = (255 * (np.arange(256) / 255) ** rng.uniform(*strength.gamma)).astype(np.uint8)
    seen = np.asarray(cv2.LUT(seen, curve), np.uint8)
    sigma = float(rng.uniform(0, strength.blur))
    if sigma > 0.3:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), sigma), np.uint8)
    if rng.random() < strength.shrink:
        share = rng.uniform(0.35, 0.8)
        small = cv2.resize(seen, (int(width * share), int(height * share)), interpolation=cv2.INTER_AREA)
        seen = np.asarray(cv2.resize(small, (width, height)), np.uint8)
    if rng.random() < 0.25:
        seen = np.asarray(cv2.addWeighted(seen, 1.6, cv2.GaussianBlur(seen, (0, 0), 1.2), -0.6, 0), np.uint8)
    _, data = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*strength.jpeg))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _spot(height: int, width: int, rng: Rng) -> FloatArray:
    """A flash: bright around a point, darker away from it."""
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    x0, y0 = rng.uniform(-0.7, 0.7, 2).astype(np.float32)
    distance = np.square(x[None] - x0) + np.square(y[:, None] - y0)
    peak, wide = np.float32(rng.uniform(0.2, 0.7)), np.float32(rng.uniform(0.15, 0.9))
    return np.asarray(1 - peak / 3 + peak * np.exp(-distance / wide), np.float32)
