"""What members read of each error: what went wrong, and what they can do."""

import engine.texts
from bot import locales
from bot.jobs.errors import (
    AddressUnreadable,
    AlreadyAccepted,
    AlreadyPainting,
    Blocked,
    CancelledByModerator,
    CancelledByOperator,
    Closing,
    DailyLimit,
    DeliveryDelayed,
    DownloadFailed,
    Draining,
    ExportRunning,
    ExportStartNotFound,
    FormLost,
    JobEnded,
    JobExpired,
    JobUnreadable,
    ManageServerNeeded,
    MixUnusable,
    NoStyle,
    NotBegun,
    NotFailed,
    NotInAServer,
    NotKept,
    NotManager,
    NotOperator,
    NotYourJob,
    OrderInterrupted,
    PartUnusable,
    PictureRejected,
    RecipeNotFound,
    StillOpen,
    StyleBuiltIn,
    StyleGivenTwice,
    StyleNameTaken,
    StyleNameUnusable,
    StyleNotFound,
    StylesNotYours,
    TimelapseUnavailable,
    TooManyJobs,
    TooManyStyles,
    Unchangeable,
    Unchanged,
    UnexpectedError,
    WrongChannel,
    WrongRole,
)
from bot.locales import gettext as _
from bot.locales import ngettext
from bot.texts import mentions, relative_time, role_name, titled
from engine.errors import AtelierError, OperatorError


def error_message(error: AtelierError) -> str:  # noqa: PLR0911, PLR0912, PLR0915 - one return for each error
    """Say what went wrong, and what the member can do."""
    match error:
        case PictureRejected(role=role, reason=reason):
            return f"**{role_name(role)}:** {engine.texts.explain(reason, locales)}"
        case DownloadFailed(role=role):
            failure = _("I couldn't download this picture. Send the command again.")
            return f"**{role_name(role)}:** {failure}"
        case MixUnusable(styles=1):
            return _("**Mix:** You gave only one style. Add a second one as `style2`, or leave out `mix`.")
        case MixUnusable(styles=styles):
            example = " ".join(f"{share}" for share in (60, 30, 10, *[10] * styles)[:styles])
            return ngettext(
                "**Mix:** Enter one number for your {count} style. Example: `{example}`.",
                "**Mix:** Enter one number for each of your {count} styles, in their order. Example: `{example}`.",
                styles,
                example=example,
            )
        case NoStyle():
            return _("**Style:** Attach a style picture, or choose a saved style.")
        case StyleGivenTwice(role=role):
            advice = _(
                "Give either a picture or a saved style, not both. "
                "To blend two styles in `/stylize`, give the second one as `style2` or `saved_style2`."
            )
            return f"**{role_name(role)}:** {advice}"
        case StyleNotFound(name=""):
            return _("This style doesn't exist any more. `/style list` shows your styles.")
        case StyleNotFound(name=name, similar=""):
            return _("I know no style named **{name}**. `/style list` shows your styles.", name=titled(name))
        case StyleNotFound(name=name, similar=similar):
            return _(
                "I know no style named **{name}**. The closest name is **{similar}**.",
                name=titled(name),
                similar=titled(similar),
            )
        case StyleNameUnusable(limit=limit):
            return ngettext(
                "A style's name needs 1 to {count} character.", "A style's name needs 1 to {count} characters.", limit
            )
        case StyleNameTaken(name=name):
            return _(
                "There is already a style named **{name}**. Choose another name, or remove that style first.",
                name=titled(name),
            )
        case TooManyStyles(limit=limit, kind="server"):
            return ngettext(
                "This server already has {count} style. Remove one with `/style remove` first.",
                "This server already has {count} styles. Remove one with `/style remove` first.",
                limit,
            )
        case TooManyStyles(limit=limit):
            return ngettext(
                "You already have {count} style. Remove one with `/style remove` first.",
                "You already have {count} styles. Remove one with `/style remove` first.",
                limit,
            )
        case StyleBuiltIn():
            return _("This is a built-in or trained style. It can't be renamed or removed.")
        case NotInAServer():
            return _("A direct message has no server styles. Use this command in a server.")
        case ManageServerNeeded():
            return _("To change this server's styles you need the permission Manage Server.")
        case TooManyJobs(limit=limit, here=True):
            return ngettext(
                "In this server you can have {count} picture in progress at a time. "
                "Wait for it to finish, or cancel it.",
                "In this server you can have {count} pictures in progress at a time. "
                "Wait for one to finish, or cancel one.",
                limit,
            )
        case TooManyJobs(limit=limit):
            return ngettext(
                "You already have {count} picture in progress. Wait for one to finish, or cancel one.",
                "You already have {count} pictures in progress. Wait for one to finish, or cancel one.",
                limit,
            )
        case DailyLimit(limit=limit, free_at=free_at, here=True):
            return ngettext(
                "In this server you can have {count} picture a day. The next one is free {when}.",
                "In this server you can have {count} pictures a day. The next one is free {when}.",
                limit,
                when=relative_time(free_at),
            )
        case DailyLimit(limit=limit, free_at=free_at):
            return ngettext(
                "You can have {count} picture a day. The next one is free {when}.",
                "You can have {count} pictures a day. The next one is free {when}.",
                limit,
                when=relative_time(free_at),
            )
        case WrongChannel(channels=channels):
            return _("In this server I paint only in {channels}.", channels=mentions("#", channels))
        case WrongRole(roles=roles):
            return _("In this server I paint only for {roles}.", roles=mentions("@&", roles))
        case Blocked():
            return _("You can't use me at the moment. If you think that this is a mistake, ask the bot's operator.")
        case NotOperator():
            return _("Only the bot's operators can use this command.")
        case NotManager():
            return _("Only members who can manage this server can change its settings.")
        case Draining():
            return _(
                "I'm not taking new pictures at the moment. Pictures in progress will be finished. Try again later."
            )
        case CancelledByModerator():
            return _("A moderator of this server cancelled this picture.")
        case CancelledByOperator():
            return _("The bot's operator cancelled this picture.")
        case NotFailed():
            return _("This picture did not fail.")
        case NotYourJob(moderated=True):
            return _("Only the member who requested this picture, or a moderator of its server, can do that.")
        case NotYourJob():
            return _("Only the member who requested this picture can do that.")
        case JobEnded():
            return _("This picture is already finished, cancelled or deleted. `/jobs` shows your pictures.")
        case StillOpen():
            return _("This picture is not finished yet. Try again in a moment.")
        case NotBegun():
            return _("This picture is still waiting in line, so there is nothing to show yet.")
        case AlreadyPainting():
            return _("I'm already painting that for you.")
        case Unchangeable(name="size", value=size):
            return _("This picture is already {size} px, the largest size that I paint.", size=size)
        case Unchangeable(name="size here", value=size):
            return _("Pictures in this server can have at most {size} px, so this one can't be bigger.", size=size)
        case Unchangeable(name="part"):
            return _("The painted part can't be changed any further.")
        case Unchangeable(name="stroke"):
            return _("The strokes can't be changed any further.")
        case Unchangeable(value=strength):
            return _(
                "The strength is already {strength}, so there is nothing to change. *Tweak …* sets it exactly.",
                strength=strength,
            )
        case PartUnusable(lack="mask"):
            return _("To paint a part of a mask I need the picture: add it as `mask`, white where I should paint.")
        case PartUnusable(lack="use"):
            return _("You sent a mask, but `where` is another part. Choose a part of the mask, or leave `where` out.")
        case PartUnusable(lack="style"):
            return _("To paint the rest in the last style I need a second one: add `style2` or `saved_style2`.")
        case PartUnusable():
            return _("To paint the rest in another style, choose with `where` what the first style is for.")
        case Unchanged():
            return _("That is the picture that you see. Change one of the options.")
        case FormLost():
            return _(
                "I no longer know what this form was for: I was restarted, or it was open for too long. Open it again."
            )
        case NotKept():
            return _("I no longer have the files of this picture. Send the command again.")
        case RecipeNotFound():
            return _("I can't find this recipe. Its id is under the picture: 8 characters, as in `1a2b3c4d`.")
        case StylesNotYours():
            return _(
                "This recipe is from another member's picture, and I can't use their style pictures. "
                "Use `/stylize` with a style of your own and the options of the recipe."
            )
        case ExportStartNotFound():
            return _(
                "I have no picture of yours with this id, so I can't continue after it. "
                "Use the id that the last part of your export named, or leave out `after` to get everything."
            )
        case ExportRunning():
            return _("I'm already sending you your data. Wait for the last part.")
        case TimelapseUnavailable():
            return _(
                "There is no timelapse of this picture: it was painted too fast, or I no longer have its previews."
            )
        case AlreadyAccepted():
            return _("This picture is already in progress. You can see it in `/jobs`.")
        case JobExpired(hours=hours):
            return ngettext(
                "This picture was not finished within {count} hour. Send the command again.",
                "This picture was not finished within {count} hours. Send the command again.",
                hours,
            )
        case Closing():
            return _("I'm restarting. Send the command again in a minute. Pictures in progress will continue.")
        case DeliveryDelayed():
            return _("Discord didn't accept this message. I'll send it again later.")
        case UnexpectedError(reference=reference):
            return _(
                "Something went wrong. Try again. "
                "If it happens again, give this reference to the bot's operator: `{reference}`.",
                reference=reference,
            )
        case AddressUnreadable():
            return _("I no longer know where to send this picture. Send the command again.")
        case OrderInterrupted():
            return _("I was restarted before I had saved your pictures. Send the command again.")
        case JobUnreadable():
            return _("My record of this picture is damaged. Send the command again.")
        case OperatorError():
            return _("I can't paint right now. Only the bot's operator can fix this: the log says what is wrong.")
        case _:
            return engine.texts.explain(error, locales)
