"""``atelier doctor`` reports what works, and names the setting that fixes what doesn't."""

import asyncio
from pathlib import Path

import pytest

from bot.jobs.database.cipher import new_key
from bot.sandbox import LocalDiscord
from tests.bot.processes import Ended, at, atelier


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """The output with nothing in place but an invalid key, with everything, and with everything wrong.

    Each run takes seconds.
    """
    bare, well, wrong = (tmp_path_factory.mktemp(name) for name in ("bare", "well", "wrong"))
    (bare / "data").mkdir()
    (bare / "data" / "secret.key").write_text("s3cret")
    (wrong / "data").write_text("not a directory")

    async def examine() -> tuple[Ended, Ended, Ended]:
        async with LocalDiscord() as local:
            settings = {"VGG19_WEIGHTS": "/nowhere/vgg19.pt", "SCHEDULER": "tcp://127.0.0.1:1"}
            return await asyncio.gather(
                atelier(bare, "doctor"),
                atelier(well, "doctor", **at(local)),
                atelier(wrong, "doctor", **at(local, DISCORD_TOKEN="abc.def.ghi", **settings)),
            )

    with asyncio.Runner() as runner:
        return dict(zip(("bare", "well", "wrong"), runner.run(examine()), strict=True))


class TestDoctor:
    def test_finds_everything_else_in_order_without_a_token_and_a_key(self, outputs: dict[str, Ended]) -> None:
        bare = outputs["bare"]
        assert (bare.code, bare.error) == (1, "")
        assert bare.out.count("✗") == 2
        assert "✗ Discord: no token" in bare.out
        assert "data/secret.keyholdsnokey" in bare.out.replace(" ", "")  # lines break anywhere in a path
        assert "s3cret" not in bare.out
        for subject in ("device", "weights", "decoder", "disk", "pictures", "database", "scheduler"):
            assert f"✓ {subject}: " in bare.out

    def test_finds_everything_in_order(self, outputs: dict[str, Ended]) -> None:
        well = outputs["well"]
        assert (well.code, well.error) == (0, "")
        assert well.out.count("✓") == 9
        assert "✓ decoder: decoded a picture, confined by " in well.out
        assert "✗" not in well.out
        assert "logged in as Atelier#0000. Set OPERATOR_IDS to try with /admin probe" in well.out

    def test_names_each_problem_and_the_setting_that_fixes_it(self, outputs: dict[str, Ended]) -> None:
        wrong = outputs["wrong"]
        assert (wrong.code, wrong.error) == (1, "")
        findings = dict(part.split(": ", 1) for part in wrong.out.split("✗ ")[1:])
        assert sorted(findings) == ["Discord", "database", "disk", "pictures", "scheduler", "weights"]
        assert "/nowhere/vgg19.pt" in findings["weights"]
        for subject, setting in [
            ("weights", "VGG19_WEIGHTS"),
            ("disk", "DATA_DIRECTORY"),
            ("pictures", "BLOBS_URL"),
            ("database", "DATABASE_URL"),
            ("scheduler", "SCHEDULER"),
        ]:
            assert setting in findings[subject]
        assert "rejects the token" in findings["Discord"]
        assert "abc.def.ghi" not in wrong.out

    async def test_reports_on_secrets_without_showing_them(self, tmp_path: Path, unused_tcp_port: int) -> None:
        (tmp_path / "token").write_text("s3cret.to.ken\n")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "secret.key").write_text(f"{new_key()}\n")
        (tmp_path / "data" / "secret.key").chmod(0o640)
        url = f"postgresql+asyncpg://atelier:s3cret/pass@word@127.0.0.1:{unused_tcp_port}/atelier"
        result = await atelier(
            tmp_path,
            "doctor",
            DEVICE="cuda:77",
            DATABASE_URL=url,
            DISCORD_TOKEN_FILE="token",
            DISCORD_API_URL=f"http://127.0.0.1:{unused_tcp_port}",
        )
        assert (result.code, result.error) == (1, "")
        findings = dict(part.split(": ", 1) for part in result.out.replace("✓ ", "✗ ").split("✗ ")[1:])
        assert "chmod 600" in findings["key"]
        assert "DATABASE_URL" in findings["database"]
        assert "cuda:77" in findings["device"]
        for subject in ("device", "weights"):
            assert "DEVICE" in findings[subject]
            assert "VGG19_WEIGHTS" not in findings[subject]
        assert "s3cret" not in result.out
