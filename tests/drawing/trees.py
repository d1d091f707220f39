"""Trees and boats of the demo's scene: flat sprites in the landscape, shaded as if they were round."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tests.drawing.noise import Array, Mask, band, fractal, sample, smooth

Kind = Literal["broadleaf", "conifer", "poplar", "sail"]


@dataclass(frozen=True, slots=True)
class Sprite:
    """Stands upright at (x, z), its foot at height ``y``, metres; ``width`` is the half width."""

    kind: Kind
    x: float
    y: float
    z: float
    width: float
    height: float
    seed: int
    colour: tuple[float, float, float]


def cover(sprite: Sprite, u: Array, v: Array) -> tuple[Mask, Array, Array]:
    """What the sprite covers at ``u`` (-1 to 1 across) and ``v`` (0 foot to 1 top): a mask, normals, albedo."""
    match sprite.kind:
        case "conifer":
            return _conifer(sprite, u, v)
        case "sail":
            return _sail(sprite, u, v)
        case _:
            return _crown(sprite, u, v)


def _conifer(sprite: Sprite, u: Array, v: Array) -> tuple[Mask, Array, Array]:
    offset = sprite.seed * 0.137
    jag = sample(fractal(31, 12, 3), u * 0.25 + offset, v * 0.9 + offset)
    tier = (v * 9 + 0.25 * np.abs(u) * 4) % 1
    half = np.clip(1 - v, 0, 1) ** 0.9 * (0.62 + 0.38 * (1 - tier)) + 0.07 * jag
    inside = (np.abs(u) < half) & (v > 0.06)
    trunk = (np.abs(u) < 0.07) & (v <= 0.08) & (v > 0)
    side = np.clip(u / np.maximum(half, 1e-3), -1, 1)
    up = 0.55 - 0.8 * tier
    normal = np.stack([side + 0.25 * jag, up, -np.sqrt(np.maximum(0, 1 - side**2)) - 0.2], axis=-1)
    tone = (0.75 + 0.5 * (1 - tier) + 0.25 * jag)[..., None]
    albedo = np.where(trunk[..., None], (0.05, 0.035, 0.025), np.array(sprite.colour) * tone)
    return inside | trunk, normal, albedo


def _crown(sprite: Sprite, u: Array, v: Array) -> tuple[Mask, Array, Array]:
    dice = np.random.default_rng(sprite.seed)
    aspect = sprite.height / sprite.width
    slim = sprite.kind == "poplar"
    low = 0.08 if slim else 0.24
    # Far trees need fewer balls of foliage, the near one more and smaller ones: leaves are of one size everywhere.
    near = float(np.clip(sprite.width / 2.6, 1, 4))
    count = 12 if u.size < 900 else int(36 * near)
    scale = 0.22 * near
    shape = u.shape
    depth = np.full(shape, -np.inf)
    normal = np.zeros((*shape, 3))
    tone = np.zeros(shape)
    offset = dice.random(2)
    # Lengths are in half widths from here, so that the balls of foliage are round.
    x, y = u, v * aspect
    leaves = sample(fractal(41, 24, 4, 0.75), x * scale + offset[0], y * scale + offset[1])
    fringe = 1 + 0.14 * np.clip(leaves, -2, 2)
    crown_low, crown_top = low * aspect, aspect
    middle, half = (crown_low + crown_top) / 2, (crown_top - crown_low) / 2
    for _ in range(count):
        turn, lift, middling = dice.random() * 2 * np.pi, dice.random() * 2 - 1, dice.random() ** 0.5
        spread = np.sqrt(1 - lift**2) * middling
        radius = (0.22 + 0.2 * dice.random()) * (0.8 if slim else 1.0) / near**0.6
        cx, cz = spread * np.cos(turn) * (1 - radius), spread * np.sin(turn) * (1 - radius)
        cy = middle + lift * (half - radius)
        reach = 1.2 * radius
        left, right = np.searchsorted(u[0], (cx - reach, cx + reach))
        rows = np.flatnonzero(np.abs(y[:, 0] - cy) < reach)
        if left == right or not len(rows):
            continue
        part = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(left), int(right)))
        dx, dy = x[part] - cx, y[part] - cy
        inside = radius**2 * fringe[part] - dx**2 - dy**2
        z = cz - np.sqrt(np.maximum(inside, 0))
        nearer = (inside > 0) & (-z > depth[part])
        depth[part] = np.where(nearer, -z, depth[part])
        ball = np.stack([dx / radius, dy / radius, (z - cz) / radius], axis=-1)
        whole = np.stack([x[part], (y[part] - middle) / half, np.full(z.shape, -0.4)], axis=-1)
        normal[part] = np.where(nearer[..., None], 0.65 * ball + 0.5 * whole, normal[part])
        tone[part] = np.where(nearer, 0.8 + 0.25 * dice.random() + 0.28 * lift, tone[part])
    mask = np.isfinite(depth)
    # Gaps between leaves near the rim let the sky through.
    speckle = sample(band(47, 60), x * 2.3 * scale + offset[1], y * 2.3 * scale + offset[0])
    mask &= (leaves + 0.5 * speckle > -1.3) | (depth > 0.45)
    bump = sample(fractal(43, 40, 3, 0.8), x * 1.4 * scale + offset[0], y * 1.4 * scale)
    normal[..., 0] += 0.35 * bump
    normal[..., 1] += 0.3 * speckle
    tone = tone * (1 + 0.24 * leaves + 0.16 * speckle)
    warm = smooth(-1, 2, bump)[..., None]
    albedo = np.array(sprite.colour) * np.maximum(tone, 0.15)[..., None] * (1 + warm * np.array([0.35, 0.15, -0.1]))
    bole = (np.abs(u - 0.05 * np.sin(v * 9)) < 0.09 * (1.25 - v)) & (v > -0.02) & (v < low + 0.16) & ~mask
    grain = 1 + 0.35 * sample(fractal(44, 30, 3), x * 2.0, y * 0.25)
    albedo = np.where(bole[..., None], np.array([0.075, 0.055, 0.04]) * grain[..., None], albedo)
    trunk_normal = np.stack([u / 0.1, np.zeros(shape), np.full(shape, -0.7)], axis=-1)
    return mask | bole, np.where(bole[..., None], trunk_normal, normal), albedo


def _sail(sprite: Sprite, u: Array, v: Array) -> tuple[Mask, Array, Array]:
    """A boat under sail: a hull, a mast, a mainsail and a jib."""
    sheer = 0.11 + 0.03 * u**2
    hull = (v > -0.01) & (v < sheer) & (np.abs(u) < 0.62 + 2.2 * v)
    mast = (np.abs(u - 0.06) < 0.014) & (v > 0.08) & (v < 0.99)
    main = (u < 0.045) & (v > 0.18) & (v < 0.96) & (u > -0.72 * (0.96 - v) / 0.78 - 0.04 * np.sin(v * 4))
    jib = (u > 0.075) & (v > 0.16) & (v < 0.82) & (u < 0.075 + 0.62 * (0.82 - v) / 0.66)
    cloth = main | jib
    mask = hull | mast | cloth
    seam = 1 - 0.18 * (np.abs((v * 9) % 1 - 0.5) > 0.45)
    white = np.array(sprite.colour) * seam[..., None]
    stripe = (v > sheer - 0.035)[..., None]
    wood = np.where(stripe, (0.55, 0.5, 0.42), (0.16, 0.035, 0.025))
    albedo = np.where(cloth[..., None], white, np.where(hull[..., None], wood, (0.1, 0.06, 0.03)))
    normal = np.stack([np.where(jib, 0.25, -0.45) + 0.5 * u, np.full(u.shape, 0.15), np.full(u.shape, -0.8)], axis=-1)
    return mask, normal, albedo
