"""The town of the demo's scene: convex solids and the textures of their faces.

Lengths are metres. The axes: x to the right, y up from the lake's surface, z away from the viewer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tests.drawing.noise import Array, Indices, Mask, fractal, hashed, mix, sample, smooth

Surface = Literal["wall", "timbered", "roof", "slate", "stone", "plain", "tower"]
Colour = tuple[float, float, float]

STOREY = 2.9


@dataclass(frozen=True, eq=False, slots=True)
class Solid:
    """The points p with ``normals @ p <= offsets``: a convex body with one surface."""

    normals: Array  # (k, 3), of length 1
    offsets: Array  # (k,)
    centre: Array  # (3,) of a sphere around it
    radius: float
    surface: Surface
    colour: Colour
    origin: Array  # (3,) of the local frame: the middle of the floor
    angle: float  # of the local frame, about y
    width: float
    eave: float
    ridge: float
    seed: int

    def hit(self, origin: Array, directions: Array) -> tuple[Array, Indices]:
        """Distance in units of ``directions`` (n, 3) to where the rays enter, infinite for a miss, and which face."""
        near = np.full(len(directions), -np.inf)
        far = np.full(len(directions), np.inf)
        face = np.zeros(len(directions), np.intp)
        for index, (normal, offset) in enumerate(zip(self.normals, self.offsets, strict=True)):
            along = directions @ normal
            along = np.where(np.abs(along) < 1e-9, 1e-9, along)
            t = (offset - (origin @ normal)) / along
            entering = along < 0
            closer = entering & (t > near)
            near = np.where(closer, t, near)
            face = np.where(closer, index, face)
            far = np.where(entering, far, np.minimum(far, t))
        return np.where((near < far) & (near > 1e-3), near, np.inf), face


def _solid(
    planes: list[tuple[Colour, float]],
    *,
    at: Colour,
    angle: float,
    size: Colour,
    surface: Surface,
    colour: Colour,
    eave: float = 0.0,
    ridge: float = 0.0,
    seed: int = 0,
) -> Solid:
    """From planes in the local frame (across, up, deep): an outward normal, and its distance from the origin."""
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    normals = np.array([normal for normal, _ in planes], np.float64)
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals @ turn.T / lengths[:, None]
    origin = np.array(at, np.float64)
    offsets = np.array([offset for _, offset in planes]) / lengths + normals @ origin
    centre = origin + np.array([0, size[1] / 2, 0])
    radius = float(np.linalg.norm(size)) / 2
    return Solid(normals, offsets, centre, radius, surface, colour, origin, angle, size[0], eave, ridge, seed)


def box(at: Colour, size: Colour, surface: Surface, colour: Colour, angle: float = 0.0, seed: int = 0) -> Solid:
    """Width, height and depth on the middle of its floor."""
    width, height, depth = size
    planes: list[tuple[Colour, float]] = [
        ((1, 0, 0), width / 2),
        ((-1, 0, 0), width / 2),
        ((0, 0, 1), depth / 2),
        ((0, 0, -1), depth / 2),
        ((0, 1, 0), height),
        ((0, -1, 0), 0.0),
    ]
    return _solid(planes, at=at, angle=angle, size=size, surface=surface, colour=colour, eave=height, seed=seed)


def spire(at: Colour, width: float, height: float, colour: Colour, sides: int = 4, angle: float = 0.0) -> Solid:
    """A pyramid with ``sides`` sides."""
    turns = [2 * np.pi * (k + 0.5) / sides for k in range(sides)]
    planes: list[tuple[Colour, float]] = [
        ((float(np.cos(a)), width / 2 / height, float(np.sin(a))), width / 2) for a in turns
    ]
    planes.append(((0, -1, 0), 0.0))
    return _solid(planes, at=at, angle=angle, size=(width, height, width), surface="slate", colour=colour)


def house(
    at: Colour,
    size: Colour,
    roof: float,
    angle: float,
    colours: tuple[Colour, Colour],
    *,
    gable: bool,
    surface: Surface = "wall",
    roofing: Surface = "roof",
    seed: int = 0,
) -> Iterator[Solid]:
    """Walls up to the eaves at ``size[1]``, a saddle roof ``roof`` higher, whose gable looks at the viewer or aside."""
    width, eave, depth = size
    if not gable:
        angle, width, depth = angle + np.pi / 2, depth, width
    half = width / 2
    apex = (eave + roof) * half
    body: list[tuple[Colour, float]] = [
        ((1, 0, 0), half),
        ((-1, 0, 0), half),
        ((0, 0, 1), depth / 2),
        ((0, 0, -1), depth / 2),
        ((roof, half, 0), apex),
        ((-roof, half, 0), apex),
        ((0, -1, 0), 0.0),
    ]
    whole = (width, eave + roof, depth)
    ridge = eave + roof
    yield _solid(
        body, at=at, angle=angle, size=whole, surface=surface, colour=colours[0], eave=eave, ridge=ridge, seed=seed
    )
    thick, over = 0.28 * float(np.hypot(roof, half)), 0.45
    for side in (1.0, -1.0):
        slab: list[tuple[Colour, float]] = [
            ((side * roof, half, 0), apex + thick),
            ((-side * roof, -half, 0), -apex),
            ((side, 0, 0), half + over),
            ((-side, 0, 0), 0.0),
            ((0, 0, 1), depth / 2 + over),
            ((0, 0, -1), depth / 2 + over),
        ]
        larger = (width + 2, eave + roof + 1, depth + 2)
        yield _solid(
            slab, at=at, angle=angle, size=larger, surface=roofing, colour=colours[1], eave=eave, ridge=ridge, seed=seed
        )


def paint(solid: Solid, points: Array, normals: Array) -> tuple[Array, Array]:
    """Albedo (n, 3), linear, and how much of a mirror (n,) the surface is at ``points`` on it."""
    local = points - solid.origin
    cos, sin = np.cos(solid.angle), np.sin(solid.angle)
    across, deep = local[:, 0] * cos + local[:, 2] * sin, -local[:, 0] * sin + local[:, 2] * cos
    facing_across = np.abs(normals[:, 0] * cos + normals[:, 2] * sin) > 0.7
    along, up = np.where(facing_across, deep, across), local[:, 1]
    colour = np.broadcast_to(np.array(solid.colour), points.shape)
    rough = sample(fractal(5, 8), along / 9 + solid.seed * 0.37, up / 9 + solid.seed * 0.71)
    fine = sample(fractal(9, 48, 3), along / 5 + solid.seed * 0.2, up / 5)
    gloss = np.zeros(len(points))
    match solid.surface:
        case "roof" | "slate":
            return _tiles(solid, colour, deep, np.hypot(across, up), rough), gloss
        case "stone":
            return _masonry(colour, along, up, rough), gloss
        case "plain":
            return colour * (1 + 0.10 * rough + 0.08 * fine)[:, None], gloss
        case "tower":
            albedo = mix(_masonry(colour, along, up, rough), colour, np.full(len(points), 0.72))
            return _tower_front(solid, albedo, along, up), gloss
        case "wall" | "timbered":
            weathered = colour * (1 + 0.09 * rough + 0.05 * fine)[:, None]
            streaks = sample(fractal(14, 16, 3), along / 4, up / 40 + solid.seed * 0.1)
            weathered = weathered * (1 - 0.10 * smooth(0.3, 2, streaks))[:, None]
            if solid.surface == "timbered":
                weathered = _beams(weathered, along, up)
            return _windows(solid, weathered, along, up, facing_across)
    raise ValueError(solid.surface)


def _tiles(solid: Solid, colour: Array, along: Array, slope: Array, rough: Array) -> Array:
    size = 0.42 if solid.surface == "roof" else 0.5
    row = np.floor(slope / size)
    column = along / size + 0.5 * (row % 2)
    tone = 0.72 + 0.5 * hashed(row, column, np.full_like(row, solid.seed)) + 0.13 * rough
    tone *= 0.55 + 0.45 * smooth(0.0, 0.3, slope / size % 1)
    moss = 0.35 * smooth(0.7, 2.0, rough)
    return mix(colour * tone[:, None], np.broadcast_to((0.10, 0.12, 0.05), colour.shape), moss)


def _masonry(colour: Array, along: Array, up: Array, rough: Array) -> Array:
    row = np.floor(up / 0.45)
    column = along / 0.95 + 0.5 * (row % 2)
    tone = 0.75 + 0.45 * hashed(row, column) + 0.12 * rough
    joint = np.minimum(np.minimum(up / 0.45 % 1, 1 - up / 0.45 % 1), 2 * np.minimum(column % 1, 1 - column % 1))
    return np.asarray(colour * (tone * (0.55 + 0.45 * smooth(0.02, 0.14, joint)))[:, None])


def _beams(colour: Array, along: Array, up: Array) -> Array:
    """Half-timbering over a plastered ground floor."""
    period = 1.45
    cell, level = along / period % 1, (up - STOREY) / STOREY % 1
    upright = np.minimum(cell, 1 - cell) * period < 0.11
    sill = np.minimum(level, 1 - level) * STOREY < 0.13
    odd = np.floor(along / period) % 3 == 0
    brace = odd & (np.abs(cell - level) * period < 0.14)
    timber = (upright | sill | brace) & (up > STOREY - 0.14)
    return mix(colour, np.broadcast_to((0.075, 0.04, 0.022), colour.shape), timber.astype(np.float64))


def _windows(solid: Solid, colour: Array, along: Array, up: Array, aside: Mask) -> tuple[Array, Array]:
    dice = np.random.default_rng(solid.seed)
    pitch = 2.05 + 0.6 * dice.random()
    tone = [(0.03, 0.12, 0.08), (0.03, 0.07, 0.16), (0.16, 0.05, 0.03), (0.10, 0.09, 0.07)][int(dice.integers(4))]
    column = np.floor(along / pitch)
    middle = (column + 0.5) * pitch
    storey = np.floor(up / STOREY)
    x, y = np.abs(along - middle), up - storey * STOREY
    outline = np.where(
        aside,
        solid.eave - 0.3,
        solid.eave + (solid.ridge - solid.eave) * (1 - (np.abs(middle) + 0.75) / (solid.width / 2)),
    )
    exists = ((storey + 1) * STOREY - 0.55 < outline) & (storey >= 1)
    lit = hashed(column, storey, np.full_like(column, solid.seed))
    pane = exists & (x < 0.42) & (y > 0.85) & (y < 2.15)
    frame = exists & (x < 0.54) & (y > 0.73) & (y < 2.27) & ~pane
    bar = pane & ((x < 0.04) | (np.abs(y - 1.65) < 0.045))
    shutter = exists & (x > 0.54) & (x < 0.92) & (y > 0.78) & (y < 2.22)
    sill = exists & (x < 0.62) & (np.abs(y - 0.68) < 0.07)
    flowers = exists & (lit > 0.55) & (x < 0.56) & (y > 0.55) & (y < 0.95)
    ground = storey == 0
    arch = ground & (x < 0.72) & (y < 1.75 + np.sqrt(np.maximum(0, 0.52 - x**2))) & (lit < 0.75)
    surround = ground & (x < 0.88) & (y < 1.88 + np.sqrt(np.maximum(0, 0.78 - x**2))) & (lit < 0.75) & ~arch
    plinth = (up < 0.75) & ~arch
    # Glass is dark and mirrors the sky; some windows have curtains.
    glass = np.where((lit > 0.8)[:, None], (0.22, 0.19, 0.14), (0.018, 0.024, 0.034))
    louvres = 0.65 + 0.5 * (np.floor(y / 0.085) % 2)
    bloom = np.array([(0.55, 0.03, 0.05), (0.60, 0.12, 0.25), (0.05, 0.16, 0.03), (0.07, 0.20, 0.04)])
    petals = bloom[(hashed(along * 9, up * 9) * 4).astype(np.intp)]
    colour = np.where(plinth[:, None], colour * 0.55, colour)
    colour = np.where(surround[:, None], (0.36, 0.32, 0.26), colour)
    colour = np.where(arch[:, None], (0.045, 0.03, 0.022), colour)
    colour = np.where(shutter[:, None], np.array(tone) * louvres[:, None], colour)
    colour = np.where((frame | bar | sill)[:, None], (0.62, 0.60, 0.55), colour)
    colour = np.where((pane & ~bar)[:, None], glass, colour)
    colour = np.where(flowers[:, None], petals, colour)
    return colour, np.where(pane & ~bar & ~flowers, 0.55, 0.0)


def _tower_front(solid: Solid, colour: Array, along: Array, up: Array) -> Array:
    """Belfry openings, a clock, slits and cornices."""
    top = solid.eave
    belfry = (np.abs(np.abs(along) - 0.85) < 0.48) & (up > top - 4.3)
    belfry &= up < top - 1.6 + np.sqrt(np.maximum(0, 0.23 - np.square(np.abs(along) - 0.85)))
    louvre = np.where(np.floor(up / 0.22) % 2 == 0, 0.05, 0.015)
    radius = np.hypot(along, up - (top - 7.0))
    turn = np.arctan2(along, up - (top - 7.0))
    face, rim = radius < 1.45, (radius > 1.3) & (radius < 1.55)
    hours = (radius > 1.0) & (radius < 1.25) & (np.abs((turn / (np.pi / 6)) % 1 - 0.5) > 0.36)
    hands = (radius < 1.0) & (np.abs(np.sin(turn - 0.9)) * radius < 0.07) & (np.cos(turn - 0.9) > 0)
    hands |= (radius < 0.7) & (np.abs(np.sin(turn + 1.2)) * radius < 0.09) & (np.cos(turn + 1.2) > 0)
    slit = (np.abs(along) < 0.22) & (np.abs(up % 6.0 - 3.0) < 0.8) & (up < top - 9.5)
    cornice = (np.abs(up - (top - 0.25)) < 0.25) | (np.abs(up - (top - 5.0)) < 0.18) | (np.abs(up - (top - 9.2)) < 0.18)
    quoin = (np.abs(along) > solid.width / 2 - 0.45) & (np.floor(up / 0.6) % 2 == 0)
    colour = np.where((cornice | quoin)[:, None], (0.50, 0.44, 0.34), colour)
    colour = np.where(face[:, None], (0.75, 0.72, 0.62), colour)
    colour = np.where((rim | hours | hands)[:, None], (0.03, 0.03, 0.05), colour)
    colour = np.where(slit[:, None], (0.02, 0.02, 0.02), colour)
    return np.where(belfry[:, None], louvre[:, None] * np.ones(3), colour)
