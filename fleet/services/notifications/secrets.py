"""Addresses and signing keys at rest: encrypted with a key derived from SECRET_KEY; older keys still read."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class UnreadableError(Exception):
    """It was encrypted with a SECRET_KEY that is no longer configured."""


def seal(text: str) -> bytes:
    """Encrypted for the database."""
    return _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(text.encode())


def unseal(sealed: bytes | memoryview) -> str:
    """The text again; nothing stays nothing. Raises UnreadableError."""
    if not bytes(sealed):
        return ""
    try:
        return _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).decrypt(bytes(sealed)).decode()
    except InvalidToken as error:
        raise UnreadableError(
            "The stored value cannot be decrypted: SECRET_KEY has changed since it was saved. Name the earlier key in "
            "SECRET_KEY_FALLBACKS, or enter the address again."
        ) from error


@lru_cache(maxsize=4)
def _fernet(*keys: str) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key))) for key in keys])


def _derived(key: str) -> bytes:
    """32 bytes that serve this purpose only; SECRET_KEY is long and random, so one keyed hash is enough."""
    return hashlib.blake2b(key.encode(), digest_size=32, person=b"muster-targets").digest()
