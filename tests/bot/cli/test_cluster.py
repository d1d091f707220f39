"""The commands for several machines, and the bot's connection to them."""

import asyncio
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.app import security
from bot.cli.main import app
from bot.settings import Settings
from engine.cluster.certificates import FILES, PARTS
from engine.cluster.restricted import QuietScheduler, QuietWorker
from engine.errors import ClusterUnsafe


def said(*arguments: str) -> tuple[int, str]:
    """The exit code and output of ``atelier``, in one line."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return result.exit_code, re.sub(r"\s+", " ", result.output)


class TestCertificates:
    def test_are_made_and_named(self, tmp_path: Path) -> None:
        code, output = said("cluster", "certs", "--out", str(tmp_path), "--host", "gpu-1", "--days", "30")
        assert code == 0
        assert all(str(tmp_path / part) in output for part in PARTS)
        assert "valid for 30 days" in output
        assert {path.name for path in (tmp_path / "worker").iterdir()} == set(FILES)

    def test_of_another_host_are_added(self, tmp_path: Path) -> None:
        said("cluster", "certs", "--out", str(tmp_path))
        code, _ = said("cluster", "certs", "--out", str(tmp_path), "--add", "gpu-2")
        assert code == 0
        assert (tmp_path / "gpu-2" / "ca.pem").read_bytes() == (tmp_path / "ca" / "ca.pem").read_bytes()

    def test_that_exist_are_kept(self, tmp_path: Path) -> None:
        said("cluster", "certs", "--out", str(tmp_path))
        code, output = said("cluster", "certs", "--out", str(tmp_path))
        assert code == 1
        assert "--force" in output
        assert said("cluster", "certs", "--out", str(tmp_path), "--keep")[0] == 0

    def test_that_cannot_be_written_are_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        code, output = said("cluster", "certs", "--out", str(tmp_path / "file"))
        assert code == 1
        assert "Traceback" not in output


@pytest.mark.parametrize(
    "command", [["scheduler"], ["worker"], ["cluster"], ["cluster", "certs"], ["cluster", "status"]]
)
def test_each_command_explains_itself(command: list[str]) -> None:
    code, output = said(*command, "--help")
    assert code == 0
    assert len(output) > 200


@pytest.mark.parametrize("place", [[], ["--blobs", "simplecache::s3://bucket/atelier"]])
def test_a_worker_of_another_machine_needs_one_blob_store(place: list[str], tmp_path: Path) -> None:
    said("cluster", "certs", "--out", str(tmp_path))
    files = [f"--tls-{name}={tmp_path / 'worker' / name}.pem" for name in ("ca", "certificate", "key")]
    code, output = said("worker", "--scheduler", "tls://127.0.0.1:9", *files, *place)
    assert code == 1
    assert "BLOBS_URL" in output
    assert "one place" in output


async def test_control_characters_in_the_name_of_a_worker_are_escaped() -> None:
    """A worker chooses its own name, so it may contain anything."""
    async with (
        QuietScheduler(host="127.0.0.1", port=0) as scheduler,
        QuietWorker(scheduler.address, name="\x1b[2Jowned\nforged"),
    ):
        code, output = await asyncio.to_thread(said, "cluster", "status", "--scheduler", scheduler.address)
    assert (code, output) == (0, "\\x1b[2Jowned\\nforged ")


class TestTheBot:
    def test_connects_to_a_scheduler_by_tls(self, tmp_path: Path) -> None:
        said("cluster", "certs", "--out", str(tmp_path))
        ca, certificate, key = (tmp_path / "bot" / name for name in FILES)
        settings = Settings(scheduler="tls://elsewhere:8786", tls_ca=ca, tls_certificate=certificate, tls_key=key)
        made = security(settings)
        assert made is not None
        assert made.require_encryption

    @pytest.mark.parametrize("scheduler", ["tcp://10.0.0.1:8786", "10.0.0.1:8786", "tls://10.0.0.1:8786"])
    def test_refuses_another_machine_without_certificates(self, scheduler: str) -> None:
        with pytest.raises(ClusterUnsafe, match="atelier cluster certs"):
            security(Settings(scheduler=scheduler))

    def test_needs_no_certificates_on_its_own_machine(self) -> None:
        assert security(Settings()) is None
        assert security(Settings(scheduler="tcp://127.0.0.1:8786")) is None
