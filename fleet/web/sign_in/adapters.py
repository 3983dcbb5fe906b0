"""How django-allauth behaves here: no sign-up, no messages, no mail, and secrets are encrypted."""

from __future__ import annotations

import base64
import logging
import secrets

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest
from django.utils.text import slugify

from fleet.services.accounts import free_username
from fleet.services.notifications.secrets import UnreadableError, seal, unseal
from fleet.web.middleware.request_ids import address_of

log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are created by administrators or at the first single sign-on."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def add_message(self, *args: object, **kwargs: object) -> None:
        """Pages have their own messages."""

    def send_mail(self, *args: object, **kwargs: object) -> None:
        """Muster sends no mail to accounts."""

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request) or "127.0.0.1"  # behind a Unix socket there is none

    def generate_unique_username(self, txts: list[str | None], regex: str | None = None) -> str:
        return free_username(next((slugify(text) for text in txts if text and slugify(text)), "user"))


class MfaAdapter(DefaultMFAAdapter):
    """Keys of second factors are stored encrypted."""

    def encrypt(self, text: str) -> str:
        return seal(text).decode()

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return unseal(encrypted_text.encode())
        except UnreadableError:
            # SECRET_KEY was replaced without its fallback: no code may fit then, least of all that of an empty key.
            log.warning("A second factor cannot be decrypted: add the previous key to SECRET_KEY_FALLBACKS, or reset it.")
            return base64.b32encode(secrets.token_bytes(20)).decode()
