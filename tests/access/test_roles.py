"""Who may call what: every address of the URL map, read and written to, as every role, against a reviewed table.

An address without an entry fails. `python3 manage.py test tests/access --write-roles` writes roles.json, to be reviewed as a
diff: of each address the methods with the weakest who are not refused, and which of them are open to an account with a limit.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from fleet.models import Role, User
from tests.access.addresses import NOBODY, addresses, filled
from tests.factories import a_cluster, a_user

pytestmark = pytest.mark.django_db
KEPT = Path(__file__).with_name("roles.json")
WHO = ("anyone", *Role.values)
PAGE_METHODS = ("GET", "POST")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
WHY = "if that is meant: python3 manage.py test tests/access --write-roles"


def is_refused(answer: Any) -> bool:
    """Whether the answer is for who may not: sent to sign in, 401 or 403."""
    return answer.status_code in (401, 403) or (answer.status_code == 302 and answer["Location"].startswith("/sign-in/?next="))


class Everybody:
    """Asks as each role without a limit, and as an administrator with one."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {role: a_user(f"who-{role}", Role(role)) for role in Role.values}
        self.users["limited"] = a_user("who-limited", Role.ADMIN)
        User.objects.filter(username="who-limited").update(limits=["cluster:east"])
        self.clients: dict[str, Client] = {}

    def ask(self, who: str, method: str, path: str) -> Any:
        if who not in self.clients:
            self.clients[who] = Client(raise_request_exception=False)
            if who in self.users:
                self.clients[who].force_login(self.users[who])
        answer = self.clients[who].generic(method, path, "", content_type="application/json")
        assert answer.status_code < 500 or path == "/readyz", f"{method} {path} as {who}: {answer.status_code}"
        if method != "GET" and path.startswith(("/sign", "/account")):
            del self.clients[who]  # its session may have ended
        return answer

    def allowed(self, method: str, path: str) -> str:
        """Returns the weakest role that is not refused, with "limited" where limits are let in; empty for none."""
        strongest = self.ask("admin", method, path)
        if strongest.status_code == 405 or is_refused(strongest):
            return ""
        weakest = next(who for who in WHO if not is_refused(self.ask(who, method, path)))
        return weakest if is_refused(self.ask("limited", method, path)) else f"{weakest}, limited"


def test_each_role_may_what_was_reviewed(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    a_cluster("east")
    everybody = Everybody()
    table: dict[str, dict[str, str]] = {}
    for name, route in addresses():
        path = filled(route, NOBODY | {"pk": NOBODY["public_id"]} if name.startswith("api-tokens") else NOBODY)
        methods = METHODS if path.startswith("/api/") else PAGE_METHODS
        rows = {method: everybody.allowed(method, path) for method in methods}
        table.setdefault(name, {}).update({method: who for method, who in rows.items() if who})
    if request.config.getoption("--write-roles"):
        lines = (f"  {json.dumps(name)}: {json.dumps(rows)}" for name, rows in sorted(table.items()))
        KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    kept = json.loads(KEPT.read_text())
    assert {name: rows for name, rows in table.items() if kept.get(name) != rows} == {}, WHY


def test_no_address_is_without_an_entry() -> None:
    kept = json.loads(KEPT.read_text())
    assert {name for name, _ in addresses()} ^ set(kept) == set(), WHY
