"""Built-in styles that imitate what hands draw and paint: pencil, watercolour, dots, facets and ink."""

import numpy as np
from PIL import Image, ImageDraw

from tests.drawing.canvas import blurred, drawn, grain, grid, landscape, lit, over, paper, rgb, warped
from tests.drawing.noise import Array, band, fractal, hashed, mix, ridged, sample, smooth


def pencil(side: int) -> Array:
    """Graphite on paper: folds of cloth, shaded by hatching in four directions."""
    x, y = grid(side)
    wx, wy = warped(x, y, 401, 0.05, 2)
    folds = sample(fractal(402, 2, 3), wx * 1.1, wy * 0.7) + 0.8 * np.sin(2 * np.pi * (wx * 2.1 + 0.8 * wy))
    slope = -3.2 * np.gradient(folds * side, axis=1) - 2.2 * np.gradient(folds * side, axis=0)
    light = 0.5 + 0.5 * np.tanh(slope / 120)
    crease = smooth(0.62, 0.95, sample(ridged(403, 3, 3), wx * 0.7, wy * 0.7))
    dark = np.clip(1 - light + 0.35 * crease - 0.05, 0, 1)
    tooth = grain(x, y, 404, 90)
    page = paper(x, y, 405, rgb("f3efe6"), 0.015)
    graphite = 0.10 * smooth(0.2, 1.0, dark) * (1 + 0.4 * tooth)
    for number, (angle, start) in enumerate(((0.95, 0.10), (0.72, 0.30), (-0.55, 0.46), (1.9, 0.64))):
        bend = angle + 0.07 * sample(fractal(410 + number, 2, 2), x, y)
        across = x * np.cos(bend) + y * np.sin(bend)
        along = -x * np.sin(bend) + y * np.cos(bend)
        line = across * (64 + 9 * number) + 0.10 * sample(band(420 + number, 9), x, y)
        index = np.floor(line)
        # Each line is drawn in strokes of its own pressure that begin and end somewhere.
        part = along * 5 + 9 * hashed(index, np.full_like(x, number))
        pressure = 0.55 + 0.45 * hashed(index, np.floor(part), np.full_like(x, number))
        ends = smooth(0.0, 0.10, part % 1) * smooth(1.0, 0.82, part % 1)
        need = smooth(start, start + 0.28, dark + 0.06 * hashed(index, np.floor(part)))
        core = smooth(0.42, 0.12, np.abs(line - index - 0.5) / (0.55 + 0.5 * need))
        graphite = graphite + core * pressure * ends * need * (0.62 + 0.35 * smooth(-1.4, 0.9, tooth))
    ridge = smooth(0.045, 0.0, np.abs(folds - np.round(folds * 1.5) / 1.5)) * smooth(0.35, 0.7, dark)
    graphite = graphite + 0.5 * ridge * (0.7 + 0.3 * tooth)
    return mix(page, np.broadcast_to(rgb("2b2c33"), page.shape), np.clip(1 - np.exp(-0.95 * graphite), 0, 0.96))


def watercolour(side: int) -> Array:
    """Glazes of transparent paint that dried with dark edges, over the tooth of the paper."""
    x, y = grid(side)
    tooth = grain(x, y, 431, 45)
    density = np.zeros((side, side, 3))
    # How strongly each pigment absorbs red, green and blue.
    pigments = -np.log(
        np.clip(rgb("3b6fb6", "d9653b", "6fa05a", "c2476f", "e8b23f", "5b4a86", "2f7f86", "a4562f"), 0.02, 1)
    )
    dice = np.random.default_rng(43)
    wanders = [warped(x, y, 440 + number, 0.035, 5) for number in range(5)]
    pools = [0.42 + 0.35 * sample(fractal(460 + number, 3, 4), x, y) for number in range(5)]
    blooms = [smooth(0.25, 0.5, sample(ridged(470 + number, 4, 3), x, y)) for number in range(3)]
    rough = 1 + 0.22 * tooth + 0.10 * sample(band(480, 120), x * 1.5, y * 1.5)
    ragged = 0.012 * sample(band(450, 22), x, y)
    for number in range(38):
        cx, cy = dice.uniform(-0.05, 1.05, 2)
        reach = dice.uniform(0.05, 0.24) * (1.25 if number < 12 else 0.7)
        wx, wy = wanders[number % 5]
        stretch = dice.uniform(0.6, 1.7)
        inside = 1 - np.hypot((wx + ragged - cx) * stretch, (wy - cy) / stretch) / reach
        rim = np.exp(-np.square((inside - 0.03) / 0.035)) * 0.75 * dice.uniform(0.5, 1.2)
        pool = pools[number % 4] + 0.25 * (y - cy) / reach + blooms[number % 3] * dice.uniform(0, 0.5)
        amount = smooth(-0.015, 0.03, inside) * np.clip(pool, 0.12, 1.2) + rim
        amount *= rough * dice.uniform(0.35, 0.85)
        pigment = pigments[int(np.clip(dice.normal(8 * (0.25 * cx + 0.75 * cy) % 8, 1.1), 0, 7.99))]
        density += np.maximum(amount, 0)[..., None] * pigment
    splashes = smooth(2.4, 2.7, sample(band(483, 26), x, y)) * smooth(-0.5, 1.5, sample(fractal(484, 2, 2), x, y))
    density += splashes[..., None] * pigments[0] * 0.8
    page = paper(x, y, 485, rgb("faf6ec"), 0.012) * lit(0.00012 * tooth, 1.0)[..., None]
    return page * np.exp(-0.68 * density)


def pointillism(side: int) -> Array:
    """A river bank in dots of pure colour, which mix in the eye."""
    dice = np.random.default_rng(49)
    canvas = Image.new("RGB", (side, side), (226, 214, 190))
    pen = ImageDraw.Draw(canvas)
    skies, waters, greens = (
        rgb("f7e3b0", "f4b9a0", "9ec9e2", "7fa6d8", "c9b7e0"),
        rgb("2f6fb0", "5aa7c9", "f0d9a8", "7d6fb5", "e89a72"),
        rgb("3f8f4f", "8fbf4d", "e2d04a", "2b5f5f", "d97a3c"),
    )
    hills, trees, suns = (
        rgb("6d7fc0", "9a86c8", "5f9ea8", "d993a8", "4f6aa8"),
        rgb("1f4f45", "2f6b3f", "4a3f7a", "8fae3f", "b5562f"),
        rgb("fff3c0", "ffd97a", "ffb84f", "fff8e0", "f79a5a"),
    )
    tables = np.stack([skies, suns, hills, hills, hills, waters, greens, trees])
    for count, size in ((4200, 0.0105), (9000, 0.0078), (9500, 0.0056)):
        across = int(np.sqrt(count))
        at = (np.stack(np.meshgrid(np.arange(across), np.arange(across)), axis=-1).reshape(-1, 2) + 0.5) / across
        at = dice.permutation(at + dice.normal(0, 0.35 / across, at.shape))
        labels, depth = landscape(at[:, 0], at[:, 1])
        light = np.where(labels == 0, at[:, 1] * 2.0, depth * 7.5) + 0.45 * sample(
            fractal(491, 5, 3), at[:, 0], at[:, 1]
        )
        pick = np.clip(light * 1.8 + dice.normal(0.6, 1.0, len(at)), 0, 4.99).astype(int)
        pick = np.where(labels == 0, 4 - pick, pick)
        colours = tables[labels.astype(int), pick] + dice.normal(0, 0.035, (len(at), 3))
        radii = size * side * dice.uniform(0.65, 1.2, len(at))
        shapes = dice.uniform(0.8, 1.25, len(at))
        for (px, py), radius, shape, colour in zip(at * side, radii, shapes, colours, strict=True):
            fill = tuple((np.clip(colour, 0, 1) * 255).astype(int).tolist())
            pen.ellipse((px - radius * shape, py - radius / shape, px + radius * shape, py + radius / shape), fill=fill)
    dots = np.asarray(canvas, np.float64) / 255
    relief = 0.0004 * blurred(dots.mean(axis=-1), side / 900) + 0.00008 * grain(*grid(side), 492)
    return dots * lit(relief, 1.3)[..., None]


def cubism(side: int) -> Array:
    """A table with a guitar, broken into facets of ochre, grey and green."""
    x, y = warped(*grid(side), 501, 0.004, 5)
    dice = np.random.default_rng(53)
    key, shade, lines = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    noise = sample(fractal(502, 4, 4), x, y)
    for number in range(26):
        px, py = dice.uniform(0.05, 0.95, 2)
        if number % 5 == 4:
            radius = dice.uniform(0.07, 0.24)
            away = np.hypot(x - px, (y - py) * dice.uniform(0.8, 1.4)) - radius
            reach = np.ones_like(x)
        else:
            angle = dice.choice([0.12, 0.75, 1.45, 2.0, 2.6]) + dice.normal(0, 0.13)
            away = (x - px) * np.sin(angle) - (y - py) * np.cos(angle)
            along = (x - px) * np.cos(angle) + (y - py) * np.sin(angle)
            reach = (np.abs(along) < dice.uniform(0.22, 0.6)) * 1.0
        key += (away > 0) * reach * dice.uniform(1, 99)
        fall = dice.uniform(0.03, 0.10)
        shade += np.where(away > 0, -1, 0.55) * np.exp(-np.abs(away) / fall) * reach * dice.uniform(0.4, 1.0)
        thick = 0.0022 + 0.0016 * smooth(-0.5, 1.0, noise)
        lines = np.maximum(lines, smooth(thick * 1.6, thick * 0.5, np.abs(away)) * reach * dice.uniform(0.45, 1.0))
    palette = rgb(
        "b08d57",
        "8c6a3f",
        "d8c49a",
        "6e7466",
        "9a9c8e",
        "4b5148",
        "c9a46a",
        "7c8a86",
        "e6dcc0",
        "5a4630",
        "a7653b",
        "6a7f8c",
    )
    facet = hashed(np.round(key * 10), np.zeros_like(x))
    colour = palette[np.floor(facet * len(palette) * 0.9999).astype(int)]
    colour = colour * (1 + 0.30 * np.clip(shade, -1.9, 1.5))[..., None]
    # Short dabs of a flat brush, in each facet in a direction of its own.
    turn = np.round(hashed(np.round(key * 10), np.ones_like(x)) * 6) / 6 * np.pi
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    row = np.floor(v * 46)
    dab = u * 20 + 3 * hashed(row, np.floor(turn * 9))
    tone = hashed(row, np.floor(dab), np.floor(turn * 9)) - 0.5
    ridges = sample(band(503, 60), u * 0.5, v * 2)
    colour = colour * (1 + 0.20 * tone + 0.03 * ridges)[..., None] + 0.02 * tone[..., None]
    relief = 0.0006 * tone + 0.0002 * ridges + 0.0004 * smooth(0.2, 0.0, np.abs(dab % 1 - 0.5))
    stripes = smooth(0.1, 0.3, np.sin(2 * np.pi * (u * 22))) * (facet > 0.86)
    colour = over(colour, rgb("2e2a24"), 0.55 * stripes)
    colour = colour * lit(relief, 1.1)[..., None]
    return over(colour, rgb("1f1b17"), lines * 0.9 * (0.75 + 0.25 * grain(x, y, 504)))


def ink_wash(side: int) -> Array:
    """Mountains in mist, and long leaves: black ink on old paper, wet and dry."""
    x, y = grid(side)
    tooth = grain(x, y, 511, 50)
    page = paper(x, y, 512, rgb("ece2cc"), 0.02)
    ink = np.zeros_like(x)
    wobble = sample(fractal(513, 3, 5), x, y)
    for number, (height, rise, strength) in enumerate(
        ((0.24, 0.16, 0.35), (0.40, 0.20, 0.55), (0.60, 0.22, 0.9), (0.80, 0.16, 1.1))
    ):
        crest = height - rise * sample(fractal(520 + number, 2, 5, 0.5), x * 0.8 + 0.3 * number, np.zeros_like(x)) * 0.5
        depth = y - crest - 0.012 * wobble
        inside = smooth(0.0, 0.006, depth)
        streaks = sample(ridged(530 + number, 5, 5, 0.6), x * 1.3 + 0.4 * depth, y * 0.45)
        mist = np.exp(-np.maximum(depth, 0) / (0.07 + 0.03 * wobble).clip(0.03))
        wet = inside * mist * (0.45 + 0.9 * smooth(0.25, 0.75, streaks)) * strength
        dry = inside * np.exp(-np.maximum(depth, 0) / 0.16) * smooth(0.38, 0.7, streaks + 0.10 * tooth) * strength
        rim = np.exp(-np.square(depth / 0.006)) * smooth(-0.6, 0.6, sample(band(540 + number, 9), x, y)) * strength
        ink = ink * (1 - 0.75 * inside * mist.clip(0.2)) + wet + 0.6 * dry + 0.8 * rim
    dice = np.random.default_rng(54)
    strokes: list[tuple[Array, float]] = []
    for root, count in ((0.06, 11), (0.16, 8), (0.97, 12), (0.86, 5)):
        for _ in range(count):
            bend, length = dice.normal(0.25 if root < 0.5 else -0.25, 0.45), dice.uniform(0.16, 0.46)
            t = np.linspace(0, 1, 60)
            blade = np.stack([bend * t**1.7, -t * (1 - 0.28 * abs(bend) * t**2)], axis=-1) * length
            strokes.append((blade + np.array([root + dice.normal(0, 0.02), 1.02]), dice.uniform(0.006, 0.016)))
    leaves = drawn(side, strokes)
    bristle = 0.72 + 0.28 * smooth(-1.0, 0.6, sample(band(545, 40), x * 2.2, y * 0.6) + 0.6 * tooth)
    ink = ink + leaves * 2.2 * bristle + 0.5 * np.maximum(blurred(leaves, side / 170) - leaves, 0)
    splash = smooth(2.5, 2.7, sample(band(546, 30), x, y)) + smooth(2.75, 2.9, sample(band(547, 70), x, y))
    ink = ink + 0.9 * splash
    ink = ink * (1 + 0.16 * tooth)
    inked = page * np.exp(-np.maximum(ink, 0)[..., None] * np.array([1.55, 1.5, 1.4]))
    seal = (np.abs(x - 0.80) < 0.034) & (np.abs(y - 0.10) < 0.042)
    carved = smooth(0.2, 0.5, np.sin(2 * np.pi * x * 62) * np.sin(2 * np.pi * (y * 47 + 0.3 * np.sin(90 * x))))
    return over(inked, rgb("b3281e"), seal * (0.9 - 0.75 * carved) * smooth(-2.2, -0.6, tooth))
