"""Phone snapshots of a cut-out garment: creases, perspective, a floor, bed or wall, uneven light, shadow, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_float
from worker.simulate.backgrounds import Background, draw_background
from worker.simulate.camera import cast, jpeg, light_field, motion_kernel, noisy, toned
from worker.simulate.folds import lit, ridges, smooth_noise
from worker.simulate.placing import Pose, bled, bounds, random_pose, warped

Severity = Literal["mild", "harsh"]

# (height, width): the 3:4 of phones held upright, shorter side a little above what the default models take.
PHONE_SIZE = (640, 480)


@dataclass(frozen=True, slots=True)
class Effects:
    """How far everything goes. Ranges are drawn from for each shot; shares are of the picture's longer side."""

    turn: float
    tilt: float
    fill: tuple[float, float]
    shift: float
    bend: float
    creases: int
    crease_depth: float
    light: float
    shadow: float
    cast: float
    exposure: tuple[float, float]
    blur: float
    shake: int
    noise: tuple[float, float]
    quality: tuple[int, int]


EFFECTS: dict[Severity, Effects] = {
    "mild": Effects(
        turn=12, tilt=0.04, fill=(0.76, 0.98), shift=0.03, bend=0.006, creases=14, crease_depth=2.2, light=0.16, shadow=0.15,
        cast=0.07, exposure=(0.88, 1.12), blur=0.8, shake=0, noise=(1.0, 4.0), quality=(75, 94),
    ),
    "harsh": Effects(
        turn=40, tilt=0.09, fill=(0.6, 1.02), shift=0.06, bend=0.011, creases=34, crease_depth=4.2, light=0.4, shadow=0.4,
        cast=0.18, exposure=(0.6, 1.3), blur=1.8, shake=9, noise=(3.0, 12.0), quality=(35, 80),
    ),
}  # fmt: skip


def phone_shot(
    rgb: ByteArray,
    mask: ByteArray,
    background: ByteArray | Background | None,
    rng: Rng,
    severity: Severity = "mild",
    size: tuple[int, int] = PHONE_SIZE,
) -> tuple[ByteArray, ByteArray]:
    """Photograph a cut-out garment with a phone.

    Args:
        rgb: (h, w, 3) uint8 sRGB, a studio photo.
        mask: (h, w) uint8, 0..255, of the garment in it.
        background: a picture (any size; it is cut and scaled to fit), a kind of drawn background, or None for any drawn one.
        rng: generator; the same state gives the same shot.
        severity: mild or harsh.
        size: (height, width) of the shot.

    Returns:
        The shot (height, width, 3) uint8 and the garment's true mask in it (height, width) uint8, 0..255.

    Raises:
        ValueError: the mask is empty.
    """
    effects = EFFECTS[severity]
    kind = background if isinstance(background, Background) else None
    if background is None:
        kind = list(Background)[int(rng.integers(len(Background)))]
    hangs = kind is Background.WALL
    ground = fitted(background, size) if isinstance(background, np.ndarray) else draw_background(size, rng, kind)
    # On a hanger a garment hangs straight.
    pose = random_pose(
        mask,
        size,
        rng,
        turn=min(effects.turn, 6) if hangs else effects.turn,
        tilt=effects.tilt,
        fill=effects.fill,
        shift=effects.shift,
    )
    light = float(rng.uniform(0, 2 * np.pi))
    shift_x, shift_y, shade = _creased(size, rng, effects, light, hangs=hangs)
    colour, cover = warped(bled(rgb, mask), mask, pose, shift_x, shift_y)
    if hangs:
        ground = _with_hanger(ground, mask, pose)
    picture = _laid_down(ground, colour, cover, shade, light, rng, lifted=0.016 if hangs else 0.006)
    return _photographed(picture, rng, effects), cover


def fitted(picture: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Cut from the middle and scaled to (height, width)."""
    scale = max(size[0] / picture.shape[0], size[1] / picture.shape[1])
    wide, high = max(size[1], round(picture.shape[1] * scale)), max(size[0], round(picture.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(picture, (wide, high), interpolation=method), dtype=np.uint8)
    y, x = (high - size[0]) // 2, (wide - size[1]) // 2
    return scaled[y : y + size[0], x : x + size[1]]


def _creased(
    size: tuple[int, int], rng: Rng, effects: Effects, light: float, *, hangs: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shift of the cloth (x, y; pixels) and brightness factors, both (h, w), of one and the same relief."""
    half = (-(-size[0] // 2), -(-size[1] // 2))
    small = (-(-size[0] // 8), -(-size[1] // 8))
    longer = max(size)
    count = max(4, int(effects.creases * rng.uniform(0.6, 1.3)))
    down = float(np.pi / 2) if hangs else None
    relief = ridges(half, rng, count=count, length=0.3, width=0.008, direction=down)
    relief += ridges(half, rng, count=count // 2, length=0.6, width=0.022, direction=down) * np.float32(1.5)
    shade = lit(relief, light, effects.crease_depth * float(rng.uniform(0.7, 1.3)))
    wide = (size[1], size[0])
    # Cloth runs together where it folds: it is moved along the slope of the relief.
    gather = np.float32(effects.bend * longer * 1.6)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3, scale=0.5)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3, scale=0.5)
    bend = np.float32(effects.bend * longer)
    x = cv2.resize(cv2.GaussianBlur(slope_x, (0, 0), 2.0), wide) * gather + cv2.resize(smooth_noise(small, 5, rng), wide) * bend
    y = cv2.resize(cv2.GaussianBlur(slope_y, (0, 0), 2.0), wide) * gather + cv2.resize(smooth_noise(small, 5, rng), wide) * bend
    return as_float(x), as_float(y), as_float(cv2.resize(shade, wide))


def _with_hanger(ground: ByteArray, mask: ByteArray, pose: Pose) -> ByteArray:
    """A hanger's hook above the garment and its shoulders behind it."""
    left, top, right, bottom = bounds(mask)
    wide = (right - left) * 0.32
    middle = (left + right) / 2
    drawn = ground.copy()
    thick = max(3, round(max(pose.size) * 0.008))
    hook = [
        (middle, top - wide * 0.7),
        (middle + wide * 0.1, top - wide * 0.45),
        (middle, top - wide * 0.2),
        (middle, top + wide * 0.1),
    ]
    arms = [(middle - wide, top + wide * 0.55), (middle, top + wide * 0.1), (middle + wide, top + wide * 0.55)]
    for points, colour in ((arms, (96, 72, 50)), (hook, (120, 120, 124))):
        placed = np.round([pose.place(min(max(x, left), right), min(y, bottom)) for x, y in points]).astype(np.int32)
        cv2.polylines(drawn, [placed], False, colour, thick, cv2.LINE_AA)
    return drawn


def _laid_down(
    ground: ByteArray, colour: ByteArray, cover: ByteArray, shade: FloatArray, light: float, rng: Rng, *, lifted: float
) -> FloatArray:
    """Garment over background, with the shadow it throws away from the light."""
    h, w = cover.shape
    small = cv2.resize(cover, (w // 4, h // 4), interpolation=cv2.INTER_AREA)
    away = max(h, w) / 4 * lifted
    move = as_float([[1, 0, -away * np.cos(light)], [0, 1, -away * np.sin(light)]])
    thrown = cv2.GaussianBlur(cv2.warpAffine(small, move, (w // 4, h // 4)), (0, 0), max(0.6, away * 1.2))
    dark = cv2.resize(thrown, (w, h)).astype(np.float32) * np.float32(rng.uniform(0.3, 0.65) / 255)
    below = ground.astype(np.float32) * (1 - dark)[..., None]
    weight = (cover.astype(np.float32) * np.float32(1 / 255))[..., None]
    cloth = colour.astype(np.float32) * shade[..., None]
    return as_float(below + (cloth - below) * weight)


def _photographed(picture: FloatArray, rng: Rng, effects: Effects) -> ByteArray:
    """Light, white balance, focus, shake, noise, tone, JPEG."""
    size = (picture.shape[0], picture.shape[1])
    field = light_field(size, rng, contrast=effects.light, shadow=effects.shadow)
    picture = as_float(picture * (field[..., None] * cast(rng, effects.cast)))
    sigma = float(rng.uniform(0, effects.blur)) * max(size) / 640
    if sigma > 0.3:
        picture = as_float(cv2.GaussianBlur(picture, (0, 0), sigma))
    if effects.shake and rng.random() < 0.4:
        length = int(rng.integers(1, effects.shake // 2 + 1)) * 2 + 1
        picture = as_float(cv2.filter2D(picture, -1, motion_kernel(length, float(rng.uniform(0, np.pi)))))
    picture = noisy(picture, rng, float(rng.uniform(*effects.noise)))
    seen = toned(
        picture,
        exposure=float(rng.uniform(*effects.exposure)),
        gamma=float(rng.uniform(0.85, 1.18)),
        saturation=float(rng.uniform(0.85, 1.12)),
    )
    return jpeg(seen, int(rng.integers(*effects.quality)))
