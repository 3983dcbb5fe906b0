"""`manage.py user ACTION NAME`: creates accounts, invites, changes roles, disables, and lists them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet.domain.people.scopes import KINDS
from fleet.domain.refusals import Refused
from fleet.management.commands._database import running_database
from fleet.models import Role, User
from fleet.services import accounts


class Command(BaseCommand):
    help = (
        "Manages accounts: `create` prints a one-time sign-in link, `invite` a new one, `role` changes a role, "
        "`limit` what it sees, `disable` and "
        "`enable` switch access, `reset-second-factor` removes a lost device, `list` shows all."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="create an account and print its sign-in link, alone on stdout")
        create.add_argument("name")
        create.add_argument("--role", choices=Role.values, default=Role.VIEWER.value)
        create.add_argument("--service", action="store_true", help="a service account: tokens only, no link")
        for action, text in (
            ("invite", "print a new one-time sign-in link, alone on stdout"),
            ("disable", "disable an account: its sessions end, its tokens stop"),
            ("enable", "enable an account again"),
            ("reset-second-factor", "remove the second factor of an account"),
        ):
            actions.add_parser(action, help=text).add_argument("name")
        role = actions.add_parser("role", help="change the role of an account")
        role.add_argument("name")
        role.add_argument("role", choices=Role.values)
        limit = actions.add_parser("limit", help="limit an account to clusters, pools and namespaces, or lift its limit")
        limit.add_argument("name")
        limit.add_argument("--cluster", action="append", default=[], help="a cluster it sees; may be given again")
        limit.add_argument("--pool", action="append", default=[], help="a pool whose nodes it sees; may be given again")
        limit.add_argument(
            "--namespace", action="append", default=[], help="NAME or CLUSTER/NAME: only workloads in it; may be given again"
        )
        limit.add_argument("--none", action="store_true", help="lift the limit: it sees everything")
        actions.add_parser("list", help="list accounts")
        for word, subparser in actions.choices.items():
            if word in ("create", "invite"):
                subparser.add_argument("--url", default=settings.PUBLIC_URL, help="where Muster is reached (default: MUSTER_URL)")

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        try:
            with running_database():
                self._act(action, options)
        except Refused as error:
            raise CommandError(str(error)) from error

    def _act(self, action: str, options: dict[str, Any]) -> None:
        now, name = timezone.now(), options.get("name", "")
        url = options.get("url") or f"http://127.0.0.1:{settings.PORT}"
        if action == "create":
            user = accounts.create(None, name, options["role"], now, service=options["service"])
            self.stderr.write(f"Created {user.username}, {user.role}.")
            if not user.service:
                self._print_link(name, url)
        elif action == "invite":
            self._print_link(name, url)
        elif action == "role":
            user = accounts.change(None, name, now, role=options["role"])
            self.stdout.write(f"{user.username} is {user.role}.")
        elif action == "limit":
            self._limit(name, options)
        elif action in ("disable", "enable"):
            user = accounts.change(None, name, now, active=action == "enable")
            self.stdout.write(f"{user.username} is {'active' if user.is_active else 'switched off'}.")
        elif action == "reset-second-factor":
            self.stdout.write(f"Removed {accounts.reset_second_factor(None, name, now)} keys of {name}.")
        else:
            for user in User.objects.order_by("username"):
                kind = "service" if user.service else "single sign-on" if user.sso else "local"
                self.stdout.write(f"{user.username:<30} {user.role:<10} {kind:<15} {'active' if user.is_active else 'off'}")

    def _limit(self, name: str, options: dict[str, Any]) -> None:
        limits = [f"{kind}:{each}" for kind in KINDS for each in options[kind]]
        if bool(limits) == options["none"]:
            raise CommandError("Give --cluster, --pool and --namespace, or --none to lift the limit.")
        user = accounts.limit(None, name, None if options["none"] else limits, timezone.now())
        self.stdout.write(f"{user.username} {'sees ' + ', '.join(user.limits) if user.limits is not None else 'has no limit'}.")

    def _print_link(self, name: str, url: str) -> None:
        link = accounts.invite(None, name, url, timezone.now())
        self.stderr.write("Signs in once, within three days:")
        self.stdout.write(link)
