"""What the tests of the request pages share: a filled-in form, a client of a user, and the text of a page."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.test import Client

FORM = {
    "class": "full-h100", "team": "research", "namespace": "research", "name": "llama", "image": "registry.example/llama:3",
    "replicas": "2", "gpus": "4", "hours": "30", "unit": "days", "purpose": "Chat.", "do": "submit",
}  # fmt: skip


def as_user(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content.decode()[:3000]
    page = re.sub(r"<(script|style|template)\b.*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", unescape(page)).replace("\xa0", " ")
