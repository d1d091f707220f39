"""Encryption of addresses, rotation of keys, and the key file."""

import asyncio
import base64
import stat
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from bot.jobs.database.cipher import FILE, Cipher, new_key
from bot.jobs.errors import AddressUnreadable, SecretKeyUnusable

ROOT = Path(__file__).parents[4]
ADDRESS = '{"application":1,"token":"aW50ZXJhY3Rpb246","channel":2}'
CIPHER = Cipher([new_key()])


@given(st.text())
def test_encryption_can_be_undone(text: str) -> None:
    assert CIPHER.decrypt(CIPHER.encrypt(text)) == text


def test_ciphertext_does_not_contain_the_address() -> None:
    first, second = CIPHER.encrypt(ADDRESS), CIPHER.encrypt(ADDRESS)
    assert first != second
    assert "aW50ZXJhY3Rpb246" not in first
    assert first.isascii()


class TestKeys:
    def test_old_addresses_stay_readable_after_a_new_key_is_added(self) -> None:
        old, new = new_key(), new_key()
        before = Cipher([old]).encrypt(ADDRESS)
        both = Cipher([new, old])
        assert both.decrypt(before) == ADDRESS
        assert Cipher([new]).decrypt(both.encrypt(ADDRESS)) == ADDRESS

    def test_another_key_does_not_decrypt(self) -> None:
        with pytest.raises(AddressUnreadable):
            Cipher([new_key()]).decrypt(CIPHER.encrypt(ADDRESS))

    @pytest.mark.parametrize("key", ["", "short", "x" * 44, "é" * 44, pytest.param(new_key()[:-2], id="cut off")])
    def test_an_invalid_key_is_rejected(self, key: str) -> None:
        with pytest.raises(ValueError, match=r"Fernet key|base64|padding|ASCII|ascii"):
            Cipher([key])

    def test_no_key_is_rejected(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            Cipher([])


@given(st.text())
def test_a_text_that_was_not_encrypted_is_rejected(text: str) -> None:
    with pytest.raises(AddressUnreadable):
        CIPHER.decrypt(text)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_text_is_rejected(at: int, change: int) -> None:
    kept = bytearray(base64.urlsafe_b64decode(CIPHER.encrypt(ADDRESS)))
    kept[at % len(kept)] ^= change
    with pytest.raises(AddressUnreadable):
        CIPHER.decrypt(base64.urlsafe_b64encode(kept).decode())


class TestTheKeyFile:
    def test_is_created_once_and_private(self, tmp_path: Path) -> None:
        directory = tmp_path / "not yet" / "there"
        kept = Cipher.open([], directory).encrypt(ADDRESS)
        assert Cipher.open([], directory).decrypt(kept) == ADDRESS
        (file,) = directory.iterdir()
        assert file.name == FILE
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert {stat.S_IMODE(path.stat().st_mode) for path in (directory, directory.parent)} == {0o700}

    def test_holds_a_valid_key_for_the_setting(self, tmp_path: Path) -> None:
        kept = Cipher.open([], tmp_path).encrypt(ADDRESS)
        key = (tmp_path / FILE).read_text().strip()
        assert Cipher.open([new_key(), key], tmp_path).decrypt(kept) == ADDRESS

    def test_is_not_created_if_keys_are_set(self, tmp_path: Path) -> None:
        Cipher.open([new_key()], tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "content", [b"", b"\n", b"half a key", b"\xff\xfe", pytest.param(new_key()[:20].encode(), id="cut off")]
    )
    def test_without_a_key_raises_an_error_that_does_not_quote_it(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(SecretKeyUnusable) as refused:
            Cipher.open([], tmp_path)
        assert str(tmp_path / FILE) in str(refused.value)
        text = content.decode(errors="replace").strip()
        assert not text or text not in str(refused.value)
        assert (tmp_path / FILE).read_bytes() == content

    async def test_is_the_same_for_processes_that_start_together(self, tmp_path: Path) -> None:
        script = (
            "import sys\n"
            "from pathlib import Path\n"
            "from bot.jobs.database.cipher import Cipher\n"
            "print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "for number in range(50):\n"
            "    print(Cipher.open([], Path(sys.argv[1], str(number))).encrypt('at ' + str(number)))\n"
        )
        pipe = asyncio.subprocess.PIPE
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, str(tmp_path), stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        told = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
        assert [error.decode() for _, error in told] == [""] * 3
        for out, _ in told:
            for number, kept in enumerate(out.decode().split()):
                assert Cipher.open([], tmp_path / str(number)).decrypt(kept) == f"at {number}"
                assert [path.name for path in (tmp_path / str(number)).iterdir()] == [FILE]


def test_new_keys_are_valid_and_different() -> None:
    assert Fernet(new_key())
    assert new_key() != new_key()
