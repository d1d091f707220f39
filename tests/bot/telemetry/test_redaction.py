"""The log shows no secret: neither a known one nor a text that looks like one."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.telemetry.redaction import redactor
from tests.bot.logged import FORMS, TOKEN, WAYS, Form, logged, ours, parsed

WORDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
secrets = st.text(WORDS, min_size=24, max_size=80).filter(lambda text: text.strip("-_"))
SHAPES: dict[str, Callable[[str], str]] = {
    "the path of a webhook": lambda secret: (
        f"https://discord.com/api/v10/webhooks/1234/{secret}/messages/@original?wait=1"
    ),
    "the path of a webhook alone": lambda secret: f"/webhooks/1234/{secret}",
    "the path of a callback": lambda secret: f"https://discord.com/api/v10/interactions/1234/{secret}/callback",
    "a link": lambda secret: f"https://cdn.discordapp.com/attachments/1/2/a.png?ex=68a1&is=68a0&hm={secret}&",
    "a link that was cut": lambda secret: f"https://cdn.discordapp.com/attachments/1/2/a.png?hm={secret}",
    "the URL of a database": lambda secret: f"postgresql+asyncpg://atelier:{secret}@localhost:5432/atelier",
    "the URL of a cache": lambda secret: f"redis://:{secret}@localhost",
    "a header": lambda secret: f"Authorization: Bot {secret}",
    "a field": lambda secret: f"token={secret}",
    "a field of JSON": lambda secret: json.dumps({"application": 1, "token": secret, "channel": 2}),
    "a field as Python shows it": lambda secret: repr({"application": 1, "interaction_token": secret}),
}


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize("form", FORMS)
class TestNoSecretIsLogged:
    @pytest.mark.parametrize("way", WAYS)
    def test_not_the_bots_token(self, form: Form, terminal: bool, way: str) -> None:
        output = logged(form, lambda: WAYS[way](TOKEN), terminal=terminal)
        assert TOKEN not in output
        assert output

    @pytest.mark.parametrize("shape", SHAPES)
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(secret=secrets, way=st.sampled_from(sorted(WAYS)))
    def test_not_tokens_and_signatures_in_known_places(
        self, form: Form, terminal: bool, shape: str, secret: str, way: str
    ) -> None:
        output = logged(form, lambda: WAYS[way](SHAPES[shape](secret)), terminal=terminal)
        assert secret not in output
        assert output
        if form == "json":
            parsed(output)

    @pytest.mark.parametrize("key", ["token", "interaction_token", "TOKEN", "Token"])
    @settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(secret=secrets)
    def test_not_a_value_that_is_named_token(self, form: Form, terminal: bool, key: str, secret: str) -> None:
        def log() -> None:
            ours.info("event", **{key: secret})
            ours.info("event", request={"headers": {key: secret}})

        assert secret not in logged(form, log, terminal=terminal)


PASSWORD = "c0rrect/horse:battery+staple"
SECRET_KEY = Fernet.generate_key().decode()
SHAPED: dict[str, tuple[str, str]] = {
    "a database's password": (
        "postgresql+asyncpg://atelier:hunter2@db.example:5432/atelier?ssl=require",
        "hunter2",
    ),
    "a password with odd characters": ("postgresql://atelier:p%40ss:w/o#rd!@10.0.0.7/atelier", "p%40ss:w/o#rd!"),
    "a password without a user": ("redis://:hunter2@localhost", "hunter2"),
    "a password in a message": (
        "could not translate host name in postgresql+asyncpg://user:hunter2@nowhere, giving up",
        "hunter2",
    ),
    "a password by its name": ("host=db user=atelier password=hunter2 dbname=atelier", "hunter2"),
    "a password in JSON": (json.dumps({"user": "atelier", "password": "hunter2"}), "hunter2"),
    "a password in keyword arguments": (repr({"host": "db", "password": "hunter2"}), "hunter2"),
    "a Fernet key": (f"the key {SECRET_KEY} is too old", SECRET_KEY),
    "a Fernet key in the environment": (f"SECRET_KEY={SECRET_KEY}", SECRET_KEY),
    "several Fernet keys": (f"keys={SECRET_KEY},{SECRET_KEY}", SECRET_KEY),
    "what was encrypted": (Fernet(SECRET_KEY).encrypt(b"an address").decode(), "gAAAAA"),
    "an interaction's token by itself": (
        "it was " + base64.b64encode(b"interaction:1234567890123456789:" + b"x" * 90).decode(),
        base64.b64encode(b"x" * 90).decode()[4:40],
    ),
    "another bot's token": (
        "MTA5ODc2NTQzMjEwOTg3NjU0Mw.GhAbCd.0123456789abcdefghijklmnopqrstuvwxyzAB",
        "GhAbCd.0123456789",
    ),
    "a header of another kind": ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz012345", "abcdefghijklmnop"),
    "a link of an object store": (
        "https://bucket.example/a?X-Amz-Credential=AKIDEXAMPLE1234&X-Amz-Signature=0123456789abcdef0123&x=1",
        "0123456789abcdef0123",
    ),
    "the credential of an object store": (
        "https://bucket.example/a?X-Amz-Credential=AKIDEXAMPLE1234&X-Amz-Signature=0123456789abcdef0123&x=1",
        "AKIDEXAMPLE1234",
    ),
    "a link within a link": (
        "https://media.example/?url="
        + quote("https://cdn.discordapp.com/a/1/2/a.png?ex=1&hm=0123456789abcdef&", safe=""),
        "0123456789abcdef",
    ),
}
KNOWN: dict[str, str] = {
    "as it is": PASSWORD,
    "quoted for an address": quote(PASSWORD, safe=""),
    "quoted for a path": quote(PASSWORD),
    "in Base64": base64.b64encode(PASSWORD.encode()).decode(),
    "in hexadecimal digits": PASSWORD.encode().hex(),
    "in JSON": json.dumps(PASSWORD),
}


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize("form", FORMS)
class TestNoOtherSecretIsLogged:
    @pytest.mark.parametrize("shape", SHAPED)
    def test_not_a_text_that_looks_like_a_secret(self, form: Form, terminal: bool, shape: str) -> None:
        text, secret = SHAPED[shape]
        for way, say in WAYS.items():
            output = logged(form, lambda say=say: say(text), terminal=terminal)  # type: ignore[misc]
            assert secret not in output, way
            assert output

    @pytest.mark.parametrize("written", KNOWN)
    def test_not_a_known_secret_in_any_encoding(self, form: Form, terminal: bool, written: str) -> None:
        text = f"beware of {KNOWN[written]}!"
        for way, say in WAYS.items():
            output = logged(form, lambda say=say: say(text), terminal=terminal, also=PASSWORD)  # type: ignore[misc]
            assert KNOWN[written].strip('"') not in output, way
            assert output


class TestKnownSecrets:
    @pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "s3"])
    def test_include_the_decoded_password_of_a_url(self, scheme: str) -> None:
        password = "p@ss/w0rd horse%"
        clean = redactor(f"{scheme}://atelier:{quote(password, safe='')}@db.example/atelier")
        assert clean(f"authentication failed with {password}!") == "authentication failed with …!"
        assert clean(f"authentication failed with {password!r} and {json.dumps(password)}").count("…") == 2

    @pytest.mark.parametrize("turned", [False, True])
    def test_are_removed_completely_if_one_begins_another(self, turned: bool) -> None:
        short, middle, long = "correct-horse", "correct-horse-battery", "correct-horse-battery-staple"
        clean = redactor(*((short, middle, long) if not turned else (long, middle, short)))
        assert clean(f"{long} {middle} {short}; {long.encode().hex()}") == "… … …; …"


def prefixes(text: str) -> Iterator[str]:
    """The positions in the middle and at the end of each word and of each separator."""
    for part in re.finditer(r"\w+|\W", text):
        yield from {text[: (part.start() + part.end() + 1) // 2], text[: part.end()]}


def test_the_time_grows_linearly_with_the_text() -> None:
    """Members write text that is logged. Repeated prefixes of secrets are the worst case for the patterns."""
    clean = redactor(PASSWORD, SECRET_KEY, TOKEN)
    texts = [shape("x" * 40) for shape in SHAPES.values()] + [text for text, _ in SHAPED.values()]
    beginnings = {
        "token\x1b[0m: \x1b[1;31m",
        'password\\\\"= \\',
        "token = -1.5e7",
        *(p for text in texts for p in prefixes(text)),
    }
    signs = ("", "a", "1", "\\")

    def seconds(begin: str, sign: str, length: int) -> float:
        begun = time.process_time()
        clean(begin * (length // len(begin)) if not sign else begin + sign * (length // len(sign)))
        return time.process_time() - begun

    for sign in signs:
        for begin in sorted(beginnings):
            if seconds(begin, sign, 6_000) > 0.05:  # most take 1 ms: this pattern is slow, or the machine is busy
                short, long = (min(seconds(begin, sign, length) for _ in range(3)) for length in (6_000, 24_000))
                assert long < 8 * short, f"{begin!r} and {sign!r}: {short:.3f} s, then {long:.3f} s for four times that"


class TestNoSecretGetsAroundTheLog:
    """In a separate process, which the error ends."""

    CONFIGURE = """
import logging, sys, threading
from bot.telemetry import logs
logs.configure("INFO", "json", "the secret word")
"""

    def said(self, code: str, **environment: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", self.CONFIGURE + code],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | environment,
        )
        return done.stdout, done.stderr

    def test_when_an_error_ends_the_process(self) -> None:
        out, error = self.said("raise RuntimeError('the secret word at postgresql://atelier:hunter2@db/x')")
        (line,) = parsed(error)
        assert (out, line["level"], line["event"]) == ("", "critical", "stopped by an error")
        assert "RuntimeError: … at postgresql://atelier:…@db/x" in line["exception"]

    def test_when_an_error_ends_a_thread(self) -> None:
        code = (
            "def work(): raise RuntimeError('the secret word')\nt = threading.Thread(target=work); t.start(); t.join()"
        )
        (line,) = parsed(self.said(code)[1])
        assert line["level"] == "error"
        assert "RuntimeError: …" in line["exception"]

    def test_when_the_user_ends_the_process(self) -> None:
        assert self.said("raise KeyboardInterrupt") == ("", "")

    def test_when_a_line_cannot_be_written(self) -> None:
        code = "logging.getLogger('x').warning('%s ☃ %s', 'the secret word', 'the secret word')"
        assert "secret" not in self.said(code, PYTHONIOENCODING="ascii:strict")[1]
