"""TLS to an API server: trusted authorities and client certificate, from PEM texts."""

from __future__ import annotations

import ssl
import tempfile
import warnings
from pathlib import Path

import msgspec
from urllib3.exceptions import InsecureRequestWarning

from fleet.collectors.errors import ConfigurationError, shorten


class Tls(msgspec.Struct, frozen=True):
    """What TLS needs, as PEM texts: no key stays on disk, as it would in the package's own temporary files."""

    authority: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Trusts the given authority alone, or the system's where none is given. Raises ConfigurationError."""
        try:
            context = ssl.create_default_context(cadata=self.authority or None)
            # As Go verifies: no demand for extensions that many clusters' own authorities leave out, and an
            # intermediate authority that was given explicitly is trusted as it stands.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                warnings.filterwarnings("ignore", category=InsecureRequestWarning)
            if self.certificate:
                self._load_certificate(context)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigurationError(f"A certificate or key cannot be used: {shorten(str(error))}") from None
        return context

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        # ssl takes a key from files only: they live for this moment, in a folder that only Muster's user may enter.
        with tempfile.TemporaryDirectory(prefix="muster-") as folder:
            certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
            certificate.write_text(self.certificate, encoding="utf-8")
            key.write_text(self.key, encoding="utf-8")
            context.load_cert_chain(certificate, key, password=lambda: "")


def read_pem(path: str, what: str) -> str:
    """The text of a PEM file. Raises ConfigurationError that begins with `what`."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not PEM text"
        raise ConfigurationError(f"{what} {path} cannot be read ({reason}).") from None
