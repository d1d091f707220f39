"""The command ``/stylize``: reads its options and places an order."""

from typing import Final

import discord
from discord import app_commands

from bot import texts
from bot.client.client import Atelier
from bot.features.styles.suggest import every_style
from bot.features.stylize.mix import MAX_LENGTH
from bot.features.stylize.order import DEFAULTS, StylizeRequest, place
from bot.jobs.errors import StyleGivenTwice, style_role
from engine.presets import Quality
from engine.recipe import Colours, Method, Rest, Where

_STRENGTH: Final = round(DEFAULTS.strength)
_DETAIL: Final = round(DEFAULTS.detail)


@app_commands.command(description="Paint a photo in the style of one to three pictures")
@app_commands.describe(
    content="The photo to paint: PNG, JPEG, WebP, AVIF, GIF or BMP",
    style="The picture whose style to use. Or choose a saved_style",
    saved_style="One of your saved styles, this server's or the built-in ones, in place of a picture as style",
    strength=f"How much style, from 0 (the photo stays as it is) to 100 (nearly all style). Usual: {_STRENGTH}",
    quality="Size and quality of the painting; a better one takes longer. Usual: standard",
    colours=f"Which colours the painting has. Default: {texts.COLOURS[DEFAULTS.colours]}",
    style2="A second style picture, blended with the first style",
    saved_style2="A saved style as the second style, in place of a picture as style2",
    style3="A third style picture, blended with the others",
    saved_style3="A saved style as the third style, in place of a picture as style3",
    mix="How much of each style, in their order, such as 70 30. Default: equal shares",
    stroke="The size of the brush strokes. Default: medium",
    technique="How the style is painted, in every quality but instant. Default: what suits the quality best",
    where="Which part to paint; the rest stays the photo. Default: everything",
    mask="A picture of the part to paint: white where to paint, black elsewhere",
    rest="What the rest becomes, if you chose a part. Default: the photo as it is",
    motion="What to paint of a moving picture: all frames, or only the first one. Default: all frames",
    detail=f"How closely edges and shapes follow the photo, from 0 to 100. Default: {_DETAIL}",
)
@app_commands.choices(
    colours=[app_commands.Choice(name=name, value=value) for value, name in texts.COLOURS.items()],
    technique=[app_commands.Choice(name=name, value=value) for value, name in texts.TECHNIQUES.items()],
    where=[app_commands.Choice(name=name, value=value) for value, name in texts.PARTS.items()],
    rest=[app_commands.Choice(name=name, value=value) for value, name in texts.RESTS.items()],
)
@app_commands.autocomplete(saved_style=every_style, saved_style2=every_style, saved_style3=every_style)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def stylize(
    interaction: discord.Interaction[Atelier],
    content: discord.Attachment,
    style: discord.Attachment | None = None,
    saved_style: str | None = None,
    strength: app_commands.Range[int, 0, 100] | None = None,
    quality: Quality | None = None,
    colours: Colours = DEFAULTS.colours,
    style2: discord.Attachment | None = None,
    saved_style2: str | None = None,
    style3: discord.Attachment | None = None,
    saved_style3: str | None = None,
    mix: app_commands.Range[str, 1, MAX_LENGTH] | None = None,
    stroke: texts.Stroke = "medium",
    detail: app_commands.Range[int, 0, 100] = _DETAIL,
    technique: Method | None = None,
    where: Where | None = None,
    mask: discord.Attachment | None = None,
    rest: Rest = DEFAULTS.rest,
    motion: texts.Motion = "all frames",
) -> None:
    """Place an order. Errors go to the command tree."""
    styles: list[discord.Attachment | str] = []
    for index, pair in enumerate(((style, saved_style), (style2, saved_style2), (style3, saved_style3))):
        given = [each for each in pair if each is not None]
        if len(given) > 1:
            raise StyleGivenTwice(style_role(index))
        styles += given
    part = where or ("everything" if mask is None else "mask")
    request = StylizeRequest(
        content, styles, mix, quality, strength, detail, stroke, colours, technique, part, mask, rest, motion
    )
    await place(interaction, request)
