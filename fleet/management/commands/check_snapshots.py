"""`manage.py check_snapshots`: the committed OpenAPI schema is the one the code makes."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.validation import validate_schema

SNAPSHOT = Path("docs/openapi.yaml")


class Command(BaseCommand):
    help = "Compares the OpenAPI schema with docs/openapi.yaml; --write replaces it. Needs no database."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help="replace the committed schema, to be reviewed as a diff")

    def handle(self, *args: Any, **options: Any) -> None:
        schema = SchemaGenerator().get_schema(request=None, public=True)
        validate_schema(schema)
        made = OpenApiYamlRenderer().render(schema, renderer_context={}).decode()
        path = settings.BASE_DIR / SNAPSHOT
        if options["write"]:
            path.write_text(made, encoding="utf-8")
            self.stdout.write(f"Wrote {SNAPSHOT}.")
            return
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        if kept != made:
            changes = difflib.unified_diff(kept.splitlines(), made.splitlines(), str(SNAPSHOT), "the code", lineterm="", n=2)
            raise CommandError(
                "\n".join(list(changes)[:60])
                + f"\nThe API differs from {SNAPSHOT}. If that is intended: python3 manage.py check_snapshots --write"
            )
