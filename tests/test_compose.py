"""compose.yaml: its services run our commands with our settings, and each reference is defined."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]
from typer.core import TyperGroup

from bot.cli.main import app
from bot.settings import Settings
from engine.cluster.certificates import FILES, PARTS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "atelier")


def commands(service: dict[str, Any]) -> list[list[str]]:
    """The arguments of ``atelier`` in a service: those of its command and those of its health check."""
    test = service["healthcheck"].get("test", [])
    return [service["command"], *([test[2:]] if test[:2] == ["CMD", "atelier"] else [])]


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Volumes by where they are seen."""
    return {path: name for name, path, *_ in (each.split(":") for each in service.get("volumes", []))}


def environment_names() -> set[str]:
    """Every variable that a command or the bot reads."""
    names = {name.upper() for name in Settings.model_fields}
    pending: list[Any] = [typer.main.get_command(app)]
    while pending:
        command = pending.pop()
        if isinstance(command, TyperGroup):
            pending += command.commands.values()
        for parameter in command.params:
            given = parameter.envvar or ()
            names |= {given} if isinstance(given, str) else set(given)
    return names


@pytest.mark.parametrize("name", OURS)
def test_each_service_runs_a_valid_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable in environment_names():
            monkeypatch.delenv(variable)
    for variable, value in SERVICES[name].get("environment", {}).items():
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value))
    for arguments in commands(SERVICES[name]):
        command: Any = typer.main.get_command(app)
        rest = list(arguments)
        while isinstance(command, TyperGroup):
            command = command.commands[rest.pop(0)]
        command.make_context("atelier", rest)  # raises for an option that is none, and for one that is missing


@pytest.mark.parametrize("name", OURS)
def test_each_environment_variable_is_a_setting(name: str) -> None:
    assert set(SERVICES[name].get("environment", {})) <= environment_names()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_runs_as_root_or_writes_outside_its_volumes(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name in OURS:
        dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
        assert re.search(r"^USER (?!root)\w+$", dockerfile, re.MULTILINE)
        for path in mounts(service):  # else the volume is root's
            assert re.search(rf"install --directory .*(?:\\\n.*)* {path}(?:\s|$)", dockerfile), path
    else:
        assert service["user"] not in {"root", "0"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"certs"}))
def test_each_service_restarts_and_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert int(service["stop_grace_period"].removesuffix("s")) > 10
    assert service["healthcheck"]["test"][0] == "CMD"


def test_every_reference_is_defined() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert set(service.get("networks", ())) <= set(COMPOSE["networks"])
        assert set(mounts(service).values()) <= set(COMPOSE["volumes"])
        for value in map(str, service.get("environment", {}).values()):
            if secret := re.match(r"/run/secrets/(\w+)", value):
                assert secret[1] in service["secrets"]
            if host := re.match(r"tls://(\w+):8786", value):
                assert host[1] in {*SERVICES, "localhost"}
    used = {volume for service in SERVICES.values() for volume in mounts(service).values()}
    assert used == set(COMPOSE["volumes"])
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", ())} == set(COMPOSE["secrets"])


def test_secret_files_are_documented_and_never_committed() -> None:
    operating = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    for secret in COMPOSE["secrets"].values():
        assert secret["file"] in operating
    assert "/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert not re.search(r"(?i)(password|token|secret)\w*: *(?!/run/secrets/)[\w-]{8,}", TEXT)


class TestCertificates:
    def test_are_mounted_only_by_their_own_part(self) -> None:
        made = mounts(SERVICES["certs"])
        for part in PARTS:
            for name, service in SERVICES.items():
                if name != "certs" and made[f"/certificates/{part}"] in mounts(service).values():
                    assert part in name
                    assert mounts(service)["/tls"] == made[f"/certificates/{part}"]
        assert [name for name, service in SERVICES.items() if "authority" in mounts(service).values()] == ["certs"]

    @pytest.mark.parametrize("name", sorted({*OURS} - {"certs"}))
    def test_are_used_by_each_of_our_services(self, name: str) -> None:
        environment = SERVICES[name]["environment"]
        assert [environment[each] for each in ("TLS_CA", "TLS_CERTIFICATE", "TLS_KEY")] == [f"/tls/{f}" for f in FILES]
        assert environment["SCHEDULER"].startswith("tls://")
        assert SERVICES[name]["depends_on"]["certs"]["condition"] == "service_completed_successfully"

    def test_the_bot_and_all_workers_share_the_pictures(self) -> None:
        painting = [SERVICES[name] for name in ("bot", "worker", "gpu-worker")]
        shared = {mounts(service)[service["environment"]["BLOBS_URL"]] for service in painting}
        assert len(shared) == 1
