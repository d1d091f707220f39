"""Built-in styles that imitate prints and paintings of flat areas."""

import numpy as np

from tests.drawing.canvas import drawn, edges, grain, grid, landscape, lit, over, paper, rgb, warped
from tests.drawing.noise import Array, band, fractal, hashed, mix, sample, smooth


def woodblock(side: int) -> Array:
    """A Japanese woodblock print: flat colours that fade out, lines of one width, the grain of the block."""
    x, y = grid(side)
    labels, depth = landscape(x, y)
    wood = 0.6 * np.sin(2 * np.pi * (y * 46 + 1.6 * sample(fractal(321, 2, 4), x * 0.4, y))) + 0.4 * grain(
        x, y * 4, 322
    )
    page = paper(x, y, 323, rgb("efe3c6"))
    inks = rgb("7fa9b8", "d2472f", "8fa6a3", "5d8390", "2f5d7c", "86b3b5", "c9a866", "2c4a45")
    shades = rgb("1f4a72", "e0663c", "d9cdb4", "c3b391", "9fb0a4", "1e4d78", "6f8a4e", "152c33")
    fade = np.select(
        [labels == 0, labels == 5, labels == 6],
        [smooth(0.36, 0.0, y), smooth(0.05, 0.24, depth), smooth(0.02, 0.12, depth)],
        smooth(0.0, 0.11, depth),
    )
    flat = mix(inks[labels.astype(int)], shades[labels.astype(int)], fade * 0.95)
    # Waves and clouds in lines of their own.
    crests = np.abs(
        (depth * (15 + 30 * depth) + 0.5 * np.sin(26 * x + 9 * depth + sample(band(324, 5), x, y))) % 1 - 0.5
    )
    flat = over(flat, rgb("eef0dd"), smooth(0.12, 0.04, crests) * (labels == 5))
    bands = sample(fractal(325, 2, 4), x * 0.6, y * 5.0)
    flat = over(flat, rgb("f3e7cd"), smooth(0.55, 0.62, bands) * (labels == 0) * smooth(0.05, 0.12, y))
    ribs = np.abs((x * 34 + 5 * depth * np.sign(np.sin(20 * x)) + 0.3 * bands) % 1 - 0.5) * 2
    flat = over(
        flat, rgb("24405a"), smooth(0.30, 0.12, ribs) * smooth(0.0, 0.02, depth) * ((labels >= 2) & (labels <= 4)) * 0.8
    )
    needles = np.abs((y * 70 + 26 * np.abs(np.sin(x * 60))) % 1 - 0.5) * 2
    flat = over(flat, rgb("5f8660"), smooth(0.4, 0.2, needles) * (labels == 7))
    blades = np.abs((x * 90 + 2.5 * np.sin(30 * y) + 6 * depth * bands) % 1 - 0.5) * 2
    tufts = smooth(0.35, 0.15, blades) * smooth(0.2, 0.6, sample(band(329, 16), x, y * 2.2))
    flat = over(flat, rgb("3d6b4a"), 0.85 * tufts * (labels == 6))
    printed = flat * (1 + 0.045 * wood[..., None]) + 0.02 * grain(x, y, 326)[..., None]
    page = mix(page, printed, 0.93 - 0.10 * smooth(0.8, 2.0, grain(x, y, 327)))
    return over(page, rgb("1b2433"), edges(labels, 0.0028, 328) * 0.95)


def linocut(side: int) -> Array:
    """Flowers cut into linoleum: black, red and paper, with the marks of the gouge."""
    x, y = grid(side)
    x, y = warped(x, y, 331, 0.006, 6)
    ground = sample(fractal(332, 2, 3), x, y)
    angle = 2.2 * ground
    marks = np.sin(2 * np.pi * (26 * (x * np.cos(angle) + y * np.sin(angle)) + 1.2 * ground))
    broken = sample(band(333, 18), x, y)
    light = smooth(0.35, 0.65, marks + 0.7 * broken - 0.55)
    red = np.zeros_like(x)
    for cx, cy, radius, petals, turn in (
        (0.30, 0.30, 0.25, 9, 0.2), (0.74, 0.24, 0.17, 7, 0.9), (0.66, 0.66, 0.27, 11, 0.5), (0.20, 0.76, 0.19, 8, 0.0),
        (0.95, 0.93, 0.20, 9, 0.3), (0.97, 0.45, 0.14, 7, 0.1), (0.02, 0.52, 0.13, 7, 0.7), (0.45, 0.98, 0.14, 8, 0.4),
    ):  # fmt: skip
        away, around = np.hypot(x - cx, y - cy) / radius, np.arctan2(y - cy, x - cx) * petals / (2 * np.pi) + turn
        petal = np.abs(around % 1 - 0.5) * 2
        inside = smooth(0.0, 0.03, (0.72 + 0.28 * (1 - petal**2)) - away)
        veins = np.abs((around * 9 + 0.2 * np.sin(9 * away)) % 1 - 0.5) * 2
        cut = smooth(0.22, 0.42, veins + 0.55 * smooth(0.95, 0.35, away) - 0.75 * petal**3 - 0.1 * broken)
        heart = smooth(0.31, 0.28, away)
        rings = smooth(0.2, 0.5, np.sin(2 * np.pi * (away * 21 + 0.5 * np.sin(around * 2 * np.pi))) + 0.5 * broken)
        light = mix(light[..., None], np.where(away < 0.3, rings, cut)[..., None], inside)[..., 0]
        light *= 1 - smooth(0.02, 0.0, np.abs((0.72 + 0.28 * (1 - petal**2)) - away) - 0.004)
        red = np.where(inside > 0.5, heart + 0.9 * (hashed(np.floor(around), np.full_like(x, cx * 99)) > 0.55), red)
    page = paper(x, y, 334, rgb("f2e8d2"))
    ink = mix(
        np.broadcast_to(rgb("c8321f"), page.shape),
        np.broadcast_to(rgb("e0a13a"), page.shape),
        np.asarray(red > 1.2, np.float64),
    )
    page = over(page, ink, np.clip(red, 0, 1) * (0.94 - 0.12 * smooth(0.6, 1.8, grain(x, y, 335))))
    worn = 1 - 0.85 * smooth(1.5, 2.3, grain(x, y, 336, 40))
    return over(page, rgb("16151a"), (1 - light) * worn)


def risograph(side: int) -> Array:
    """Three inks printed one over the other as dots of different sizes, not quite in register."""
    x, y = grid(side)
    page = paper(x, y, 341, rgb("f4eee0"), 0.02)
    for ink, angle, (dx, dy), tones, seed in (
        (rgb("ffd100"), 0.0, (0.0, 0.0), (0.55, 0.95, 0.15, 0.2, 0.3, 0.35, 0.85, 0.15), 342),
        (rgb("ff4d6d"), 1.31, (0.004, -0.003), (0.25, 0.9, 0.75, 0.85, 0.45, 0.15, 0.3, 0.35), 343),
        (rgb("1679a8"), 0.26, (-0.004, 0.004), (0.12, 0.0, 0.35, 0.65, 0.95, 0.6, 0.25, 0.95), 344),
    ):
        px, py = x + dx, y + dy
        labels, depth = landscape(px, py)
        tone = np.array(tones)[labels.astype(int)]
        tone = np.where(labels == 0, tone * (0.35 + 1.5 * py), tone)
        tone = np.where((labels >= 2) & (labels <= 4), tone * (1.15 - 3.2 * depth), tone)
        stripes = np.sin(2 * np.pi * (26 * depth + 0.6 * np.sin(22 * px)))
        tone = np.where(labels == 5, tone * (0.55 + 0.65 * smooth(-0.2, 0.4, stripes)), tone)
        tone = np.clip(tone + 0.05 * sample(fractal(seed, 5, 3), px, py), 0, 1)
        u, v = px * np.cos(angle) - py * np.sin(angle), px * np.sin(angle) + py * np.cos(angle)
        screen = 0.5 + 0.25 * (np.cos(2 * np.pi * 62 * u) + np.cos(2 * np.pi * 62 * v))
        cover = np.where(tone > 0.88, 1.0, smooth(0.46, 0.54, tone - screen + 0.5))
        cover *= 0.95 - 0.25 * smooth(0.9, 2.2, grain(x, y, seed + 5)) - 0.06 * sample(fractal(seed + 9, 3, 3), x, y)
        page = page * (1 - (1 - ink) * np.clip(cover, 0, 1)[..., None])
    return page


def mosaic(side: int) -> Array:
    """Small tiles of stone and gold in rows around a sun, and in waves."""
    x, y = warped(*grid(side), 351, 0.003, 9)
    away, around = np.hypot(x - 0.5, y - 0.42), np.arctan2(y - 0.42, x - 0.5)
    waves = y + 0.035 * np.sin(2 * np.pi * 1.6 * x) + 0.018 * np.sin(2 * np.pi * 3.7 * x + 1.0)
    disc = away < 0.33
    rows = 42.0
    row = np.where(disc, away * rows, waves * rows)
    number = np.floor(row)
    count = np.maximum(np.round(2 * np.pi * number * 1.05), 6)
    along = np.where(disc, (around / (2 * np.pi) + 0.5) * count, x * rows * 0.92) + 7 * hashed(
        number, np.asarray(disc, np.float64)
    )
    along = along + 0.12 * np.sin(along * 1.7)
    column = np.floor(along)
    dice = [hashed(number + 60 * disc, column, np.full_like(x, seed)) for seed in (1.0, 2.0, 3.0, 4.0)]
    golds, fires = rgb("e8bf4a", "d9a531", "f4dc86", "b98222"), rgb("b3321f", "d8622a", "8f1f2a", "efb04a")
    seas, deeps = rgb("1f6f93", "2f92a6", "79b9b8", "174f78"), rgb("14304f", "1d4468", "0f2238", "2b6a7f")
    creams = rgb("ece2cb", "d9c9a6", "f6efdf", "c6b595")
    pick = np.floor(dice[0] * 3.999).astype(int)
    ray = np.sin(around * 12 + 0.4 * np.sin(away * 60)) > 0
    colour = np.where((away < 0.11)[..., None], golds[pick], np.where(ray[..., None], fires[pick], golds[pick]))
    colour = np.where(((away > 0.125) & (away < 0.15))[..., None], deeps[pick], colour)
    colour = np.where((away > 0.285)[..., None], creams[pick], colour)
    stripe = (np.floor(number / 3) % 4)[..., None]
    around_it = np.select([stripe == 0, stripe == 1, stripe == 2], [seas[pick], deeps[pick], seas[pick]], creams[pick])
    around_it = np.where((waves < 0.30)[..., None] & (stripe == 3), golds[pick], around_it)
    colour = np.where(disc[..., None], colour, around_it)
    colour = colour * (0.82 + 0.36 * dice[1])[..., None]
    inside = np.minimum(np.minimum(row % 1, 1 - row % 1), np.minimum(along % 1, 1 - along % 1))
    inside = np.where(np.abs(away - 0.33) < 0.004, 0, inside)
    chip = 0.05 * sample(band(352, 70), x * 1.4, y * 1.4)
    tile = smooth(0.06, 0.12, inside + chip)
    relief = (
        0.0022 * np.minimum(tile, smooth(0.0, 0.3, inside))
        + 0.0032 * ((row % 1 - 0.5) * (dice[2] - 0.5) + (along % 1 - 0.5) * (dice[3] - 0.5)) * tile
    )
    stone = colour * (1 + 0.07 * grain(x, y, 353))[..., None] * lit(relief, 0.9)[..., None]
    grout = rgb("3c342d") * (1 + 0.2 * grain(x, y, 354))[..., None]
    return mix(grout, stone, tile)


def gold_leaf(side: int) -> Array:
    """Ornaments on leaves of gold: spirals, rings, eyes and squares, in the manner of Vienna around 1900."""
    x, y = warped(*grid(side), 361, 0.002, 9)
    leaves = hashed(np.floor(x * 6 + 0.02 * sample(band(362, 20), x, y)), np.floor(y * 6))
    seams = np.minimum(np.abs((x * 6) % 1 - 0.5), np.abs((y * 6) % 1 - 0.5))
    rub = sample(fractal(363, 6, 5, 0.7), x, y)
    gold = mix(
        np.broadcast_to(rgb("c9962c"), (side, side, 3)),
        np.broadcast_to(rgb("f0cf6b"), (side, side, 3)),
        smooth(-1.6, 1.8, rub + leaves - 0.5),
    )
    gold = over(gold, rgb("7c4f17"), 0.55 * smooth(1.1, 2.4, rub) + 0.25 * smooth(0.03, 0.0, seams))
    relief = 0.00045 * grain(x, y, 364, 24)
    dice = np.random.default_rng(36)
    placed: list[tuple[float, float, float]] = []
    for radius in (0.125, 0.085, 0.055, 0.036, 0.023, 0.014):
        for cx, cy in dice.uniform(0, 1, (int(5 / radius**1.3), 2)):
            if all(np.hypot(cx - a, cy - b) > radius + r + 0.004 for a, b, r in placed):
                placed.append((cx, cy, radius))
    palette = rgb("1d1a1f", "efe2bd", "8e2f23", "20514f", "d9ad3f", "37487c", "b86a24", "6f8a5a")
    spirals: list[tuple[Array, float]] = []
    for number, (cx, cy, radius) in enumerate(placed):
        reach = radius * 1.03
        part = (
            slice(max(int((cy - reach) * side), 0), int((cy + reach) * side) + 1),
            slice(max(int((cx - reach) * side), 0), int((cx + reach) * side) + 1),
        )
        away = np.hypot(x[part] - cx, y[part] - cy) / radius
        around = np.arctan2(y[part] - cy, x[part] - cx)
        colours = palette[dice.permutation(len(palette))]
        if number % 3 == 0 and radius > 0.03:
            turn = np.linspace(0.6, 5.2 * np.pi, 260)
            spiral = (
                np.stack([np.cos(turn + number), np.sin(turn + number)], axis=-1)
                * (turn / turn[-1])[:, None]
                * radius
                * 0.93
            )
            spirals.append((spiral + np.array([cx, cy]), radius * 0.13))
            continue
        if number % 3 == 1:  # an eye
            lid = np.abs(np.sin(around)) * 0.75
            ring = np.select([away < 0.2, away < 0.42, away < 0.95 - lid * 0.6, away < 1], [0, 2, 1, 4], 9)
        else:
            ring = np.where(away < 1, np.floor(away * (2.2 + 40 * radius)), 9)
            squares = (np.floor(around * 8 / np.pi) + ring) % 2
            ring = np.where((ring < 9) & (ring % 2 == 1), ring * 2 + squares, ring)
        filled = colours[(ring.astype(int)) % len(colours)]
        gold[part] = np.where((ring < 9)[..., None], filled * (1 + 0.10 * rub[part])[..., None], gold[part])
        relief[part] += 0.0035 * smooth(1.0, 0.9, away) + 0.0012 * (ring % 2) * (away < 1)
    ink = drawn(side, spirals)
    gold = over(gold, rgb("2a1c12"), ink)
    relief += 0.003 * ink
    checks = (np.floor(x * 44) + np.floor(y * 44)) % 2
    strip = smooth(0.9, 1.0, np.sin(2 * np.pi * (1.5 * x + 0.25 * np.sin(5 * y)))) * (np.hypot(*np.gradient(ink)) < 2)
    free = np.all([np.hypot(x - a, y - b) > r * 1.04 for a, b, r in placed], axis=0)
    gold = over(gold, np.where(checks[..., None] > 0, rgb("1d1a1f"), rgb("efe2bd")), strip * free)
    return gold * lit(relief, 0.8)[..., None] + 0.02 * grain(x, y, 365)[..., None]
