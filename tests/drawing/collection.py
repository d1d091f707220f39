"""Two contents and a style for the quality benchmark, which needs three of each; the others are the demo's.

A face, because people look at faces first; a still life with large plain areas; and a woodcut in two colours, which
differs from an oil painting as much as a style can. Bodies are signed
distance functions (Quílez, "Modeling with distance functions", 2008), found by sphere tracing (Hart 1996).
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
from PIL import Image

from tests.drawing.noise import Array, Indices, fractal, mix, sample, smooth

Point = tuple[float, float, float]
Scene = Callable[[Array], Array]
"""From points (n, 3), x to the right, y up and z towards the viewer, to distances (materials, n)."""
Paint = Callable[[Array, Indices], Array]
"""From points (n, 3) and materials (n) to albedo (n, 3), linear."""

MARCHED = 80
NEAR, FAR = 4.4, 10.0
"""Between which distances from the eye all bodies are."""
LIGHT = np.array([-0.52, 0.62, 0.59])


def portrait(width: int = 448) -> Image.Image:
    """A woman's head before a plain wall, five to four upright."""
    height = width * 5 // 4
    return _image(_rendered(width, height, 1.42, (0.0, -0.12), _head, _complexion, _wall))


def still_life(width: int = 720) -> Image.Image:
    """A jug and fruit on a table, four to three."""
    return _image(_rendered(width, width * 3 // 4, 1.45, (0.0, 0.1), _things, _glazes, _wall))


def woodcut(side: int = 720) -> Image.Image:
    """A sun over waves, cut in lines that follow what they show and printed in black on paper."""
    y, x = np.mgrid[0.5 / side : 1 - 0.5 / side : side * 1j, 0.5 / side : 1 - 0.5 / side : side * 1j]
    wobble, grain = sample(fractal(201, 3, 4), x, y), sample(fractal(202, 40, 3), x, y * 0.4)
    from_sun = np.hypot(x - 0.62, y - 0.27)
    rays = from_sun * 46 + 0.25 * wobble
    tone = 0.30 + 0.75 * smooth(0.10, 0.75, from_sun)
    lines = np.where(from_sun < 0.11, 0.0, rays)
    tone = np.where(from_sun < 0.11, 0.0, tone)
    for crest in range(7):
        top = 0.50 + 0.075 * crest + 0.028 * (1 + 0.25 * crest) * np.sin((9 - 0.6 * crest) * x + 2.4 * crest)
        below = y - top + 0.01 * wobble
        wave = below > 0
        shade = 0.15 + 0.85 * smooth(0.0, 0.085, below) - 0.25 * smooth(0.07, 0.13, below)
        along = (y - 0.35 * top) * (64 - 4 * crest) + 1.2 * np.sin((9 - 0.6 * crest) * x + 2.4 * crest + 0.9)
        lines, tone = np.where(wave, along, lines), np.where(wave, shade, tone)
        tone = np.where(wave & (below < 0.006), 1.25, tone)
    ridge = 0.5 + 0.5 * np.cos(2 * np.pi * lines)
    ink = smooth(-0.12, 0.12, tone - ridge + 0.10 * grain)
    worn = smooth(1.3, 2.4, sample(fractal(203, 60, 3), x, y))
    paper = np.array([0.90, 0.85, 0.73]) + 0.018 * sample(fractal(204, 30, 4), x, y)[..., None]
    return _image(np.clip(mix(paper, np.array([0.09, 0.08, 0.09]) * np.ones((side, side, 1)), ink * (1 - worn)), 0, 1))


def _image(colours: Array) -> Image.Image:
    return Image.fromarray((colours * 255 + 0.5).astype(np.uint8))


# --- Bodies ---


def _length(vectors: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)), np.float64)


def _ball(at: Array, centre: Point, radii: Point) -> Array:
    """An ellipsoid; its distance is a bound, exact for a sphere."""
    scaled = (at - np.array(centre)) / np.array(radii)
    length, slope = _length(scaled), _length(scaled / np.array(radii))
    return np.asarray(length * (length - 1) / np.maximum(slope, 1e-6), np.float64)


def _sausage(at: Array, start: Point, end: Point, radius: float) -> Array:
    axis = np.subtract(end, start)
    along = np.clip((at - np.array(start)) @ axis / (axis @ axis), 0, 1)
    return _length(at - np.array(start) - along[:, None] * axis) - radius


def _joined(first: Array, second: Array, soft: float) -> Array:
    """The union, its seam rounded over about ``soft``."""
    share = np.clip(0.5 + 0.5 * (second - first) / soft, 0, 1)
    return np.asarray(second + (first - second) * share - soft * share * (1 - share), np.float64)


def _without(first: Array, second: Array, soft: float) -> Array:
    return -_joined(-first, second, soft)


def _turned(at: Array, angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([at[:, 0] * cos - at[:, 2] * sin, at[:, 1], at[:, 0] * sin + at[:, 2] * cos], axis=1)


TURN = 0.30
EYES = ((-0.26, 0.05, 0.63), (0.26, 0.05, 0.63))


def _head(at: Array) -> Array:
    """Skin, eyes, lips, hair, cloth."""
    cloth = _ball(at, (0.0, -2.02, -0.25), (1.35, 0.72, 0.62))
    at = _turned(at, TURN)
    skin = _joined(
        _ball(at, (0, 0.28, -0.08), (0.68, 0.80, 0.82)), _ball(at, (0, -0.42, 0.14), (0.47, 0.56, 0.56)), 0.3
    )
    skin = _joined(skin, _sausage(at, (-0.33, 0.21, 0.60), (0.33, 0.21, 0.60), 0.09), 0.14)
    for side in (-1, 1):
        skin = _joined(skin, _ball(at, (0.34 * side, -0.20, 0.42), (0.2, 0.2, 0.2)), 0.22)
        skin = _without(skin, _ball(at, (0.26 * side, 0.05, 0.80), (0.16, 0.10, 0.14)), 0.12)
        skin = _joined(skin, _ball(at, (0.70 * side, -0.02, -0.08), (0.07, 0.2, 0.13)), 0.05)
    skin = _joined(skin, _sausage(at, (0, 0.14, 0.68), (0, -0.20, 0.86), 0.055), 0.10)
    skin = _joined(skin, _ball(at, (0, -0.23, 0.86), (0.09, 0.08, 0.09)), 0.08)
    for side in (-1, 1):
        skin = _joined(skin, _ball(at, (0.09 * side, -0.26, 0.78), (0.055, 0.05, 0.07)), 0.05)
    skin = _joined(skin, _ball(at, (0, -0.84, 0.50), (0.17, 0.15, 0.15)), 0.2)
    skin = _joined(skin, _sausage(at, (0, -0.7, -0.12), (0, -1.8, -0.25), 0.31), 0.12)
    lids = []
    for x, y, z in EYES:
        opening = _ball(at, (x, y - 0.005, z + 0.22), (0.128, 0.058, 0.2))
        lids.append(_without(_ball(at, (x, y, z), (0.152, 0.152, 0.152)), opening, 0.015))
    skin = _joined(reduce(np.minimum, lids), skin, 0.03)
    eyes = reduce(np.minimum, (_ball(at, eye, (0.136, 0.136, 0.136)) for eye in EYES))
    bow = [_ball(at, (0.06 * side, -0.485, 0.685), (0.12, 0.035, 0.06)) for side in (-1, 1)]
    lips = np.minimum(_joined(bow[0], bow[1], 0.03), _ball(at, (0, -0.565, 0.685), (0.14, 0.045, 0.06)))
    hair = _without(
        _ball(at, (0, 0.36, -0.16), (0.80, 0.86, 0.88)), _ball(at, (0.06, -0.28, 0.70), (0.60, 0.92, 0.66)), 0.08
    )
    for side in (-1, 1):
        hair = _joined(hair, _sausage(at, (0.66 * side, 0.2, -0.22), (0.74 * side, -1.30, -0.34), 0.20), 0.2)
    return np.stack([skin, eyes, lips, hair, cloth])


def _complexion(at: Array, material: Indices) -> Array:
    local = _turned(at, TURN)
    x, y, z = local.T
    warm = smooth(0.26, 0.05, np.hypot(np.abs(x) - 0.38, y + 0.24)) * 0.5 + 0.4 * smooth(
        0.2, 0.0, np.hypot(x, y + 0.24)
    )
    skin = mix(np.array([0.66, 0.40, 0.28]), np.array([0.62, 0.25, 0.19]), warm * (z > 0))
    arch = 0.235 + 0.05 * np.cos(6 * (np.abs(x) - 0.25)) - 0.02
    brow = (
        smooth(0.048, 0.020, np.abs(y - arch))
        * smooth(0.10, 0.14, np.abs(x))
        * smooth(0.46, 0.38, np.abs(x))
        * (z > 0.3)
    )
    skin = mix(skin, np.array([0.07, 0.035, 0.02]), 0.85 * brow)
    iris = np.min([np.hypot(x - ex, y - ey) for ex, ey, _ in EYES], axis=0)
    eye = mix(np.array([0.72, 0.70, 0.68]), np.array([0.06, 0.14, 0.13]), smooth(0.068, 0.062, iris))
    eye = mix(eye, np.array([0.005, 0.005, 0.005]), smooth(0.034, 0.028, iris))
    strands = sample(fractal(211, 60, 3, 0.7), x * 1.2 + 0.15 * np.sin(3 * y), y * 0.10)
    hair = np.array([0.10, 0.045, 0.022]) * np.exp(0.55 * strands)[:, None]
    weave = 1 + 0.25 * sample(fractal(212, 50, 2), at[:, 0], at[:, 1])
    cloth = np.array([0.03, 0.12, 0.22]) * weave[:, None]
    lips = np.array([0.48, 0.09, 0.09]) * np.ones((len(at), 1))
    return np.choose(material[:, None], [skin, eye, lips, hair, cloth])


def _things(at: Array) -> Array:
    """Table, jug, two oranges, an apple, a pear."""
    x, y, z = at.T
    table = np.maximum(y + 0.95, -z - 1.7)
    round_ = np.hypot(x + 0.55, z + 0.35)
    profile = (
        0.30 + 0.20 * np.sin(np.clip((y + 0.95) / 1.75, 0, 1) * np.pi * 1.12 + 0.12) - 0.06 * smooth(0.35, 0.75, y)
    )
    jug = np.maximum(np.abs(round_ - profile + 0.03) - 0.03, np.abs(y + 0.05) - 0.9) * 0.6
    ring = np.hypot(np.hypot(x + 1.10, (y - 0.12) * 0.75) - 0.27, z + 0.35) - 0.055
    jug = _joined(jug, ring * 0.8, 0.06)
    oranges = np.minimum(
        _ball(at, (0.28, -0.60, 0.35), (0.35, 0.34, 0.35)), _ball(at, (1.62, -0.62, -0.15), (0.33, 0.32, 0.33))
    )
    apple = _without(
        _ball(at, (0.98, -0.62, 0.42), (0.36, 0.33, 0.36)), _ball(at, (0.98, -0.26, 0.42), (0.07, 0.09, 0.07)), 0.14
    )
    pear = _joined(
        _ball(at, (-1.45, -0.58, 0.55), (0.36, 0.37, 0.36)), _ball(at, (-1.38, -0.12, 0.53), (0.19, 0.26, 0.19)), 0.25
    )
    return np.stack([table, jug, oranges, apple, pear])


def _glazes(at: Array, material: Indices) -> Array:
    x, y, z = at.T
    wood = 0.5 + 0.5 * np.sin(38 * z + 5 * sample(fractal(221, 3, 4), x * 0.2, z * 0.5))
    table = mix(np.array([0.22, 0.10, 0.045]), np.array([0.34, 0.17, 0.08]), wood)
    bands = smooth(0.06, 0.02, np.abs(np.abs(y + 0.18) - 0.22))
    jug = mix(np.array([0.62, 0.62, 0.58]), np.array([0.04, 0.10, 0.36]), bands)
    pitted = 1 + 0.15 * sample(fractal(222, 60, 2), x + z, y)
    oranges = np.array([0.78, 0.27, 0.02]) * pitted[:, None]
    apple = mix(
        np.array([0.50, 0.04, 0.03]),
        np.array([0.50, 0.42, 0.06]),
        smooth(0.2, 1.4, sample(fractal(223, 6, 3), x, y * 0.3)),
    )
    pear = np.array([0.42, 0.47, 0.08]) * (1 + 0.1 * sample(fractal(224, 30, 2), x, y))[:, None]
    return np.choose(material[:, None], [table, jug, oranges, apple, pear])


def _wall(across: Array, up: Array) -> Array:
    patina = sample(fractal(231, 2, 5), across * 0.22, up * 0.22)
    light = 0.20 + 0.16 * smooth(1.9, -1.2, across - 0.4 * up) + 0.02 * patina
    return np.array([0.86, 0.80, 0.66]) * light[..., None]


# --- Light ---


def _marched(scene: Scene, start: Array, direction: Array, near: float = 0.0) -> Array:
    """How far from ``start`` (n, 3) along ``direction`` (n, 3), beyond ``near``, a body is; infinite where none is."""
    travelled = np.full(len(start), near)
    going = np.arange(len(start))
    found = np.full(len(start), np.inf)
    for _ in range(MARCHED):
        distance = scene(start[going] + travelled[going, None] * direction[going]).min(axis=0)
        met = distance < 0.002
        found[going[met]] = travelled[going[met]]
        travelled[going] += np.maximum(distance, 0.002) * 0.9
        going = going[~met & (travelled[going] < FAR)]
        if not len(going):
            break
    return found


def _normals(scene: Scene, at: Array) -> Array:
    step = 0.004
    here = scene(at).min(axis=0)
    slopes = [scene(at + step * axis).min(axis=0) - here for axis in np.eye(3)]
    normal = np.stack(slopes, axis=1)
    return np.asarray(normal / np.maximum(_length(normal), 1e-9)[:, None], np.float64)


def _rendered(
    width: int,
    height: int,
    reach: float,
    centre: tuple[float, float],
    scene: Scene,
    paint: Paint,
    wall: Callable[[Array, Array], Array],
) -> Array:
    """The picture (height, width, 3) in sRGB, 0 to 1; ``reach`` is from its middle to its upper edge."""
    rows, columns = np.mgrid[1 : -1 : height * 1j, -1 : 1 : width * 1j]
    across, up = columns * reach * width / height, rows * reach
    eye = np.array([centre[0], centre[1], 7.0])
    aim = np.stack([across, up, np.full_like(up, -7.0)], axis=-1).reshape(-1, 3)
    rays = aim / _length(aim)[:, None]
    away = _marched(scene, np.broadcast_to(eye, rays.shape), rays, NEAR)
    seen = np.flatnonzero(np.isfinite(away))
    at = eye + away[seen, None] * rays[seen]
    normal = _normals(scene, at)
    facing = normal @ LIGHT
    towards = np.broadcast_to(LIGHT, at.shape)
    sun = np.where(np.isfinite(_marched(scene, at + 0.03 * normal, towards)), 0.12, 1.0) * np.maximum(facing, 0)
    nook = np.clip(scene(at + 0.16 * normal).min(axis=0) / 0.16, 0.2, 1)
    half_way = LIGHT - rays[seen]
    shine = np.maximum(np.einsum("ij,ij->i", normal, half_way) / _length(half_way), 0) ** 40
    light = sun[:, None] * np.array([1.35, 1.22, 1.05]) + nook[:, None] * np.array([0.24, 0.26, 0.31])
    colour = wall(across + centre[0], up + centre[1]).reshape(-1, 3)
    colour[seen] = paint(at, scene(at).argmin(axis=0)) * light + 0.10 * (shine * (sun > 0))[:, None]
    srgb = np.where(colour <= 0.0031308, 12.92 * colour, 1.055 * np.maximum(colour, 1e-9) ** (1 / 2.4) - 0.055)
    grain = 0.008 * np.random.default_rng(1).standard_normal((height, width, 1))
    return np.asarray(np.clip(srgb.reshape(height, width, 3) + grain, 0, 1), np.float64)
