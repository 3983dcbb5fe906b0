"""What the house promises about its own files. The layers themselves are checked by import-linter in `make check`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def test_files_stay_short() -> None:
    # Tests are left out: three of them are lists of cases that read better in one piece.
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("*.py", "*.html", "*.css", "*.js")
        if not {"migrations", "tests"} & set(path.relative_to(ROOT).parts) and (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}, "split by noun"


def test_no_page_asks_another_host() -> None:
    allowed = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}
    offenders = {
        f"{path.relative_to(ROOT)}: {url}"
        for path in tracked("templates", "static")
        if path.suffix in {".html", ".css", ".js", ".svg"}
        for url in re.findall(r"https?://[^\s\"'<>)]+", path.read_text())
        if url not in allowed and not url.startswith(("https://github.com/", "http://127.0.0.1"))
    }
    assert offenders == set()


def test_colours_are_defined_once() -> None:
    offenders = {
        f"{path.relative_to(ROOT)}: {colour}"
        for path in tracked("templates", "static")
        if path.suffix in {".html", ".css", ".js"} and path.name != "tokens.css"
        for colour in re.findall(r"(?<![&\w])#[0-9A-Fa-f]{3,8}\b(?![\w-])", path.read_text())
    }
    assert offenders == set(), "every colour is a token"


def test_templates_hold_no_script_and_no_handler() -> None:
    offenders = {
        f"{path.relative_to(ROOT)}: {match}"
        for path in tracked("templates")
        for match in re.findall(r"<script(?![^>]*(?:src=|application/json))[^>]*>|\son\w+=\"", path.read_text())
    }
    assert offenders == set(), "the content policy would refuse it"


def test_every_setting_of_the_environment_is_documented() -> None:
    read = set()
    for path in tracked("fleet/*.py"):
        read |= set(re.findall(r"env\.(?:text|integer|boolean|choice|words|url)\(\s*\"([A-Z_]+)\"", path.read_text()))
    documented = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read - documented == set()


@pytest.mark.parametrize(
    "room", ["models", "selectors", "services", "web", "api", "domain", "collectors", "simulator", "embedded"]
)
def test_every_room_says_its_rule(room: str) -> None:
    first = (ROOT / "fleet" / room / "__init__.py").read_text().lstrip()
    assert first.startswith('"""'), f"fleet/{room}/__init__.py has no docstring"


def test_the_project_names_no_path_of_a_workplace() -> None:
    offenders = {
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix in {".py", ".md", ".html", ".toml", ".yml", ".yaml", ".sh", ""}
        and path.is_file()
        and re.search(r"\.\./shared|/work/", path.read_text(errors="ignore"))
        and path != Path(__file__)
    }
    assert offenders == set()


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "adr").glob("0*.md")), ids=lambda path: path.name)
def test_a_decision_has_date_status_context_decision_consequences_and_alternatives(path: Path) -> None:
    text = path.read_text()
    assert re.search(r"^Date: \d{4}-\d\d-\d\d.* · Status: (accepted|replaced)", text, re.MULTILINE)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences", "Alternatives"]
    assert f"]({path.name})" in (path.parent / "README.md").read_text()


def test_the_schema_states_no_list_of_lists() -> None:
    """The contract's lists are {"results", "next", "previous"}; a serializer of that shape must say many=False."""
    schema = (ROOT / "docs" / "openapi.yaml").read_text()
    assert re.findall(r"type: array\n +items:\n +\$ref: '#/components/schemas/(\w+List)'", schema) == []
