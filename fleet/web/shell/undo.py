"""Messages that offer to undo what was just done."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest

from fleet.templatetags.ui import UNDO


def done(request: HttpRequest, text: str, undo_url: str = "") -> None:
    """Adds the message that something was done; `undo_url` takes the POST that undoes it, empty where nothing does."""
    messages.success(request, text, extra_tags=f"{UNDO}{undo_url}" if undo_url else "")
