"""A second phone simulator, built on other ideas than `phone`: models are judged against shots unlike those they learned from.

Cloth is crumpled into facets or folded over (not ridged), seen by a camera in space (not by moved corners), lit by a flash and a
lamp of another colour (not by a gradient), partly hidden by hands, tags and other clothes, and processed as cheap phones do:
denoised, sharpened, scaled, twice through JPEG. Only the drawn floors are shared with `phone`.
"""

from __future__ import annotations

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_bytes, as_float
from worker.simulate.backgrounds import Background, draw_background
from worker.simulate.camera import jpeg, motion_kernel
from worker.simulate.crumple import Crumple, crumple, folded
from worker.simulate.phone import PHONE_SIZE, fitted
from worker.simulate.placing import Pose, bled, bounds, warped

# The camera: focal length as a multiple of the picture's longer side (a phone's main lens: about 26 mm on 36 mm).
_FOCAL = 0.75
# Largest tilt of the phone against the floor, degrees.
_TILT = 32.0
# Barrel distortion at the corner, as a share of the radius.
_BARREL = 0.06
# Brightness as the mean of the channels.
_LUMA = np.full((1, 3), 1 / 3, dtype=np.float32)
_SKINS = ((228, 184, 152), (196, 146, 112), (146, 98, 70), (92, 60, 44))


def phone_shot_harsh(
    rgb: ByteArray,
    mask: ByteArray,
    background: ByteArray | Background | None,
    rng: Rng,
    size: tuple[int, int] = PHONE_SIZE,
) -> tuple[ByteArray, ByteArray]:
    """Photograph a cut-out garment with a cheap phone in a bad place; arguments and results as `phone.phone_shot`.

    The true mask holds only what is seen of the garment: what hands, tags or other clothes hide is not in it.
    """
    if rng.random() < 0.5:
        rgb, mask = folded(rgb, mask, rng)
    if isinstance(background, np.ndarray):
        ground = fitted(background, size)
    elif background is None and rng.random() < 0.4:
        ground = _pile(size, rng)
    else:
        ground = draw_background(size, rng, background)
    relief = crumple(size, rng, facets=int(rng.integers(25, 130)), squeeze=float(rng.uniform(0.15, 0.5)))
    pose = _camera_pose(mask, size, rng)
    barrel_x, barrel_y = _barrel(size, float(rng.uniform(0, _BARREL)))
    colour, cover = warped(bled(rgb, mask), mask, pose, as_float(relief.shift_x + barrel_x), as_float(relief.shift_y + barrel_y))
    cloth, floor = _lit(colour, ground, relief, rng)
    soft = cv2.GaussianBlur(cv2.resize(cover, (size[1] // 4, size[0] // 4)), (0, 0), 2.5)
    contact = cv2.resize(soft, (size[1], size[0])).astype(np.float32) * np.float32(0.5 / 255)
    floor *= (1 - contact)[..., None]
    weight = (cover.astype(np.float32) / 255)[..., None]
    picture = as_float(floor + (cloth - floor) * weight)
    hidden = np.zeros(size, dtype=np.uint8)
    for _ in range(int(rng.choice([0, 1, 1, 2]))):
        _occlude(picture, hidden, cover, rng)
    seen = np.minimum(cover, 255 - hidden).astype(np.uint8)
    return _processed(picture, rng), seen


def _camera_pose(mask: ByteArray, size: tuple[int, int], rng: Rng) -> Pose:
    """The garment on a plane, seen by a pinhole camera tilted against it."""
    left, top, right, bottom = bounds(mask)
    flat = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)
    centre = flat.mean(axis=0)
    unit = (flat - centre) / max(right - left, bottom - top)
    spin, pitch, yaw = np.radians([rng.uniform(-60, 60), rng.uniform(-_TILT, _TILT), rng.uniform(-_TILT * 0.6, _TILT * 0.6)])
    points = np.stack([
        unit[:, 0] * np.cos(spin) - unit[:, 1] * np.sin(spin),
        unit[:, 0] * np.sin(spin) + unit[:, 1] * np.cos(spin),
        np.zeros(4),
    ])  # fmt: skip
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    points = about_y @ about_x @ points
    projected = (points[:2] / (points[2] + 1.3) * _FOCAL * max(size)).T
    extent = np.ptp(projected, axis=0)
    scale = min(size[1] / extent[0], size[0] / extent[1]) * float(rng.uniform(0.7, 1.12))
    projected = (projected - (projected.min(axis=0) + projected.max(axis=0)) / 2) * scale
    projected += np.array([size[1], size[0]]) * (0.5 + rng.uniform(-0.06, 0.06, 2))
    return Pose(np.asarray(cv2.getPerspectiveTransform(as_float(flat), as_float(projected)), dtype=np.float64), size)


def _barrel(size: tuple[int, int], strength: float) -> tuple[FloatArray, FloatArray]:
    """Shift of each pixel by a lens with barrel distortion."""
    h, w = size
    x = (np.arange(w, dtype=np.float32)[None] - w / 2) / np.float32(max(size) / 2)
    y = (np.arange(h, dtype=np.float32)[:, None] - h / 2) / np.float32(max(size) / 2)
    factor = np.float32(strength * max(size) / 2) * (x * x + y * y)
    return as_float(x * factor), as_float(y * factor)


def _pile(size: tuple[int, int], rng: Rng) -> ByteArray:
    """A heap of other clothes, each of its own colour, some striped."""
    small = (size[0] // 4, size[1] // 4)
    heap = crumple(small, rng, facets=int(rng.integers(5, 12)), squeeze=0.2)
    index = np.digitize(heap.tilt_x + 0.6 * heap.tilt_y, [-0.4, -0.1, 0.15, 0.45])
    grey = rng.uniform(30, 215, (5, 1))
    colours = as_float(np.clip(grey + rng.normal(0, 28, (5, 3)), 15, 235))
    rgb = colours[index]
    y, x = np.mgrid[0 : small[0], 0 : small[1]]
    stripes = ((x + y) // int(rng.integers(2, 9)) % 2).astype(np.float32) * (index == int(rng.integers(5)))
    rgb = rgb * (1 - np.float32(0.5) * as_float(stripes))[..., None]
    wrinkles = crumple(small, rng, facets=60, squeeze=0.2)
    rgb = rgb * (1 + np.float32(0.35) * (wrinkles.tilt_x + wrinkles.tilt_y) - np.float32(0.4) * heap.crease)[..., None]
    return as_bytes(cv2.resize(as_float(rgb), (size[1], size[0]), interpolation=cv2.INTER_CUBIC))


def _lit(colour: ByteArray, ground: ByteArray, relief: Crumple, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Garment and floor under a flash near the lens and a lamp of another colour from the side."""
    h, w = colour.shape[:2]
    # Light is worked out at half the size: it is smooth but for the creases, and those are two pixels wide.
    tilt_x, tilt_y, crease = relief.tilt_x[::2, ::2], relief.tilt_y[::2, ::2], relief.crease[::2, ::2]
    unit = np.float32(max(tilt_x.shape))
    x = np.arange(tilt_x.shape[1], dtype=np.float32)[None] / unit
    y = np.arange(tilt_x.shape[0], dtype=np.float32)[:, None] / unit
    at_x, at_y = np.float32(rng.uniform(0.2, 0.8) * w / max(h, w)), np.float32(rng.uniform(0.2, 0.8) * h / max(h, w))
    far = (x - at_x) ** 2 + (y - at_y) ** 2
    flash = np.float32(rng.uniform(0, 0.75)) / (1 + far * np.float32(rng.uniform(2, 9))) + np.float32(0.25)
    turn = float(rng.uniform(0, 2 * np.pi))
    steep = np.float32(rng.uniform(0.5, 1.1))
    facing = tilt_x * np.float32(np.cos(turn)) + tilt_y * np.float32(np.sin(turn))
    warm = as_float([1 + rng.uniform(-0.2, 0.28), 1 + rng.uniform(-0.04, 0.04), 1 + rng.uniform(-0.3, 0.2)])
    lamp = as_float(np.float32(rng.uniform(0.35, 0.8)) * warm)
    # The flash comes from the lens: facets that face it are bright whichever way they lean; the lamp comes from the side.
    lean = tilt_x**2 + tilt_y**2
    dark = 1 - np.float32(rng.uniform(0.1, 0.45)) * crease
    on_cloth = flash * (1 - np.float32(0.45) * np.minimum(lean, 1)) * dark
    side = np.clip(1 + steep * facing, 0.15, 1.9) * dark
    light = as_float(on_cloth[..., None] + side[..., None] * lamp)
    cloth = colour.astype(np.float32)
    cloth *= cv2.resize(light, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.35:  # sheen of a plastic bag, or of the flash on smooth cloth
        shine = as_float(np.clip(facing - np.float32(0.35), 0, 1) * np.float32(rng.uniform(60, 190)))
        cloth += cv2.resize(shine, (w, h), interpolation=cv2.INTER_LINEAR)[..., None]
    floor = ground.astype(np.float32)
    floor *= cv2.resize(as_float(flash[..., None] + lamp), (w, h), interpolation=cv2.INTER_LINEAR)
    return cloth, floor


def _occlude(picture: FloatArray, hidden: ByteArray, cover: ByteArray, rng: Rng) -> None:
    """Put a hand, a tag or the edge of other clothes over the picture; `hidden` collects what they hide."""
    h, w = cover.shape
    shape = np.zeros((h, w), dtype=np.uint8)
    kind = int(rng.integers(3))
    colour: FloatArray
    if kind == 0:  # fingers from the border
        colour = as_float(np.asarray(_SKINS[int(rng.integers(len(_SKINS)))]) * rng.uniform(0.75, 1.1))
        edge = np.array([rng.uniform(0, w), h * float(rng.integers(2))])
        inward = np.array([w / 2, h / 2]) - edge
        inward /= np.linalg.norm(inward)
        across = np.array([-inward[1], inward[0]])
        thick = max(4, round(w * 0.055))
        for finger in range(int(rng.integers(2, 5))):
            start = edge + across * finger * thick * 1.15
            end = start + inward * rng.uniform(0.12, 0.24) * h
            cv2.line(shape, (round(start[0]), round(start[1])), (round(end[0]), round(end[1])), 255, thick, cv2.LINE_AA)
    elif kind == 1:  # a paper tag on the garment
        colour = as_float(rng.uniform(200, 250, 3))
        rows, columns = np.nonzero(cover > 127)
        if not len(rows):
            return
        pick = int(rng.integers(len(rows)))
        box = cv2.boxPoints(((float(columns[pick]), float(rows[pick])), (w * 0.09, w * 0.16), float(rng.uniform(0, 180))))
        cv2.fillPoly(shape, [np.round(box).astype(np.int32)], 255, cv2.LINE_AA)
    else:  # the hem of something else, from a corner
        colour = as_float(rng.uniform(20, 230, 3))
        corner = np.array([w * int(rng.integers(2)), h * int(rng.integers(2))])
        away = np.where(corner > 0, -1, 1)
        points = [corner, corner + away * [w * rng.uniform(0.25, 0.6), 0]]
        points += [
            corner + away * [w * rng.uniform(0.1, 0.3), h * rng.uniform(0.1, 0.2)],
            corner + away * [0, h * rng.uniform(0.15, 0.4)],
        ]
        cv2.fillPoly(shape, [np.round(points).astype(np.int32)], 255, cv2.LINE_AA)
    # Never hide most of the garment.
    if float(np.minimum(shape, cover).sum()) > 0.25 * float(cover.sum()):
        return
    reach = max(2, w // 40)
    left, top, wide, high = cv2.boundingRect(shape)
    window = (slice(max(0, top - 3 * reach), top + high + 3 * reach), slice(max(0, left - 3 * reach), left + wide + 3 * reach))
    part = shape[window]
    # Darker below and towards its own edge: it lies on top, and is round.
    inner = cv2.blur(cv2.blur(part, (reach, reach)), (reach, reach)).astype(np.float32)[..., None] / 255
    below = picture[window] * (1 - np.float32(0.4) * inner)
    weight = (part.astype(np.float32) / 255)[..., None]
    picture[window] = below + (colour * (np.float32(0.55) + np.float32(0.45) * inner) - below) * weight
    np.maximum(hidden, shape, out=hidden)


def _processed(picture: FloatArray, rng: Rng) -> ByteArray:
    """Digital zoom, shot noise, denoising, sharpening, tone, JPEG twice."""
    h, w = picture.shape[:2]
    if rng.random() < 0.5:
        low = float(rng.uniform(0.4, 0.85))
        picture = as_float(cv2.resize(cv2.resize(picture, None, fx=low, fy=low, interpolation=cv2.INTER_AREA), (w, h)))
    if rng.random() < 0.35:
        picture = as_float(
            cv2.filter2D(picture, -1, motion_kernel(int(rng.integers(2, 7)) * 2 + 1, float(rng.uniform(0, np.pi))))
        )
    np.clip(picture, 0, 400, out=picture)
    grain = rng.standard_normal((h, w), dtype=np.float32)
    picture += (cv2.sqrt(cv2.transform(picture, _LUMA)) * grain * np.float32(rng.uniform(0.2, 1.3)))[..., None]
    picture *= np.float32(rng.uniform(0.6, 1.15))
    # A filmic shoulder: bright parts are squeezed, not cut.
    np.maximum(picture, 0, out=picture)
    picture = as_float(255 - 255 * cv2.exp(picture * np.float32(-1 / rng.uniform(150, 230))))
    seen = as_bytes(picture)
    if rng.random() < 0.6:
        seen = np.asarray(cv2.medianBlur(seen, 3), dtype=np.uint8)
    if rng.random() < 0.6:
        soft = cv2.GaussianBlur(seen, (0, 0), 1.5)
        strength = float(rng.uniform(0.4, 1.2))
        seen = np.asarray(cv2.addWeighted(seen, 1 + strength, soft, -strength, 0), dtype=np.uint8)
    return jpeg(jpeg(seen, int(rng.integers(45, 90))), int(rng.integers(30, 75)))
