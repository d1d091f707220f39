"""The demo's second style: a stained-glass rose of about a thousand panes between leads.

The panes are Voronoi cells whose seeds stand on rings, so that they fall into petals; each has a tint, streaks and
bubbles of its own, and the sun behind the window is brighter in its middle.
"""

import numpy as np

from tests.drawing.noise import Array, Indices, band, fractal, mix, sample, smooth

CENTRE = (0.5, 0.46)
RINGS = (  # radius, panes, half a turn of a pane aside
    (0.028, 6, 0.0),
    (0.068, 12, 0.5),
    (0.110, 16, 0.0),
    (0.150, 16, 0.0),
    (0.192, 32, 0.5),
    (0.236, 32, 0.0),
    (0.282, 32, 0.0),
    (0.328, 48, 0.5),
    (0.370, 48, 0.0),
    (0.412, 64, 0.5),
)
RIM = 0.437

Colour = tuple[float, float, float]
GOLD: Colour = (1.00, 0.72, 0.10)
AMBER: Colour = (0.96, 0.42, 0.04)
RUBY: Colour = (0.74, 0.03, 0.07)
ROSE: Colour = (0.93, 0.34, 0.42)
EMERALD: Colour = (0.02, 0.50, 0.24)
LEAF: Colour = (0.45, 0.70, 0.12)
COBALT: Colour = (0.04, 0.16, 0.66)
SKY: Colour = (0.28, 0.66, 0.90)
VIOLET: Colour = (0.36, 0.10, 0.52)
OPAL: Colour = (0.93, 0.93, 0.84)

PANES: tuple[tuple[Colour, ...], ...] = (
    (GOLD,),
    (AMBER, GOLD),
    (RUBY, OPAL),
    (RUBY, AMBER),
    (COBALT, SKY, COBALT, VIOLET),
    (SKY, EMERALD, COBALT, EMERALD),
    (LEAF, EMERALD),
    (RUBY, ROSE, VIOLET),
    (GOLD, RUBY, OPAL),
    (COBALT, SKY),
)


def _seeds(dice: np.random.Generator) -> tuple[Array, Array]:
    """Places (n, 2) in fractions of the side, and colours (n, 3)."""
    places: list[tuple[float, float]] = [CENTRE]
    colours: list[Colour] = [OPAL]
    for ring, (radius, panes, aside) in enumerate(RINGS):
        for pane in range(panes):
            turn = 2 * np.pi * (pane + aside) / panes + 0.006 * dice.standard_normal()
            reach = radius + 0.0016 * dice.standard_normal()
            places.append((CENTRE[0] + reach * np.cos(turn), CENTRE[1] + reach * np.sin(turn)))
            colours.append(PANES[ring][pane % len(PANES[ring])])
    # Outside the rose: loose panes, that stream like water below and like a sky above.
    tries = dice.uniform(-0.06, 1.06, (2600, 2))
    kept: list[tuple[float, float]] = []
    for x, y in tries:
        distance = np.hypot(x - CENTRE[0], y - CENTRE[1])
        room = 0.024 + 0.012 * (0.5 + 0.5 * np.sin(9 * x + 5 * y))
        if distance < RIM + 0.030 or any(abs(x - a) + 0.75 * abs(y - b) < 1.3 * room for a, b in kept):
            continue
        kept.append((x, y))
        wave = np.sin(17 * y + 5 * np.sin(4 * x + 1)) + 0.35 * dice.standard_normal()
        warm = y + 0.10 * np.sin(6 * x) > 0.80
        shades = (EMERALD, LEAF, SKY, COBALT) if warm else (COBALT, VIOLET, SKY, OPAL)
        colours.append(shades[int(np.clip((wave + 1.4) / 2.8 * 4, 0, 3))])
    # A beaded rim.
    beads = 120
    for bead in range(beads):
        turn = 2 * np.pi * bead / beads
        places.append((CENTRE[0] + (RIM + 0.006) * np.cos(turn), CENTRE[1] + (RIM + 0.006) * np.sin(turn)))
    colours[len(colours) - len(kept) : len(colours) - len(kept)] = [(GOLD, RUBY)[bead % 2] for bead in range(beads)]
    return np.array(places + kept), np.array(colours)


def _cells(places: Array, side: int) -> tuple[Indices, Array]:
    """For each pixel its pane, and how far, in fractions of the side, it is from the nearest border."""
    first, second = np.full((2, side, side), np.inf)
    pane, other = np.zeros((2, side, side), np.intp)
    reach = 0.11
    for index, (x, y) in enumerate(places):
        rows = slice(max(int((y - reach) * side), 0), max(int((y + reach) * side), 0))
        columns = slice(max(int((x - reach) * side), 0), max(int((x + reach) * side), 0))
        part = (rows, columns)
        if not first[part].size:
            continue
        dy = (np.arange(*rows.indices(side)) + 0.5) / side - y
        dx = (np.arange(*columns.indices(side)) + 0.5) / side - x
        squared = np.square(dy)[:, None] + np.square(dx)[None, :]
        wins = squared < first[part]
        runner_up = ~wins & (squared < second[part])
        second[part] = np.where(wins, first[part], np.where(runner_up, squared, second[part]))
        other[part] = np.where(wins, pane[part], np.where(runner_up, index, other[part]))
        first[part] = np.where(wins, squared, first[part])
        pane[part] = np.where(wins, index, pane[part])
    apart = np.linalg.norm(places[pane] - places[other], axis=-1)
    return pane, (second - first) / np.maximum(2 * apart, 1e-6)


def glaze(side: int, seed: int = 1) -> Array:
    """The window (side, side, 3) in sRGB, 0 to 1. The same arguments give the same picture."""
    dice = np.random.default_rng(seed)
    places, colours = _seeds(dice)
    pane, border = _cells(places, side)
    y, x = np.mgrid[0.5 / side : 1 - 0.5 / side : side * 1j, 0.5 / side : 1 - 0.5 / side : side * 1j]
    count = len(places)
    spread = 0.16 * dice.standard_normal((count, 1)) + 0.07 * dice.standard_normal((count, 3))
    tints = np.clip(colours * np.exp(spread), 0, 1)
    shift, turn = dice.random((count, 2)), dice.uniform(0, np.pi, count)
    cos, sin = np.cos(turn)[pane], np.sin(turn)[pane]
    along, aside = (x * cos + y * sin) + shift[pane, 0], (-x * sin + y * cos) + shift[pane, 1]
    streaks = sample(fractal(131, 5, 5, 0.6), along * 0.8, aside * 3.2)
    ripple = sample(fractal(132, 24, 3), along * 1.3, aside * 2.0)
    bubbles = smooth(2.5, 3.0, sample(band(133, 90), x * 1.1 + shift[pane, 0], y * 1.1))
    glass = np.power(tints[pane], 1 + 0.22 * streaks[..., None]) * (1 + 0.16 * ripple + 0.10 * streaks)[..., None]
    glass = mix(glass, np.ones(3), np.clip(0.10 + 0.10 * streaks, 0, 0.4) + 0.5 * bubbles)
    # Grime gathers along the leads; the middle of each pane and of the window lets most light through.
    glow = 0.50 + 0.62 * smooth(0.0, 0.016, border - 0.003)
    backlight = 1.30 - 0.42 * np.hypot(x - 0.45, y - 0.38)
    window = glass * (glow * backlight)[..., None]
    distance = np.hypot(x - CENTRE[0], y - CENTRE[1])
    half = 0.0029 + 0.0010 * np.exp(-np.square((distance - RIM) / 0.02)) + 0.0004 * sample(fractal(134, 9, 3), x, y)
    lead = np.clip(1 - border / half, -1, 1)
    height = np.sqrt(np.clip(1 - np.square(1 - np.maximum(lead, 0)), 0, 1))
    down, across = np.gradient(height)
    light = np.clip(0.5 - 1.1 * across - 1.3 * down, 0, 1.6) + 0.12 * sample(band(135, 110), x * 1.5, y * 1.5)
    metal = np.array([0.095, 0.090, 0.100]) * (0.45 + 1.1 * light)[..., None]
    cover = smooth(-0.28, 0.18, lead)
    window = mix(np.clip(window, 0, 1), metal, cover)
    bloom = 0.012 * dice.standard_normal((side, side, 1))
    return np.asarray(np.clip(window + bloom, 0, 1), np.float64)
