"""Files and folders for their owner alone: modes 0600 and 0700, whatever the umask is and whatever was there before."""

import os
import re
import stat
from pathlib import Path


def make_folder(folder: Path, contents: str = ".*") -> bool:
    """Make ``folder``, and what is missing above it, with mode 0700; whether others have no rights on it now.

    A folder that is there loses the rights of others only if it is this user's, and each name in it matches
    ``contents``, a regular expression: one that holds more, as ``/srv`` does, is shared with others on purpose.

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
    """Take the rights of others from a file or folder, where it is there and this user's.

    A folder with the sticky bit, as ``/tmp``, is left alone. Raises ``OSError``.
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
    """The descriptor of a new file of mode 0600, for writing; with ``exist_ok`` one that is there is opened as it is.

    Raises ``OSError``, as ``FileExistsError``.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if exist_ok else os.O_EXCL), 0o600)
