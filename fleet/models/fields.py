"""Types of columns."""

from __future__ import annotations

from typing import Any

from django.db import models


class FactsField(models.JSONField):
    """JSON of some size.

    A placeholder of its own keeps Django from sending many rows as one array (UNNEST), where every quotation mark of every
    document is escaped once more, in Python: that took most of the time of a first run.
    """

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "%s"
