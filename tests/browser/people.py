"""People in the shared Muster: a developer in a team, an operator, a developer in none; with pools and classes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from fleet.embedded.paths import ROOT

if TYPE_CHECKING:
    from tests.browser.conftest import Muster

_SEED = """
import msgspec
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from fleet.models import Node, Role, Team, User
from fleet.selectors import classes as catalogue, declarations
from fleet.selectors.pools import pools as pool_select
from fleet.services import access_requests, classes, pools, teams
now = timezone.now()
people = {name: User.objects.get_or_create(username=name, defaults={"role": role})[0]
          for name, role in (("mia", Role.DEVELOPER), ("otto", Role.OPERATOR), ("sam", Role.DEVELOPER))}
if not Team.objects.exists():
    for suggestion in pool_select.suggestions(now):
        pools.save(people["otto"], suggestion.pool, now)
    class_specs = [declarations.spec_of(version) for version in declarations.newest_versions().values()]
    for class_spec in [*class_specs, *(starter.class_spec for starter in catalogue.offered_starters(now))]:
        class_spec = msgspec.structs.replace(class_spec, max_replicas=1, max_hours=720)
        version = classes.save(people["otto"], class_spec, now)
        if class_spec.slug == "full-gpu-inference":
            full = version
    team = teams.save_team(people["otto"], "search", "Search", ["search"], None, "", now)
    teams.set_member(people["otto"], team, people["mia"], lead=True, now=now)
    shared = {"namespace": "search", "now": now, "purpose": "For the pages."}
    granted = access_requests.draft(people["mia"], team, full, name="granted", replicas=1, **shared)
    access_requests.submit(people["mia"], granted.pk, now)
    for name in ("first", "second"):
        asked = access_requests.draft(people["mia"], team, full, name=name, replicas=3, **shared)
        access_requests.submit(people["mia"], asked.pk, now)
    access_requests.draft(people["mia"], team, full, name="a-draft", replicas=1, **shared)
for name, user in people.items():
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session.save()
    print("SESSION", name, settings.SESSION_COOKIE_NAME, session.session_key)
"""
OpenAs = Callable[..., Page]


@pytest.fixture(scope="session")
def sessions(muster: Muster) -> dict[str, tuple[str, str]]:
    """Name of each person to their session's cookie; pools, classes and a team are there from now on."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", _SEED],
        cwd=ROOT,
        env=muster.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("SESSION")]
    return {name: (cookie, key) for _, name, cookie, key in lines}


@pytest.fixture
def as_(muster: Muster, browser: Browser, sessions: dict[str, tuple[str, str]]) -> Iterator[OpenAs]:
    """Opens a page as one of the people; at the end no script may have failed."""
    contexts: list[BrowserContext] = []
    failures: list[str] = []

    def open_(who: str, path: str, *, width: int = 1440, scheme: Any = "light") -> Page:
        name, key = sessions[who]
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=muster.url)
        context.add_cookies([{"name": name, "value": key, "url": muster.url}])
        context.on("weberror", lambda error: failures.append(str(error.error)))
        page = context.new_page()
        page.goto(muster.url + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert failures == []
