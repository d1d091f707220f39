"""The demo's content picture: a town on a lake below mountains, rendered by ray casting.

One picture is rendered from the viewer and one from the viewer's mirror image under the lake; the second one, shaken
by waves, is what the water shows. Lengths are metres, see :mod:`tests.drawing.town`. Colours are linear until the end.
"""

from dataclasses import dataclass, field

import numpy as np

from tests.drawing import town
from tests.drawing.noise import Array, band, fractal, mix, sample, smooth
from tests.drawing.town import Colour, Solid
from tests.drawing.trees import Sprite, cover
from tests.drawing.valley import ground, land, solids, sprites

EYE = 9.0
FAR = 2600.0
SUN: Array = np.array([-0.62, 0.50, -0.50]) / np.sqrt(0.8844)
SUNLIGHT = np.array([3.3, 2.72, 1.98])
SKYLIGHT = np.array([0.34, 0.47, 0.72])
BOUNCE = np.array([0.20, 0.16, 0.11])
HAZE = np.array([0.50, 0.60, 0.74])


@dataclass(eq=False, slots=True)
class View:
    """A camera at ``eye`` above the lake that looks along z, and what each of its pixels sees."""

    width: int
    height: int
    eye: float
    columns: Array = field(init=False)  # x / z of each column
    slopes: Array = field(init=False)  # y / z of each row
    depth: Array = field(init=False)  # z
    normal: Array = field(init=False)
    albedo: Array = field(init=False)
    gloss: Array = field(init=False)

    def __post_init__(self) -> None:
        focal = 1.1 * self.width
        shape = (self.height, self.width)
        self.columns = (np.arange(self.width, dtype=np.float64) + 0.5 - self.width / 2) / focal
        slopes: Array = (0.47 * self.height - np.arange(self.height, dtype=np.float64) - 0.5) / focal
        self.slopes = slopes if self.eye > 0 else -slopes
        self.depth = np.full(shape, np.inf)
        self.normal = np.zeros((*shape, 3))
        self.albedo = np.zeros((*shape, 3))
        self.gloss = np.zeros(shape)

    @property
    def focal(self) -> float:
        """Pixels."""
        return 1.1 * self.width

    def window(self, centre: Colour, half_width: float, half_height: float, half_depth: float) -> tuple[slice, slice]:
        """Rows and columns in which something of that size may appear; they may be empty."""
        x, y, z = centre
        near, far = max(z - half_depth, 1.0), z + half_depth
        left, right = (x - half_width, x + half_width)
        low, high = (y - half_height - self.eye, y + half_height - self.eye)
        columns = np.flatnonzero(
            (self.columns >= min(left / near, left / far)) & (self.columns <= max(right / near, right / far))
        )
        rows = np.flatnonzero(
            (self.slopes >= min(low / near, low / far)) & (self.slopes <= max(high / near, high / far))
        )
        if not len(columns) or not len(rows):
            return slice(0, 0), slice(0, 0)
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


# --- What each pixel sees ---


def _cast_land(view: View) -> None:
    """Hit the ground column by column: a point is visible where its slope is the highest so far."""
    distance = np.geomspace(16, FAR, 1500)
    x = view.columns[None, :] * distance[:, None]
    height = land(x, np.broadcast_to(distance[:, None], x.shape))
    height = np.where(height > 0.02, height, -1e6)
    slope = (height - view.eye) / distance[:, None]
    highest = np.maximum.accumulate(slope, axis=0)
    first = np.stack([np.searchsorted(highest[:, j], view.slopes) for j in range(view.width)], axis=1)
    # A ray that meets the lake first sees no land.
    met = distance[np.minimum(first, len(distance) - 1)]
    dry = view.eye + view.slopes[:, None] * met > -0.02
    row, column = np.nonzero((first < len(distance)) & (first > 0) & dry)
    index = first[row, column]
    before, after = slope[index - 1, column], slope[index, column]
    share = np.clip((view.slopes[row] - before) / np.maximum(after - before, 1e-9), 0, 1)
    share = np.where(before < -1e3, 1.0, share)
    z = distance[index - 1] + (distance[index] - distance[index - 1]) * share
    x = view.columns[column] * z
    y = view.eye + view.slopes[row] * z
    step = np.maximum(0.12, z / 500)
    normal = np.stack([land(x - step, z) - land(x + step, z), 2 * step, land(x, z - step) - land(x, z + step)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    view.depth[row, column] = z
    view.normal[row, column] = normal
    view.albedo[row, column] = ground(x, y, z, normal)


def _cast_solids(view: View, bodies: list[Solid]) -> None:
    eye = np.array([0.0, view.eye, 0.0])
    for solid in bodies:
        x, y, z = (float(c) for c in solid.centre)
        rows, columns = view.window((x, y, z), solid.radius, solid.radius, solid.radius)
        across, up = np.meshgrid(view.columns[columns], view.slopes[rows])
        if not across.size:
            continue
        rays = np.stack([across, up, np.ones_like(up)], axis=-1).reshape(-1, 3)
        t, face = solid.hit(eye, rays)
        seen = np.flatnonzero(t < view.depth[rows, columns].reshape(-1))
        if not len(seen):
            continue
        normals = solid.normals[face[seen]]
        albedo, gloss = town.paint(solid, eye + rays[seen] * t[seen, None], normals)
        row, column = np.unravel_index(seen, across.shape)
        place = (row + rows.start, column + columns.start)
        view.depth[place], view.normal[place] = t[seen], normals
        view.albedo[place], view.gloss[place] = albedo, gloss


def _cast_sprites(view: View, stands: list[Sprite]) -> None:
    for sprite in stands:
        centre = (sprite.x, sprite.y + sprite.height / 2, sprite.z)
        rows, columns = view.window(centre, 1.2 * sprite.width, 0.58 * sprite.height, 0.0)
        u = (view.columns[columns] * sprite.z - sprite.x) / sprite.width
        v = (view.eye + view.slopes[rows] * sprite.z - sprite.y) / sprite.height
        across, up = np.meshgrid(u, v)
        if not across.size:
            continue
        mask, normal, albedo = cover(sprite, across, up)
        mask &= sprite.z < view.depth[rows, columns]
        row, column = np.nonzero(mask)
        place = (row + rows.start, column + columns.start)
        chosen = normal[row, column]
        view.depth[place] = sprite.z
        view.normal[place] = chosen / np.maximum(np.linalg.norm(chosen, axis=-1, keepdims=True), 1e-6)
        view.albedo[place] = albedo[row, column]
        view.gloss[place] = 0


# --- Light ---


def _lit(points: Array, normals: Array, bodies: list[Solid], stands: list[Sprite], softness: Array) -> Array:
    """0 in shadow, 1 in the sun. Each ray goes to another point of the sun (``softness``), so edges come out soft."""
    towards = SUN + softness
    towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
    start = points + 0.06 * normals
    light = np.ones(len(points))
    nearby = np.flatnonzero((points[:, 2] < 190) & (normals @ SUN > 0))
    start, towards = start[nearby], towards[nearby]
    shade = np.ones(len(nearby))
    for solid in bodies:
        away = solid.centre - start
        along = away @ SUN
        close = np.flatnonzero(
            (along > -solid.radius) & (np.einsum("ij,ij->i", away, away) - along**2 < (solid.radius + 0.6) ** 2)
        )
        if len(close):
            t = _entry(solid, start[close], towards[close])
            shade[close] = np.where(np.isfinite(t), 0.0, shade[close])
    for sprite in stands:
        if sprite.z > 125 or sprite.kind == "sail":
            continue
        away = np.array([sprite.x, sprite.y + 0.62 * sprite.height, sprite.z]) - start
        along = away @ SUN
        inside = np.sqrt(np.maximum(np.einsum("ij,ij->i", away, away) - along**2, 0)) / (0.85 * sprite.width)
        shade *= 1 - 0.85 * (1 - smooth(0.55, 1.15, inside)) * (along > sprite.width)
    light[nearby] = shade
    return light


def _entry(solid: Solid, starts: Array, directions: Array) -> Array:
    """Like :meth:`Solid.hit`, with a start for each ray."""
    near, far = np.full(len(starts), 1e-3), np.full(len(starts), np.inf)
    for normal, offset in zip(solid.normals, solid.offsets, strict=True):
        along = directions @ normal
        along = np.where(np.abs(along) < 1e-9, 1e-9, along)
        t = (offset - starts @ normal) / along
        near = np.where(along < 0, np.maximum(near, t), near)
        far = np.where(along < 0, far, np.minimum(far, t))
    return np.where(near < far, near, np.inf)


def sky(across: Array, up: Array) -> Array:
    """Colour (…, 3) of the sky in the direction (across, up, 1)."""
    rise = np.maximum(up, 0) / np.sqrt(1 + across**2 + up**2)
    blue = mix(np.array([0.62, 0.70, 0.80]), np.array([0.10, 0.24, 0.58]), smooth(-0.02, 0.42, rise))
    glow = np.exp(-np.square((across + 0.62) / 0.42) - rise / 0.16)
    blue = blue + glow[..., None] * np.array([0.55, 0.32, 0.12])
    u, v = across / (rise + 0.13), 1 / (rise + 0.13)

    def density(du: float, dv: float) -> Array:
        coarse = sample(fractal(61, 3, 8, 0.56), (u + du) * 0.16 + 0.12, (v + dv) * 0.13 + 0.55)
        return smooth(0.55, 1.5, coarse)

    cloud = density(0, 0) * smooth(0.0, 0.06, rise)
    thick = density(-0.10, 0.10)
    shade = np.clip(1.2 - 0.6 * thick - 0.15 * cloud, 0.3, 1.0)
    bright = mix(np.array([0.42, 0.47, 0.58]), np.array([1.75, 1.58, 1.38]), np.clip(shade, 0, 1))
    return mix(blue, bright, np.clip(cloud * 1.15, 0, 0.97))


def _shaded(view: View, bodies: list[Solid], stands: list[Sprite], dice: np.random.Generator) -> Array:
    across, up = np.meshgrid(view.columns, view.slopes)
    colour = sky(across, up)
    row, column = np.nonzero(np.isfinite(view.depth))
    z, normal = view.depth[row, column], view.normal[row, column]
    ray = np.stack([view.columns[column], view.slopes[row], np.ones(len(z))], axis=-1)
    points = ray * z[:, None] + np.array([0, view.eye, 0])
    softness = 0.012 * dice.standard_normal((len(z), 3))
    facing = np.maximum(normal @ SUN, 0)
    drift = sample(fractal(71, 3, 4), points[:, 0] / 1500 + 0.3, points[:, 2] / 1500)
    overcast = 1 - 0.5 * smooth(0.4, 1.3, drift) * smooth(160, 320, z)
    sun = facing * _lit(points, normal, bodies, stands, softness) * overcast
    open_sky = 0.62 + 0.38 * normal[:, 1]
    light = sun[:, None] * SUNLIGHT + open_sky[:, None] * SKYLIGHT + (0.6 - 0.4 * normal[:, 1])[:, None] * BOUNCE
    lit = view.albedo[row, column] * light
    mirrored = ray - 2 * np.einsum("ij,ij->i", ray, normal)[:, None] * normal
    lit = mix(lit, sky(mirrored[:, 0] * 0.3, np.abs(mirrored[:, 1]) + 0.12), view.gloss[row, column])
    haze = 1 - np.exp(-np.maximum(z - 60, 0) / 1500 * np.exp(-np.maximum(points[:, 1], 0) / 400))
    colour[row, column] = mix(lit, HAZE + 0.12 * np.array([1.0, 0.6, 0.2]) * (points[:, :1] < 0), haze)
    return colour


def _water(view: View, below: Array, dice: np.random.Generator) -> Array:
    """Colours of all pixels under the horizon if they were lake; ``below`` is what the mirrored viewer sees."""
    row, column = np.nonzero((view.slopes[:, None] < -1e-4) & np.ones(view.width, bool)[None, :])
    slope, across = view.slopes[row], view.columns[column]
    z = view.eye / -slope
    x = across * z
    calm = smooth(-1.4, 0.9, sample(fractal(83, 3, 4), x / 160, z / 260))
    wave = sample(fractal(81, 10, 5, 0.7), x / 17, z / 13) + 0.8 * sample(band(82, 70), x / 23, z / 11)
    cross = sample(fractal(85, 14, 4, 0.7), x / 13 + 0.5, z / 15)
    strength = (0.35 + 0.65 * calm) * np.minimum(1, 45 / z)
    scale = below.shape[1] / view.width
    lift = 0.020 * wave * strength
    source_row = np.clip((row + lift * view.focal) * scale, 0, below.shape[0] - 1.001)
    source_column = np.clip((column + 0.010 * cross * strength * view.focal) * scale, 0, below.shape[1] - 1.001)
    top, left = source_row.astype(np.intp), source_column.astype(np.intp)
    upper = mix(below[top, left], below[top, left + 1], source_column - left)
    lower = mix(below[top + 1, left], below[top + 1, left + 1], source_column - left)
    reflection = mix(upper, lower, source_row - top)
    cosine = np.clip(-slope / np.sqrt(1 + slope**2 + across**2) + 0.05 * wave * strength, 0.01, 1)
    fresnel = 0.10 + 0.90 * (1 - cosine) ** 4
    depth = np.array([0.012, 0.060, 0.075]) * (1 + 0.25 * wave)[:, None]
    colour = np.zeros((view.height, view.width, 3))
    colour[row, column] = mix(depth, reflection * np.array([0.93, 0.97, 1.0]), fresnel)
    glint = (wave + 0.35 * dice.standard_normal(len(row)) > 2.9) * smooth(0.2, 0.9, calm)
    colour[row, column] += 0.5 * glint[:, None] * np.array([1.0, 0.9, 0.75])
    return colour


def _developed(colour: Array, dice: np.random.Generator) -> Array:
    """Linear light to sRGB, 0 to 1: a filmic curve (Narkowicz 2015), a vignette and fine grain."""
    height, width, _ = colour.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    exposed = colour * 0.60 * (1 - 0.16 * (x**2 + y**2) ** 1.2)[..., None]
    film = np.clip(exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14), 0, 1)
    srgb = np.where(film <= 0.0031308, 12.92 * film, 1.055 * film ** (1 / 2.4) - 0.055)
    grain = 0.009 * dice.standard_normal((height, width, 1)) + 0.004 * dice.standard_normal(colour.shape)
    return np.asarray(np.clip(srgb + grain, 0, 1), np.float64)


def render(width: int, height: int, seed: int = 1) -> Array:
    """The scene (height, width, 3) in sRGB, 0 to 1. The same arguments give the same picture."""
    dice = np.random.default_rng(seed)
    bodies, stands = solids(), sprites()
    pictures = []
    # The viewer's picture has four rays for each pixel; in the mirror, waves hide that there is one.
    for eye, oversampling in ((-EYE, 1), (EYE, 2)):
        view = View(width * oversampling, height * oversampling, eye)
        _cast_land(view)
        _cast_solids(view, bodies)
        _cast_sprites(view, stands)
        pictures.append(_shaded(view, bodies, stands, dice))
    below, above = pictures
    lake = ~np.isfinite(view.depth) & (view.slopes[:, None] < 0)
    above = np.where(lake[..., None], _water(view, below, dice), above)
    above = above.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    return _developed(above, dice)
