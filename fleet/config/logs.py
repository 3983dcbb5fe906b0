"""What a log line may contain and how often the same event is written."""

from __future__ import annotations

import json
import logging
import re
import time
from datetime import UTC, datetime

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError

from fleet.services.origin import request_id

_EVERY_S = 60.0
_SECRET_PATH = re.compile(r"(/sign-in/)(?!link/)[A-Za-z0-9_\-%]{8,}")


class Once(logging.Filter):
    """Lets one record of an event per minute through: a lost database, or a refused Host. Both come with every request."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}
        self._dropped: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        event = _event(record)
        if not event:
            return True
        now = time.monotonic()
        if now - self._last.get(event, float("-inf")) < _EVERY_S:
            self._dropped[event] = self._dropped.get(event, 0) + 1
            return False
        self._last[event] = now
        dropped = self._dropped.pop(event, 0)
        error = record.exc_info[1] if record.exc_info else None
        reason = (str(error).strip().splitlines() or [""])[0] if error is not None else ""
        record.msg = f"{record.getMessage()} ({event}{': ' + reason if reason else ''}; {dropped} more in the minute before)"
        record.args, record.exc_info, record.exc_text = (), None, None
        return True


def _event(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OperationalError | InterfaceError):
        return "the database does not answer"
    if isinstance(error, SuspiciousOperation) or record.name.startswith("django.security"):
        return record.name.rpartition(".")[2]
    return ""


class WithoutSecrets(logging.Filter):
    """Removes the secret of a one-time sign-in link from a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "/sign-in/" in text:
            record.msg, record.args = _SECRET_PATH.sub(r"\1…", text), ()
        return True


class WithRequest(logging.Filter):
    """Adds the id of the current request or task: for a run that a page queued, the page's."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = request_id()
        record.__dict__ |= {"request_id": current, "request": f" [{current}]" if current else ""}
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message, request_id, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", ""),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in line.items() if value}, ensure_ascii=False)
