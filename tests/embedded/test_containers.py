"""The container files cannot be run by these tests, so what they name is held against what exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.embedded.helpers import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = {name: service for name, service in COMPOSE["services"].items() if service.get("image") == "muster:local"}
DOCUMENTED = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_there_is_a_container_for_every_part() -> None:
    assert set(OURS) == {"migrate", "web", "worker-collect", "worker-default", "beat"}
    assert set(COMPOSE["services"]) - set(OURS) == {"postgres", "valkey"}


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_every_variable_given_to_muster_is_a_documented_one(service: dict[str, Any]) -> None:
    assert set(service["environment"]) - DOCUMENTED == set()


# These are the containers' own: the image says where data lie, `ports` which port is published, a kubeconfig names its clusters,
# and tracebacks are no part of production.
FIXED = {"PORT", "MUSTER_HOME", "MUSTER_STATIC_ROOT", "MUSTER_CLUSTER_NAME", "DEBUG"}
FIXED_BY_COMPOSE = {"DATABASE_URL", "MUSTER_BROKER_URL", "MUSTER_KUBECONFIG"}


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_every_documented_variable_reaches_muster(service: dict[str, Any]) -> None:
    """One that is set in .env and not passed on is silently without effect."""
    given = service["environment"]
    assert set(given) == DOCUMENTED - FIXED
    for name in set(given) - FIXED_BY_COMPOSE:
        assert given[name].startswith(f"${{{name}:"), name


def test_every_variable_asked_of_the_operator_is_documented() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    header = text.partition("\nx-muster")[0]
    for name in set(re.findall(r"\$\{([A-Z_]+)", text)):
        assert name in DOCUMENTED or name in header, name


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        assert set(re.findall(rf"\$\{{{name}(:.)", text)) == {":?"}


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_every_command_exists(service: dict[str, Any]) -> None:
    match service.get("command"):
        case None:
            return  # the image's own, below
        case ["python", "manage.py", name, *_]:
            from django.core.management import get_commands

            assert name in get_commands()
        case ["celery", "-A", module, ("worker" | "beat"), *_]:
            assert importlib.import_module(module).app.main == "muster"
        case other:
            pytest.fail(f"an unknown kind of command: {other}")


def test_the_two_workers_serve_every_queue_there_is() -> None:
    from django.conf import settings

    commands = [service["command"] for service in OURS.values() if "-Q" in service.get("command", [])]
    served = {command[command.index("-Q") + 1] for command in commands}
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert served == routed | {settings.CELERY_TASK_DEFAULT_QUEUE}


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_nothing_can_be_changed_from_inside(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert [volume["read_only"] for volume in service["volumes"]] == [True]


def test_nobody_starts_before_what_he_needs() -> None:
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in set(OURS) - {"migrate"}:
        assert OURS[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    for name in ("postgres", "valkey"):
        assert "test" in COMPOSE["services"][name]["healthcheck"]


def test_the_image_holds_what_it_runs_and_runs_as_nobody_special() -> None:
    sources = [name for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    assert {"manage.py", "fleet", "templates", "static", "requirements.txt"} == set(sources)
    assert all((ROOT / name).exists() for name in sources)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not set(sources) & set(ignored)
    assert int(re.findall(r"^USER (\d+)", DOCKERFILE, re.MULTILINE)[-1]) > 0
    module, _, attribute = re.search(r"gunicorn (\S+)", DOCKERFILE.split("CMD")[-1]).group(1).partition(":")  # type: ignore[union-attr]
    assert callable(getattr(importlib.import_module(module), attribute))
    assert set(re.findall(r"\b(MUSTER_[A-Z_]+)=", DOCKERFILE)) - DOCUMENTED == {"MUSTER_NO_BOOTSTRAP"}


def test_every_pin_of_run_is_the_same_pin_of_test() -> None:
    """manage.py test takes requirements-dev.txt for both."""
    run, dev = (set(_pins(ROOT / name)) for name in ("requirements.txt", "requirements-dev.txt"))
    assert run
    assert run <= dev


def _pins(path: Path) -> list[str]:
    return [line.rstrip(" \\") for line in path.read_text().splitlines() if re.match(r"[a-z0-9]", line)]
