"""Text of clusters without meaning to a messenger: no mention, no link behind other words, no tag, no second header line.

Messengers read what they are sent as markup, each its own: Slack takes <!channel> and <URL|words>, Discord and Mattermost
@everyone, Markdown [words](URL), mail HTML. Their special characters are replaced by similar ones without a meaning, the same
for all of them.
Webhooks send JSON and keep the text as it is.
"""

from __future__ import annotations

import re
import unicodedata

_JOINER = "\u2060"
"""Word joiner: invisible, and part of no mention or link."""
_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "@": f"@{_JOINER}", "`": "ˋ"})
_MARKDOWN_LINK = re.compile(r"\](?=[(\[:])")


def line(text: str) -> str:
    """Returns a title: one line, however many the text has."""
    return " ".join(body(text).split())


def body(text: str) -> str:
    """Returns a text of several lines."""
    kept = "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cf"))
    return _MARKDOWN_LINK.sub(f"]{_JOINER}", kept.translate(_LOOKALIKES))
