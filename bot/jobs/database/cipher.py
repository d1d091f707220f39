"""Addresses at rest: a job's row holds where to answer, and with it an interaction's token, only encrypted."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot.jobs.errors import AddressUnreadable, SecretKeyUnusable
from engine import private

FILE: Final = "secret.key"
"""In the data directory: the key of those who set none."""


class Cipher:
    """The first key encrypts, each of them decrypts: a new key goes in front, and the last one goes when its jobs have.

    The encryption is Fernet's: AES-128-CBC with an HMAC-SHA256, so what was changed in the database is refused as well.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """``keys`` are at least one, each 32 bytes in URL-safe base64; raises ``ValueError`` for others."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    @classmethod
    def open(cls, keys: Sequence[str], directory: Path) -> Self:
        """With ``keys``, or where there are none with the one kept in ``directory``, made now if it is the first time.

        Blocks for I/O.

        Raises:
            SecretKeyUnusable: the file there holds no key.
            OSError: it can't be read or made.
        """
        if keys:
            return cls(keys)
        path = directory / FILE
        try:
            return cls([_kept_key(path)])
        except ValueError as error:
            # Not told what it holds: it may be most of a key.
            sentence = f"{path.resolve()} holds no key. Put it back from your backup, or remove it for a new one."
            raise SecretKeyUnusable(sentence) from error

    def encrypt(self, text: str) -> str:
        """``text``, unreadable without a key; never the same twice."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def decrypt(self, text: str) -> str:
        """What :meth:`encrypt` was given.

        Raises:
            AddressUnreadable: no key fits, or ``text`` was changed.
        """
        try:
            return self._fernet.decrypt(text.encode()).decode()
        except InvalidToken as error:
            raise AddressUnreadable from error


def new_key() -> str:
    """A key for the setting ``SECRET_KEY``."""
    return Fernet.generate_key().decode("ascii")


def _kept_key(path: Path) -> str:
    """The key in the file, which is made if it is not there: for its owner alone, and whole or not at all."""
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
        # A link, unlike a move, fails where another process was first: then its key is everybody's.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    return path.read_text(encoding="ascii").strip()
