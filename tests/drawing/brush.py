"""The demo's first style: an oil painting of about twenty thousand curved strokes.

It shows wind, a low sun, hills and a field, and copies no painting. Each stroke follows a flow field
with bristles of its own; paint has thickness, and a lamp from the upper left finds its ridges (Hertzmann 1998 and 2002
are where curved strokes and their lighting come from).
"""

from dataclasses import dataclass

import numpy as np

from tests.drawing.noise import Array, band, fractal, mix, sample, smooth

STEPS = 26
"""Points along a stroke."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Strokes of one size; lengths are fractions of the picture's side."""

    count: int
    width: float
    length: float
    jitter: float  # of the colour


LAYERS = (
    Layer(1100, 0.020, 0.17, 0.05),
    Layer(4200, 0.0115, 0.12, 0.075),
    Layer(9500, 0.0072, 0.085, 0.095),
    Layer(5200, 0.0046, 0.06, 0.12),
)

# Centres of swirls: x, y, radius, turn; y is down and all are fractions of the side.
SWIRLS = (
    (0.20, 0.20, 0.19, 1.0),
    (0.50, 0.13, 0.11, -1.0),
    (0.86, 0.17, 0.15, -1.0),
    (0.12, 0.49, 0.11, -1.0),
    (0.93, 0.55, 0.10, 1.0),
)
SUNS = ((0.56, 0.45, 0.090),)


def _hill(x: Array) -> tuple[Array, Array]:
    """Heights of two ridges."""
    far = 0.66 - 0.10 * np.sin(3.1 * x + 0.6) - 0.035 * np.sin(8.3 * x + 1.0)
    near = 0.83 - 0.07 * np.sin(4.1 * x + 2.6) - 0.02 * np.sin(11.0 * x)
    return far, near


def flow(x: Array, y: Array) -> Array:
    """Direction of the brush, radians, at x to the right and y down."""
    wobble = sample(fractal(101, 2, 3), x * 0.8, y * 0.8)
    across = np.cos(0.5 * wobble) + 0.0 * x
    down = 0.35 * np.sin(5.5 * x + 1.5 * wobble) + 0.25 * wobble
    for cx, cy, radius, turn in SWIRLS:
        dx, dy = x - cx, y - cy
        distance = np.hypot(dx, dy) + 1e-6
        pull = 2.6 * np.exp(-((distance / radius) ** 2))
        # A little inward, so that rings become spirals.
        across += pull * (-turn * dy - 0.28 * dx) / distance
        down += pull * (turn * dx - 0.28 * dy) / distance
    for cx, cy, radius in SUNS:
        dx, dy = x - cx, y - cy
        distance = np.hypot(dx, dy) + 1e-6
        pull = 2.2 * np.exp(-((distance / (1.9 * radius)) ** 2))
        across += -pull * dy / distance
        down += pull * dx / distance
    angle = np.arctan2(down, across)
    far, near = _hill(x)
    slope = -0.31 * np.cos(3.1 * x + 0.6) - 0.29 * np.cos(8.3 * x + 1.0)
    rolling = np.arctan(slope) + 0.5 * wobble + 0.25
    furrow = np.arctan(-0.29 * np.cos(4.1 * x + 2.6)) - 0.7 + 1.9 * (x - 0.5) + 0.35 * wobble
    angle = np.where(y > far, rolling, angle)
    return np.where(y > near, furrow, angle)


def palette(x: Array, y: Array) -> Array:
    """The intended colour (…, 3), sRGB, at x, y."""
    broad, fine = sample(fractal(111, 3, 4), x * 0.9, y * 0.9), sample(band(112, 14), x, y)
    night, blue, azure = np.array([0.05, 0.09, 0.27]), np.array([0.09, 0.26, 0.60]), np.array([0.36, 0.63, 0.80])
    pale, ochre, gold = np.array([0.90, 0.91, 0.82]), np.array([0.82, 0.56, 0.13]), np.array([0.99, 0.85, 0.36])
    colour = mix(night, blue, smooth(-1.3, 0.9, broad + 0.35 * fine + 1.1 * (y - 0.2)))
    for cx, cy, radius, _ in SWIRLS:
        dx, dy = x - cx, y - cy
        distance, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
        arms = np.sin(turn * 2 + 30 * distance / (radius / 0.2) ** 0.7) + 0.4 * fine
        near = np.exp(-((distance / (1.05 * radius)) ** 2))
        colour = mix(colour, azure, np.clip(smooth(-0.3, 0.9, arms) * near * 1.25, 0, 0.92))
        colour = mix(colour, pale, np.clip(smooth(0.75, 1.25, arms) * near * 1.2, 0, 0.9))
    for cx, cy, radius in SUNS:
        distance = np.hypot(x - cx, y - cy) / radius
        rings = 0.5 + 0.5 * np.cos(5.2 * distance + fine)
        colour = mix(colour, mix(ochre, pale, rings), np.exp(-((distance / 2.5) ** 2)) * 0.92)
        colour = mix(colour, gold, smooth(1.15, 0.75, distance))
        colour = mix(colour, np.array([1.0, 0.97, 0.80]), smooth(0.55, 0.3, distance))
    far, near = _hill(x)
    glow = np.exp(-np.maximum(far - y, 0) / 0.05)
    colour = mix(colour, np.array([0.72, 0.76, 0.62]), 0.65 * glow * (y < far))
    slope = mix(np.array([0.07, 0.25, 0.36]), np.array([0.30, 0.55, 0.42]), smooth(-0.7, 0.9, broad + fine))
    bands = np.sin(70 * (y - far) + 9 * x + broad)
    slope = mix(slope, np.array([0.06, 0.10, 0.26]), smooth(-0.1, 0.8, bands) * 0.85)
    slope = mix(slope, np.array([0.80, 0.72, 0.34]), smooth(0.80, 1.0, -bands) * 0.8)
    field = mix(np.array([0.62, 0.36, 0.07]), np.array([0.93, 0.70, 0.20]), smooth(-0.8, 0.8, fine + 0.5 * broad))
    stripes = np.sin(46 * (x - 0.5) / (0.35 + 1.6 * np.maximum(y - near, 0)) + broad)
    field = mix(field, np.array([0.16, 0.26, 0.14]), smooth(0.1, 0.9, stripes))
    field = mix(field, np.array([0.66, 0.15, 0.06]), smooth(0.75, 1.0, -stripes) * 0.7)
    colour = np.where((y > far)[..., None], slope, colour)
    return np.where((y > near)[..., None], field, colour)


@dataclass(eq=False, slots=True)
class Canvas:
    """Colour (side, side, 3) in sRGB and thickness of the paint (side, side)."""

    colour: Array
    relief: Array


def _stroke(canvas: Canvas, path: Array, width: float, colour: Array, dice: np.random.Generator) -> None:
    """Drag a brush along ``path`` (n, 2), pixels (x, y): for each pixel nearby find how far along and aside it is."""
    side = len(canvas.relief)
    low = np.maximum(np.floor(path.min(axis=0) - width - 1), 0).astype(int)
    high = np.minimum(np.ceil(path.max(axis=0) + width + 2), side).astype(int)
    if (high <= low).any():
        return
    xs, ys = np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5
    squared = np.square(xs[None, :, None] - path[:, 0]) + np.square(ys[:, None, None] - path[:, 1])
    nearest = squared.argmin(axis=-1)
    distance2 = np.take_along_axis(squared, nearest[..., None], axis=-1)[..., 0]
    row, column = np.nonzero(distance2 < width**2)
    if not len(row):
        return
    point = nearest[row, column]
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    dx, dy = xs[column] - path[point, 0], ys[row] - path[point, 1]
    aside = (dx * -tangent[point, 1] + dy * tangent[point, 0]) / width
    ahead = point + (dx * tangent[point, 0] + dy * tangent[point, 1]) / max(np.hypot(*(path[1] - path[0])), 1e-6)
    share = np.clip(ahead / (len(path) - 1), 0, 1)
    bristles = max(5, int(width * 1.3))
    streak = dice.standard_normal(bristles + 3)
    place = (aside + 1) / 2 * bristles
    index = place.astype(np.intp)
    bristle = streak[index] + (streak[index + 1] - streak[index]) * (place - index)
    # The brush runs dry: towards the end only the fuller bristles still leave paint.
    ragged = 1 - 0.16 * dice.random() - 0.05 * bristle
    cover = smooth(0.0, 0.22, ragged - np.abs(aside)) * smooth(0.0, 0.05, share + 0.02 * bristle + 0.02)
    cover *= np.clip(1.12 - smooth(0.72, 1.0, share - 0.07 * bristle) * 1.1, 0, 1)
    cover = np.clip(cover, 0, 1) * 0.97
    tone = np.clip(colour * (1 + 0.085 * bristle[:, None]) + 0.018 * bristle[:, None], 0, 1)
    ridge = 0.55 + 0.32 * bristle + 0.9 * smooth(0.45, 0.85, np.abs(aside)) * (1 - share)
    ridge += 0.8 * np.exp(-np.square((share - 0.93) / 0.05)) + 0.4 * smooth(0.12, 0.0, share)
    target = (row + low[1], column + low[0])
    canvas.colour[target] += (tone - canvas.colour[target]) * cover[:, None]
    canvas.relief[target] += (
        ridge * min(width / 6, 1.5) + 0.35 * canvas.relief[target] - canvas.relief[target]
    ) * cover


def _paths(x: Array, y: Array, length: float) -> Array:
    """Curves (count, STEPS, 2) that follow the flow from (x, y) to both sides."""
    halves = []
    for way in (-1.0, 1.0):
        px, py = x.copy(), y.copy()
        points = []
        for _ in range(STEPS // 2):
            angle = flow(px, py)
            px, py = px + way * np.cos(angle) * length / STEPS, py + way * np.sin(angle) * length / STEPS
            points.append(np.stack([px, py], axis=-1))
        halves.append(points)
    return np.stack([*reversed(halves[0]), *halves[1]], axis=1)


def paint(side: int, seed: int = 1) -> Array:
    """The painting (side, side, 3) in sRGB, 0 to 1. The same arguments give the same picture."""
    dice = np.random.default_rng(seed)
    ground = np.broadcast_to(np.array([0.30, 0.22, 0.15]), (side, side, 3)).copy()
    canvas = Canvas(ground, np.zeros((side, side)))
    for number, layer in enumerate(LAYERS):
        # A generator of its own: the number of bristles depends on the size, the plan must not.
        plan = np.random.default_rng((seed, number))
        x, y = plan.uniform(-0.03, 1.03, (2, layer.count))
        paths = _paths(x, y, layer.length)
        colours = palette(x, y) + layer.jitter * (
            plan.standard_normal((layer.count, 1)) + 0.38 * plan.standard_normal((layer.count, 3))
        )
        thickness = plan.uniform(0.7, 1.25, layer.count)
        for path, colour, thick in zip(paths, np.clip(colours, 0, 1), thickness, strict=True):
            _stroke(canvas, path * side, max(layer.width * side * thick, 1.2), colour, dice)
    return _under_a_lamp(canvas, side, dice)


def _under_a_lamp(canvas: Canvas, side: int, dice: np.random.Generator) -> Array:
    weave = sample(band(121, 90), *np.meshgrid(np.arange(side) / 300, np.arange(side) / 300))
    relief = canvas.relief + 0.05 * weave + 0.02 * dice.standard_normal((side, side))
    down, across = np.gradient(relief)
    normal = np.stack([-1.5 * across, -1.5 * down, np.ones_like(relief)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lamp = np.array([-0.48, -0.62, 0.75]) / np.linalg.norm([-0.48, -0.62, 0.75])
    half = lamp + np.array([0, 0, 1])
    half /= np.linalg.norm(half)
    diffuse = normal @ lamp / lamp[2]
    shine = np.maximum(normal @ half, 0) ** 42 - half[2] ** 42
    lit = canvas.colour * (0.38 + 0.62 * diffuse)[..., None] + 0.16 * shine[..., None]
    return np.asarray(np.clip(lit, 0, 1), np.float64)
