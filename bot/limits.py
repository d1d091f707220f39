"""Discord's error codes and limits.

Source: Discord's documentation, pages "Opcodes and Status Codes", "Receiving and Responding to Interactions",
"Messages" and "Component Reference".
"""

from typing import Final

# --- Error codes -----------------------------------------------------------------------------------------------------

UNKNOWN_MESSAGE: Final = 10008
UNKNOWN_INTERACTION: Final = 10062
"""The interaction was not answered in time, or another process answered it."""
REQUEST_TOO_LARGE: Final = 40005
ALREADY_ACKNOWLEDGED: Final = 40060
INVALID_FORM: Final = 50035
"""A field of the request has a wrong value, or is not known."""
INVALID_WEBHOOK_TOKEN: Final = 50027
"""Also the code for an interaction's token that has expired."""
TRANSIENT_CODES: Final = frozenset({20022, 20028, 20029, 40003, 40062, 130000})
"""Rate limits other than the ordinary one, and an overloaded Discord. The same request may succeed later."""

# --- Names -----------------------------------------------------------------------------------------------------------

SPOILER: Final = "SPOILER_"
"""The beginning of the name of a file that is a spoiler."""

# --- Times, in seconds -----------------------------------------------------------------------------------------------

ACKNOWLEDGE_WITHIN: Final = 3.0
"""From an interaction to its first answer."""
TOKEN_LIFE: Final = 15 * 60.0
"""Lifetime of an interaction's token."""

# --- Sizes -----------------------------------------------------------------------------------------------------------

FILE_SIZE: Final = 10 * 2**20
"""Bytes of a file that a bot may upload in a place without boosts, such as every direct message."""
MESSAGE_LENGTH: Final = 2000
"""Characters."""
ALT_TEXT_LENGTH: Final = 1024
"""Characters of a file's description."""
OPTION_LENGTH: Final = 100
"""Characters of the label of a menu's option."""
MENU_OPTIONS: Final = 25
SUGGESTIONS: Final = 25
"""Suggested values of a command's option."""
ROWS: Final = 5
"""Rows of components under a message. A menu takes a whole row."""
ROW_BUTTONS: Final = 5
GALLERY_ITEMS: Final = 10
HISTORY_PAGE: Final = 100
"""Messages in one answer to a request for a channel's history."""
