"""Encryption of addresses at rest. An address contains an interaction's token."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot.jobs.errors import AddressUnreadable, SecretKeyUnusable
from engine import private

FILE: Final = "secret.key"
"""The file in the data directory that holds the key if ``SECRET_KEY`` is not set."""


class Cipher:
    """Encrypts with the first key and decrypts with any.

    To rotate keys, put a new one in front, and remove the old one when its jobs have ended. The encryption is Fernet's:
    AES-128-CBC with an HMAC-SHA256, which also rejects texts that were changed in the database.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """``keys``: one or more, each 32 bytes in URL-safe base64. Raises ``ValueError`` for other keys."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    @classmethod
    def open(cls, keys: Sequence[str], directory: Path) -> Self:
        """Use ``keys``. Without any, use the key file in ``directory``, which is created if it does not exist.

        Blocks for I/O.

        Raises:
            SecretKeyUnusable: the key file holds no key.
            OSError: the key file can't be read or created.
        """
        if keys:
            return cls(keys)
        path = directory / FILE
        try:
            return cls([_kept_key(path)])
        except ValueError as error:
            # The message does not quote the file: it may hold most of a key.
            sentence = f"{path.resolve()} holds no key. Put it back from your backup, or remove it for a new one."
            raise SecretKeyUnusable(sentence) from error

    def encrypt(self, text: str) -> str:
        """Encrypt ``text``. The result differs each time."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def decrypt(self, text: str) -> str:
        """Undo :meth:`encrypt`.

        Raises:
            AddressUnreadable: no key decrypts ``text``, or it was changed.
        """
        try:
            return self._fernet.decrypt(text.encode()).decode()
        except InvalidToken as error:
            raise AddressUnreadable from error


def new_key() -> str:
    """Make a key for the setting ``SECRET_KEY``."""
    return Fernet.generate_key().decode("ascii")


def _kept_key(path: Path) -> str:
    """Read the key file. If it does not exist, create it atomically and readable for its owner only."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        private.make_folder(path.parent, contents="")
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(private.create(draft), "w", encoding="ascii") as file:
            file.write(f"{new_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link fails if another process was first. Then all use that key.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    return path.read_text(encoding="ascii").strip()
