"""What members read of paintings, places and files: it fits a message, and no name of a file breaks it."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import discord
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot import texts
from bot.features.my_jobs import texts as jobs_texts
from bot.jobs.model import NO_INPUTS, HistoryPage, Job, Painted, State
from engine.errors import (
    AtelierError,
    OutOfMemory,
)
from engine.progress import Progress, Result
from engine.recipe import Recipe
from tests.bot.test_error_messages import ERRORS

ALT_TEXT_LIMIT = 1024


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "1 s"),
        (0, "1 s"),
        (0.4, "1 s"),
        (8.4, "8 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (80, "1 min 20 s"),
        (119.6, "2 min"),
        (599, "9 min 59 s"),
        (599.7, "10 min"),
        (754, "12 min"),
        (3600, "60 min"),
    ],
)
def test_durations_are_rounded_and_readable(seconds: float, text: str) -> None:
    assert texts.duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e6))
def test_durations_are_approximately_right(seconds: float) -> None:
    text = texts.duration(seconds).replace(",", "")
    parts = [(int(number), unit) for number, unit in re.findall(r"(\d+) (min|s)", text)]
    assert " ".join(f"{number} {unit}" for number, unit in parts) == text
    assert abs(sum(number * (60 if unit == "min" else 1) for number, unit in parts) - seconds) <= max(1, seconds / 10)


@pytest.mark.parametrize(("place", "text"), [(1, "Next"), (2, "**1** before"), (17, "**16** before")])
def test_places_are_counted_from_one(place: int, text: str) -> None:
    assert text in texts.queued(place)
    assert f"number **{place}** in line" in texts.paused(place)


@given(st.data())
def test_the_bar_never_changes_its_length(data: st.DataObject) -> None:
    steps = data.draw(st.integers(min_value=1, max_value=10_000))
    step = data.draw(st.integers(min_value=0, max_value=steps))
    bars = [re.findall(r"[▰▱]", texts.painting(progress(now, steps), Recipe())) for now in (step, min(step + 1, steps))]
    assert [len(bar) for bar in bars] == [texts.BAR, texts.BAR]
    assert bars[0] == sorted(bars[0])
    assert bars[0].count("▰") <= bars[1].count("▰")


@pytest.mark.parametrize(("step", "filled"), [(0, 0), (5, texts.BAR // 2), (10, texts.BAR)])
def test_the_bar_shows_how_far_a_painting_is(step: int, filled: int) -> None:
    assert texts.painting(progress(step, 10), Recipe()).count("▰") == filled


def progress(step: int, steps: int, remaining: float = 80) -> Progress:
    """A progress of a painting."""
    return Progress(step, steps, 512, 1.0, 0.5, 0.5, 1.0, remaining)


def test_the_text_of_a_running_job_has_its_step_and_remaining_time() -> None:
    assert texts.painting(progress(3, 60, 75), Recipe()).endswith("step 3 of 60 · about 1 min 15 s left")


def test_a_caption_has_the_time_the_size_and_the_recipe() -> None:
    recipe = Recipe(seed=3)
    result = Result(b"", "png", 512, 384, recipe, 60, 75.2, "finished")
    assert texts.caption(result, recipe) == f"Painted in 1 min 15 s · 512 × 384 · recipe `{recipe.id}`"


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"strength": 70}, "strength 70"),
        ({"strength": 33.5}, "strength 33.5"),
        ({"colours": "matched"}, "colours matched to the photo"),
        ({"colours": "content"}, "the photo's colours"),
        ({"style_shares": (70, 30)}, "styles 70 : 30"),
        ({"stroke": 0.5}, "fine strokes"),
        ({"stroke": 2}, "broad strokes"),
        ({"stroke": 3}, "strokes × 3"),
        ({"detail": 40}, "detail 40"),
        ({"strength": 0, "detail": 100, "stroke": 2}, "strength 0 · broad strokes · detail 100"),
    ],
)
def test_a_caption_has_the_requested_options(wish: dict[str, Any], text: str) -> None:
    recipe = Recipe(**wish)
    result = Result(b"", "png", 512, 384, recipe, 60, 75.2, "finished")
    assert texts.caption(result, recipe) == f"Painted in 1 min 15 s · 512 × 384 · {text} · recipe `{recipe.id}`"


def test_a_caption_explains_a_smaller_size_and_an_early_end_and_has_the_recipe_that_was_painted() -> None:
    ordered = Recipe(size=1024, steps=1200)
    painted = Recipe(size=724, steps=1200)
    result = Result(b"", "png", 724, 543, painted, 63, 75.2, "settled")
    assert texts.caption(result, ordered).splitlines() == [
        f"Painted in 1 min 15 s · 724 × 543 · recipe `{painted.id}`",
        "The picture stopped changing after 63 of 1,200 steps.",
        "Painted at 724 px, because there was not enough memory for 1,024 px.",
    ]
    stopped = Result(b"", "png", 1024, 768, ordered, 1001, 75.2, "stopped")
    assert texts.caption(stopped, ordered).splitlines()[1:] == ["Stopped early after 1,001 of 1,200 steps."]


def test_a_painting_of_a_moving_picture_says_how_many_of_its_frames_are_painted() -> None:
    clip = Recipe(frames=48, method="gatys", size=256)
    result = Result(b"", "gif", 256, 192, clip, 60, 75.2, "finished", content_frames=1200)
    assert f" · 48 of 1,200 frames · recipe `{clip.id}`" in texts.caption(result, clip)
    assert " · 48 frames · " in texts.caption(replace(result, content_frames=48), clip)
    moving, part = replace(progress(3, 60), content_frames=2), Recipe(where="subject")
    assert texts.painting(moving, part).endswith("\nOnly the first frame is painted, as you chose a part of it.")
    assert texts.painting(moving, Recipe()).endswith("\nOnly the first frame is painted.")
    assert "\n" not in texts.painting(moving, clip)
    assert "\n" not in texts.painting(progress(3, 60), part)


def test_other_pictures_that_move_are_named_with_what_is_used_of_them() -> None:
    notes = [
        "**Style:** It moves. Only its first frame is used.",
        "**Style 2:** It moves. Only its first frame is used.",
    ]
    assert texts.painting(replace(progress(3, 60), stills=(1, 2)), Recipe()).splitlines()[1:] == notes
    result = Result(b"", "png", 512, 384, Recipe(), 60, 75.2, "finished", stills=(1, 2))
    assert texts.caption(result, Recipe()).splitlines()[1:] == notes


def test_the_tints_of_two_styles_are_told_apart() -> None:
    tinted = replace(progress(1, 60), mask=b"photo")
    part, both = Recipe(where="subject"), Recipe(where="subject", rest="style")
    said = [texts.painting(tinted, *each).splitlines()[1] for each in ((part, 2), (both, 2), (both, 3))]
    assert said == [
        "The tinted part gets painted.",
        "The pink part gets the first style, the blue part the second one.",
        "The pink part gets the first two styles, the blue part the last one.",
    ]


def test_a_caption_names_truncated_pictures() -> None:
    whole = Result(b"", "png", 512, 384, Recipe(), 60, 75.2, "finished")
    cut = replace(whole, shown=(0.75, None, 1.0))
    assert texts.caption(cut, Recipe()).splitlines() == [
        texts.caption(whole, Recipe()),
        "**Content:** The file is incomplete: 25 % of the picture is missing.",
        "**Style 2:** The file is incomplete, but only fine detail is missing.",
    ]


def test_a_list_names_the_recipe_that_was_painted() -> None:
    painted = Painted("77", "png", 724, 543, 60, 8.0, "finished", size=724)
    as_ordered = Painted("77", "png", 1024, 768, 60, 8.0, "finished")
    for made, size in ((painted, 724), (as_ordered, 1024), (None, 1024)):
        (text,) = jobs_texts.listed(
            HistoryPage([job("A town", recipe=Recipe(size=1024), painted=made)], 1, older=False)
        )
        assert f"recipe `{Recipe(size=size).id}`" in text


HOSTILE = [
    "",
    ".",
    "...",
    ".png",
    " .png",
    "___.png",
    "\u202egnp.exe",
    "line\nbreak\r\n.png",
    "nul\x00.png",
    "\ud800.png",
    "@everyone.png",
    "<@1234> **bold** ||spoiler|| [link](https://example.com) `code`.png",
    "a" * 5000 + ".png",
    "🎨" * 2000,
    "_" * 5000,
]


def described(*filenames: str) -> str:
    """The alt text of a painting from files of these names."""
    return texts.described(texts.names_of_files(*filenames))


@given(st.text(), st.text())
@pytest.mark.parametrize("hostile", HOSTILE)
def test_alt_text_is_one_line_that_fits_for_any_file_names(hostile: str, content: str, style: str) -> None:
    for names in (
        (hostile, style),
        (content, hostile),
        (content, style),
        (hostile, style, hostile),
        (hostile, hostile, content, hostile),
    ):
        text = described(*names)
        assert len(text) <= ALT_TEXT_LIMIT
        assert text == " ".join(text.split())
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text)
        text.encode()
        subject, _, manner = text.partition(", painted in the style of ")
        assert subject
        assert manner


@pytest.mark.parametrize(
    ("filename", "title"),
    [
        ("town_hall.at.night.jpg", "town hall.at.night"),
        ("town_hall.jpg", "town hall"),
        ("Štefánik–münster 2.webp", "Štefánik–münster 2"),
        ("无题.png", "无题"),
        ("photo", "photo"),
        ("👩‍🎨.png", "👩‍🎨"),
        *((name, "a picture") for name in ("", ".", "...", ".png", " .png", "___.png", "\n.png")),
    ],
)
def test_alt_text_has_readable_file_names(filename: str, title: str) -> None:
    assert described(filename, "waves.png") == f"{title}, painted in the style of waves"


def test_alt_text_names_every_style() -> None:
    assert described("town.png", "waves.png", "sky.jpg") == "town, painted in the style of waves and sky"
    assert described("a.png", "b.png", "c.png", "d.png") == "a, painted in the style of b, c and d"


def job(description: str, **changes: Any) -> Job:
    """A job with that description."""
    values: dict[str, Any] = {
        "id": "0123456789abcdef",
        "owner": 2**63,
        "recipe": Recipe(),
        "guild_id": None,
        "inputs": NO_INPUTS,
        "address": "",
        "max_bytes": 1,
        "state": State.FAILED,
        "created_at": datetime(2026, 11, 22, tzinfo=UTC),
    }
    return Job(description=description, **(values | changes))


@given(st.lists(st.text(max_size=1024), min_size=1, max_size=10), st.sampled_from(ERRORS), st.sampled_from(State))
@example(["*" * 1024] * 10, OutOfMemory(2048), State.FAILED)
@example(["_" * 1024] * 10, OutOfMemory(2048), State.DELIVERED)
def test_a_list_fits_a_message_for_any_file_names(descriptions: list[str], cause: AtelierError, state: State) -> None:
    jobs = [job(each, cause=cause, state=state, delivered_by="kept") for each in descriptions]
    page = HistoryPage(jobs, 99_990, older=True)
    assert len("\n".join([jobs_texts.your_pictures(jobs), *jobs_texts.listed(page)])) <= 2000


@given(st.text(max_size=1024))
def test_an_option_fits_a_menu_for_any_file_names(description: str) -> None:
    assert 0 < len(jobs_texts.option(10, job(description))) <= 100


@given(st.text(max_size=1024))
def test_a_separate_message_fits_and_ends_with_the_id_of_the_job(description: str) -> None:
    text = texts.sent("Words.", job(description), named=True)
    assert len(text) < 2000
    assert text.endswith("\nWords.\n-# Job 0123456789abcdef")


@given(st.text())
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_title_contains_no_markdown(hostile: str, text: str) -> None:
    for name in (hostile, text):
        bare = re.sub(r"\\[^0-9A-Za-z\s]", "", texts.titled(described(name, "waves.png")))
        assert not re.search(r"[\\`*_~|<>\[\](){}#+:@-]", bare)


def test_alt_text_can_be_attached() -> None:
    for name in HOSTILE:
        file = discord.File(__file__, "painting.png", description=described(name, name))
        assert file.to_dict(0)["description"] == described(name, name)
        file.close()
