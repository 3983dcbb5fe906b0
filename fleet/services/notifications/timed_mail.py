"""SMTP sessions that end with a deadline: a server may drip its greeting, each reply and each line of it.

smtplib bounds each wait for bytes, not their sum, and reads as many continuation lines as a server sends.
"""

from __future__ import annotations

import smtplib
import socket
from typing import Any

from fleet.collectors.timed_responses import shorten_timeout, timed_file


def time_every_mail() -> None:
    """Makes all SMTP sessions that this process opens from now on heed `timed_responses.until`; Apprise hands none out."""
    smtplib.SMTP, smtplib.SMTP_SSL = _Session, _TlsSession  # type: ignore[misc]


class _Session(smtplib.SMTP):
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = timed_file(self.sock)
        return super().getreply()

    def send(self, s: Any) -> None:
        self._shorten()
        super().send(s)

    def starttls(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        self._shorten()
        return super().starttls(*args, **options)

    def _shorten(self) -> None:
        try:
            if isinstance(self.sock, socket.socket):
                shorten_timeout(self.sock)
        except TimeoutError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected("No time is left for this message.") from error


class _TlsSession(_Session, smtplib.SMTP_SSL):
    """The same inside TLS from the first byte."""
