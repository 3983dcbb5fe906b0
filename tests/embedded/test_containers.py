"""The container files cannot be run by these tests, so what they name is held against what exists."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from fleet.config import env
from fleet.embedded.broker import binary
from tests.embedded.helpers import ROOT, wait_until

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = {name: service for name, service in COMPOSE["services"].items() if service.get("image") == "muster:local"}
DOCUMENTED = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_there_is_a_container_for_every_part() -> None:
    assert set(OURS) == {"migrate", "web", "worker-collect", "worker-default", "beat"}
    assert set(COMPOSE["services"]) - set(OURS) == {"postgres", "valkey"}


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_every_variable_given_to_muster_is_a_documented_one(service: dict[str, Any]) -> None:
    assert {settings_of(name) for name in service["environment"]} - DOCUMENTED == set()


def settings_of(name: str) -> str:
    """The setting that a variable gives, itself or by a file."""
    return name if name in DOCUMENTED else name.removesuffix("_FILE")


# These are the containers' own: the image says where data lie, `ports` which port is published, a kubeconfig names its clusters,
# and tracebacks are no part of production.
FIXED = {"PORT", "MUSTER_HEALTH_PORT", "MUSTER_HOME", "MUSTER_STATIC_ROOT", "MUSTER_CLUSTER_NAME", "DEBUG"}
FIXED_BY_COMPOSE = {"MUSTER_KUBECONFIG"}
OWN_FILES = {
    "SECRET_KEY": "secret_key",
    "MUSTER_DATABASE_PASSWORD": "postgres_password",
    "MUSTER_BROKER_PASSWORD": "valkey_password",
}


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_every_documented_variable_reaches_muster(service: dict[str, Any]) -> None:
    """One that is set in .env and not passed on is silently without effect."""
    given = service["environment"]
    assert {settings_of(name) for name in given} == DOCUMENTED - FIXED
    files = {f"{name}_FILE": f"/run/secrets/{file}" for name, file in OWN_FILES.items()}
    assert {name: given[name] for name in files} == files
    for name in set(given) - FIXED_BY_COMPOSE - set(files):
        assert given[name].startswith(f"${{{name}:"), name


def test_every_variable_asked_of_the_operator_is_documented() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    header = text.partition("\nx-muster")[0]
    for name in set(re.findall(r"\$\{([A-Z_]+)", text)):
        assert name in DOCUMENTED or name in header or name.removesuffix("_FILE") in env.SECRETS, name


def test_every_secret_is_a_file_and_no_container_has_one_in_its_environment_or_arguments() -> None:
    assert set(env.SECRETS) <= DOCUMENTED
    for name, service in COMPOSE["services"].items():
        given = service.get("environment", {})
        assert not {*env.SECRETS, "POSTGRES_PASSWORD", "VALKEY_PASSWORD"} & set(given), name
        if name in OURS:
            assert {f"{secret}_FILE" for secret in env.SECRETS} <= set(given)
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.findall(r"\$\{[A-Z_]*(?:PASSWORD|SECRET|TOKEN|KEY)[:}]", text)
    assert COMPOSE["services"]["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres_password"
    for name in ("postgres", "valkey"):
        assert COMPOSE["services"][name]["secrets"] == [f"{name}_password"], "its own, and no other"


def test_every_secret_setting_is_known_as_one() -> None:
    """A name that speaks of a secret is one of SECRETS, or a variable that is none in spite of its name."""
    named = {name for name in DOCUMENTED if re.search(r"SECRET|PASSWORD|TOKEN|KEY", name)}
    assert named - set(env.SECRETS) == {"OIDC_TOKEN_DAYS"}


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
    assert {volume["read_only"] for volume in service["volumes"]} == {True}


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_database_and_broker_keep_no_right_they_do_not_need(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]


def test_the_broker_of_compose_refuses_who_has_no_password(tmp_path: Path) -> None:
    shell, option, line = COMPOSE["services"]["valkey"]["command"]
    password = r"""s3"c'r\e t&/$x"""
    (tmp_path / "password").write_text(password + "\n")
    path = tmp_path / "valkey.sock"
    for container, local in {
        "/run/secrets/valkey_password": str(tmp_path / "password"),
        "/tmp/valkey.conf": str(tmp_path / "valkey.conf"),
        "exec valkey-server": f"exec {binary()}",
    }.items():
        assert container in line
        line = line.replace(container, local)
    line += f" --port 0 --unixsocket {path} --dir {tmp_path}"
    server = subprocess.Popen([shell, option, line], stdout=subprocess.DEVNULL)
    try:
        known = redis.Redis(unix_socket_path=str(path), password=password)
        wait_until(lambda: path.exists() and known.ping())
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=str(path)).ping()
        assert (tmp_path / "valkey.conf").stat().st_mode & 0o777 == 0o600
        assert "s3" not in Path(f"/proc/{server.pid}/cmdline").read_text() if Path("/proc").exists() else True
    finally:
        server.terminate()
        server.wait(10)


def test_no_service_starts_before_its_dependencies() -> None:
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in set(OURS) - {"migrate"}:
        assert OURS[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    for name in ("postgres", "valkey"):
        assert "test" in COMPOSE["services"][name]["healthcheck"]


def test_the_image_is_complete_and_runs_unprivileged() -> None:
    sources = [name for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    assert {"manage.py", "fleet", "templates", "static", "requirements.txt"} == set(sources)
    assert all((ROOT / name).exists() for name in sources)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not set(sources) & set(ignored)
    assert int(re.findall(r"^USER (\d+)", DOCKERFILE, re.MULTILINE)[-1]) > 0
    module = re.search(r"python -m (\S+)", DOCKERFILE.split("CMD")[-1])
    assert module
    assert callable(importlib.import_module(module[1]).main)
    assert set(re.findall(r"\b(MUSTER_[A-Z_]+)=", DOCKERFILE)) - DOCUMENTED == {"MUSTER_NO_BOOTSTRAP"}


def test_every_image_is_named_by_version_and_digest_and_takes_another() -> None:
    """SECURITY.md says how a newer digest is found; here is that one reaches the place where the image is named."""
    named = {name: service["image"] for name, service in COMPOSE["services"].items() if service.get("image") != "muster:local"}
    built = {f"build of {name}": service["build"]["args"]["PYTHON_IMAGE"] for name, service in OURS.items()}
    for place, image in (named | built).items():
        variable = re.fullmatch(r"\$\{([A-Z]+_IMAGE):-([a-z/]+):(\d[\w.-]*)@sha256:[0-9a-f]{64}\}", image)
        assert variable, f"{place}: {image}"
        assert f"{variable[1].removesuffix('_IMAGE')}=" in (ROOT / "SECURITY.md").read_text()
    default = COMPOSE["services"]["web"]["build"]["args"]["PYTHON_IMAGE"].partition(":-")[2].rstrip("}")
    assert re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE) == [default], "one version in both files"
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}"], "nothing is built from another image"


def test_every_pin_of_run_is_the_same_pin_of_test() -> None:
    """manage.py test takes requirements-dev.txt for both."""
    run, dev = (set(_pins(ROOT / name)) for name in ("requirements.txt", "requirements-dev.txt"))
    assert run
    # A package that Muster needs on one system only may be needed everywhere by the tests.
    assert {pin.partition(" ;")[0] for pin in run} <= {pin.partition(" ;")[0] for pin in dev}


def _pins(path: Path) -> list[str]:
    return [line.rstrip(" \\") for line in path.read_text().splitlines() if re.match(r"[a-z0-9]", line)]
