"""One notion, one name, in plain words: banned identifiers and words, and names that have two meanings."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.architecture import picture

ROOT = Path(__file__).resolve().parents[2]
BANNED = frozenset({"told", "one", "found", "said", "heard", "here", "theirs", "mine", "everyone", "things"})
ALLOWED = 0
"""Identifiers of BANNED that are still left. It may only become smaller."""
BANNED_IN_PROSE = re.compile(
    r"""(?<![\w`'"/=-])(?:told|theirs|whoever|whereof|thereof|anew|heard|meanwhile|nobody|somebody|everybody|anybody
    |by\ hand|for\ ever|befalls?|last\ truth|present\ truth|sign\ of\ life|(?:whole|this|the)\ pass
    )(?![\w`'"/=@-])""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words and phrases that the documentation of Kubernetes and Grafana does not use. In quotes they are values: a user "nobody"."""


def sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and "/migrations/" not in name and (ROOT / name).exists()]


def test_no_identifier_says_nothing() -> None:
    counts: Counter[str] = Counter()
    for path in sources():
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.NAME and token.string in BANNED:
                counts[f"{path.relative_to(ROOT)}: {token.string}"] += 1
    assert counts.total() <= ALLOWED, counts


def prose(path: Path) -> Iterator[str]:
    """Yields the comments, docstrings and sentences of a Python file, each test's name as words, and the lines of other files."""
    if path.suffix != ".py":
        yield from path.read_text().splitlines()
        return
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        is_sentence = token.type in (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)) and " " in token.string
        if token.type == tokenize.COMMENT or is_sentence:
            yield token.string
        elif before == "def" and token.string.startswith("test_"):
            yield token.string.replace("_", " ")
        before = token.string


def test_sentences_use_plain_words() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    suffixes = {".py", ".html", ".js", ".css", ".md", ".toml", ".yaml"}
    left = [
        f"{name}: {text.strip()[:100]}"
        for name in listed.stdout.split("\0")
        if Path(name).suffix in suffixes
        and not name.startswith(("tests/recorded/", "tests/architecture/", "docs/openapi", "fleet/migrations/"))
        and (ROOT / name).exists()
        for text in prose(ROOT / name)
        if BANNED_IN_PROSE.search(text)
    ]
    assert left == []


def test_the_picture_of_the_rooms_shows_todays_imports() -> None:
    drawn = picture.PICTURE.read_text()
    missing = {arrow for arrow in picture.arrows() if f"<title>{arrow}:" not in drawn}
    assert missing == set(), "run make architecture"


def test_a_module_name_stands_for_one_notion() -> None:
    modules: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "fleet" / "domain").rglob("*.py"):
        if path.stem != "__init__":
            modules[path.stem].add(str(path.parent.relative_to(ROOT / "fleet" / "domain")))
    repeated = {name: places for name, places in modules.items() if len(places) > 1 and name not in SAME_NOTION}
    assert repeated == {}


SAME_NOTION = frozenset(
    {
        "compliance",
        "dra",
        "gpus",
        "model_servers",
        "monitors",
        "nodes",
        "pods",
        "xids",
        "findings",
        "sharing",
        "slots",
        "counts",
        "resources",
        "stale_resources",
        "plugin_config",
    }
)
"""Nouns of the field that several rooms of the domain have a file about."""


def test_a_class_name_of_the_domain_stands_for_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "fleet" / "domain").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT / "fleet" / "domain")))
    repeated = {name: files for name, files in places.items() if len(files) > 1 and name not in {"Catalog"}}
    assert repeated == {}
