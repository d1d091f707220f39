"""Files and folders that only their owner can access: modes 0600 and 0700, with any umask."""

import os
import re
import stat
from pathlib import Path


def make_folder(folder: Path, contents: str = ".*") -> bool:
    """Make ``folder`` and its missing parents with mode 0700. Returns whether only the owner has access.

    The mode of an existing folder changes only if it belongs to this user and each name in it matches ``contents``, a
    regular expression. A folder with other contents, such as ``/srv``, is shared on purpose.

    Raises ``OSError``.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    if _is_closed(folder):
        return True
    if all(re.fullmatch(contents, each.name) for each in folder.iterdir()):
        close(folder)
    return _is_closed(folder)


def close(path: Path) -> None:
    """Remove the rights of others on a file or folder, if it exists and belongs to this user.

    A folder with the sticky bit, such as ``/tmp``, is not changed. Raises ``OSError``.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 and status.st_uid == os.geteuid() and not mode & stat.S_ISVTX:
        path.chmod(mode & 0o700)


def _is_closed(path: Path) -> bool:
    return not stat.S_IMODE(path.stat().st_mode) & 0o077


def create(path: Path, *, exist_ok: bool = False) -> int:
    """Make a file with mode 0600 and return its descriptor, for writing. ``exist_ok`` opens an existing one unchanged.

    Raises ``OSError``; ``FileExistsError`` if the file exists.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if exist_ok else os.O_EXCL), 0o600)
