"""The landscape of the demo's scene: the shape and colours of the land, and the objects on it.

Lengths are metres, see :mod:`tests.drawing.town`; the lake's surface is at height 0.
"""

from collections.abc import Iterator

import numpy as np

from tests.drawing import town
from tests.drawing.noise import Array, fractal, mix, ridged, sample, smooth
from tests.drawing.town import Colour, Solid
from tests.drawing.trees import Kind, Sprite


def land(x: Array, z: Array) -> Array:
    """Height of the ground; under 0 is lake."""
    wobble = sample(fractal(3, 4, 5), x / 420, z / 420)
    shore = 85 + 150 * smooth(-42, -120, x) + 24 * smooth(46, 80, x) + 9 * wobble * smooth(38, 60, np.abs(x))
    inland = z - shore
    bank = 1.6 * smooth(-3, 3, inland) - 1.6 * smooth(3, -3, inland)
    hills = 34 * smooth(20, 300, inland) * (1 + 0.35 * wobble) + 26 * smooth(45, 190, x) * smooth(0, 90, inland)
    peaks = sample(ridged(20, 2.4, 7, 0.43), x / 1900 + 0.13, z / 1900 + 0.31)
    massif = 320 * np.maximum(peaks - 0.10, 0) ** 1.2 * smooth(330, 1050, z) * (1 + 0.35 * smooth(200, -500, x))
    point = 1.7 * smooth(6.5, 3.0, np.hypot((x + 13.5) / 1.15, (z - 27.5) / 1.0)) * 2 - 1.7
    detail = 0.12 * sample(fractal(6, 24, 4), x / 30, z / 30) * smooth(-1, 1, inland)
    return np.maximum(bank + hills + massif + detail, point + 0.18 * sample(fractal(6, 24, 4), x / 9, z / 9))


def ground(x: Array, y: Array, z: Array, normal: Array) -> Array:
    """Albedo of the land."""
    patch = sample(fractal(8, 6, 6), x / 300, z / 300)
    fine = sample(fractal(11, 32, 4, 0.7), x / 14, z / 14)
    meadow = mix(np.array([0.085, 0.135, 0.028]), np.array([0.20, 0.19, 0.055]), smooth(-0.7, 1.4, patch))
    albedo = meadow * (1 + 0.28 * fine)[:, None]
    canopy = sample(fractal(12, 40, 3, 0.8), x / 260, z / 260 * 0.6)
    forest = smooth(0.0, 0.25, patch + 0.25 * canopy + smooth(45, 140, np.abs(x)) - 0.25) * smooth(140, 230, z)
    albedo = mix(albedo, np.array([0.026, 0.055, 0.020]) * (1 + 0.5 * canopy)[:, None], forest)
    strata = sample(fractal(13, 12, 6, 0.62), x / 340, (y * 2.6 + z * 0.4) / 340)
    rock = np.array([0.19, 0.175, 0.165]) * (1 + 0.30 * strata)[:, None]
    steep = 1 - normal[:, 1]
    rugged = smooth(60, 118, y + 26 * patch + 60 * (steep - 0.3))
    albedo = mix(albedo, rock, rugged)
    snow = smooth(0, 26, y - 135 + 18 * strata + 20 * patch - 190 * np.maximum(steep - 0.30, 0))
    albedo = mix(albedo, np.array([0.86, 0.89, 0.94]), snow)
    square = smooth(52, 46, np.abs(x)) * smooth(122, 112, z) * smooth(60, 70, z)
    return mix(albedo, np.array([0.26, 0.225, 0.18]) * (1 + 0.2 * fine)[:, None], square)


PLASTER: tuple[Colour, ...] = (
    (0.66, 0.48, 0.20),
    (0.62, 0.27, 0.12),
    (0.68, 0.60, 0.46),
    (0.52, 0.17, 0.11),
    (0.32, 0.42, 0.48),
    (0.62, 0.38, 0.10),
    (0.40, 0.44, 0.27),
    (0.66, 0.36, 0.30),
)
TILES: tuple[Colour, ...] = ((0.36, 0.115, 0.055), (0.30, 0.085, 0.045), (0.25, 0.10, 0.065), (0.40, 0.15, 0.075))


def solids() -> list[Solid]:
    """The town: a quay, a row of houses on it, further rows uphill, and a church."""
    dice = np.random.default_rng(11)
    found: list[Solid] = [town.box((0, 0, 90), (92, 1.9, 20), "stone", (0.34, 0.31, 0.26))]
    left, index = -42.0, 0
    while left < 40:
        index += 1
        width, storeys = float(dice.uniform(6.4, 9.4)), int(dice.integers(2, 5))
        middle = left + width / 2
        left += width + float(dice.choice([0.05, 0.1, 1.4]))
        if -3.5 < middle < 4.5:
            continue  # a gap, through which the square and the church are seen
        found += _home(dice, index, (middle, 1.9, 91.5 + float(dice.uniform(-0.7, 0.7))), width, storeys)
    for row in range(1, 5):
        for _ in range(9):
            index += 1
            x, z = float(dice.uniform(-46, 50)), 96 + 13.0 * row + float(dice.uniform(-3, 3))
            if abs(x - 4) < 9 and row < 3:
                continue
            y = float(land(np.array([x]), np.array([z]))[0]) - 0.3
            found += _home(dice, index, (x, y, z), float(dice.uniform(6.5, 9.5)), int(dice.integers(2, 4)))
    stone: Colour = (0.60, 0.52, 0.39)
    found += town.house((13, 2.5, 112), (11, 9, 22), 8, 0.12, (stone, TILES[1]), gable=False, seed=77)
    found.append(town.box((3.4, 1.9, 108), (6.6, 26.5, 6.6), "tower", (0.66, 0.57, 0.42), 0.12))
    found.append(town.spire((3.4, 28.4, 108), 7.6, 14.5, (0.10, 0.20, 0.17), 8, 0.12))
    found.append(town.box((3.4, 42.0, 108), (0.16, 3.0, 0.16), "plain", (0.6, 0.42, 0.08)))
    found.append(town.box((3.4, 43.7, 108), (1.3, 0.16, 0.16), "plain", (0.6, 0.42, 0.08)))
    for x in (-40, -24, -8, 7, 21, 35):
        found.append(town.box((x, 1.9, 82.5), (0.16, 4.2, 0.16), "plain", (0.03, 0.04, 0.04)))
        found.append(town.box((x, 6.1, 82.5), (0.55, 0.75, 0.55), "plain", (0.85, 0.62, 0.25)))
    # A landing stage on piles.
    found.append(town.box((-14.5, 0.85, 71), (2.6, 0.22, 19), "plain", (0.17, 0.12, 0.08)))
    found += [
        town.box((-14.5 + side, 0, float(z)), (0.3, 1.9, 0.3), "plain", (0.10, 0.07, 0.05))
        for side in (-1.35, 1.35)
        for z in range(62, 81, 3)
    ]
    return found


def _home(dice: np.random.Generator, seed: int, at: Colour, width: float, storeys: int) -> Iterator[Solid]:
    eave = storeys * town.STOREY + 0.7
    gable = bool(dice.random() < 0.55)
    roof = float(dice.uniform(0.42, 0.62)) * (width if gable else 7.5)
    angle = float(dice.uniform(-0.07, 0.07))
    colours = (PLASTER[seed * 3 % len(PLASTER)], TILES[int(dice.integers(len(TILES)))])
    surface: town.Surface = "timbered" if seed % 5 == 2 else "wall"
    if surface == "timbered":
        colours = ((0.74, 0.67, 0.53), colours[1])
    depth = float(dice.uniform(8, 10))
    yield from town.house(at, (width, eave, depth), roof, angle, colours, gable=gable, surface=surface, seed=seed)
    side = float(dice.choice([-1, 1])) * width * 0.22
    place: Colour = (at[0] + side, at[1] + eave + roof * 0.25, at[2] + float(dice.uniform(-1, 1)))
    yield town.box(place, (0.85, roof * 0.75 + 0.9, 0.85), "stone", (0.33, 0.20, 0.15), angle)


def sprites() -> list[Sprite]:
    """Trees, far ones in masses and near ones one by one, and boats."""
    dice = np.random.default_rng(23)
    found: list[Sprite] = []

    def plant(kind: Kind, x: float, z: float, height: float, slim: float, colour: Colour) -> None:
        y = max(float(land(np.array([x]), np.array([z]))[0]), 0.0) - 0.15
        tint = 1 + 0.25 * dice.standard_normal(3) * (0.5, 0.3, 0.3)
        shade: Colour = tuple(float(max(c * t, 0.004)) for c, t in zip(colour, tint, strict=True))  # type: ignore[assignment]
        found.append(Sprite(kind, x, y, z, height * slim, height, len(found), shade))

    far = 130 + 330 * dice.random(2600) ** 1.3
    aside = dice.uniform(-0.52, 0.52, far.shape) * far
    wood = sample(fractal(8, 6, 6), aside / 300, far / 300) + 1.2 * np.minimum(np.abs(aside) / 120, 1)
    grows = ((wood > 0.55) | (dice.random(far.shape) > 0.9)) & (land(aside, far) > 1)
    for x, z, conifer in zip(aside[grows], far[grows], dice.random(int(grows.sum())) < 0.55, strict=True):
        if conifer:
            plant("conifer", x, z, float(dice.uniform(8, 14)), 0.24, (0.028, 0.062, 0.024))
        else:
            plant("broadleaf", x, z, float(dice.uniform(6, 9)), 0.46, (0.075, 0.11, 0.022))
    for x, z, height in ((-47.5, 92, 10), (-52, 97, 12), (-57, 104, 11), (48, 92, 9), (53, 101, 12), (60, 110, 12)):
        plant("broadleaf", x, z, height, 0.44, (0.085, 0.125, 0.022))
    for x in (-3.0, -1.0, 8.6, -38.5, 43.5):
        plant("broadleaf", x, 87.5, float(dice.uniform(5, 6.5)), 0.42, (0.11, 0.14, 0.02))
    for x, z in ((-64, 118), (-67, 119), (-70.5, 121), (-60.5, 116), (66, 112), (69.5, 113)):
        plant("poplar", x, z, float(dice.uniform(15, 19)), 0.13, (0.07, 0.115, 0.024))
    plant("broadleaf", -14.0, 27.5, 16.5, 0.44, (0.075, 0.115, 0.022))
    found.append(Sprite("sail", 15.5, 0, 58, 4.1, 10.5, 901, (0.85, 0.82, 0.74)))
    found.append(Sprite("sail", -34.0, 0, 112, 3.6, 9.5, 902, (0.80, 0.36, 0.14)))
    found.append(Sprite("sail", -52.0, 0, 170, 3.6, 9.5, 903, (0.86, 0.84, 0.78)))
    return found
