"""Throw-away certificates: an authority, a server's certificate for 127.0.0.1, a client's."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        kind = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def authority(name: str = "test authority") -> Pair:
    """Without the extensions that strict verification wants: as many clusters' own authorities are."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Pair(_sign(name, key, name, key, [(x509.BasicConstraints(ca=True, path_length=None), True)]), key)


def issue(ca: Pair, name: str, address: str = "", days: int = 1, authority: bool = False) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if authority:
        extensions.append((x509.BasicConstraints(ca=True, path_length=None), True))
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        extensions.append((names, False))
    issuer = ca.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return Pair(_sign(name, key, str(issuer), ca.key, extensions, days), key)


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: list[tuple[x509.ExtensionType, bool]],
    days: int = 1,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    ends = now + dt.timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends) - dt.timedelta(days=1))
        .not_valid_after(ends)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


def server_context(folder: Path, pair: Pair, client_authority: Pair | None = None) -> ssl.SSLContext:
    """What a TLS server needs; with a client authority it demands a client certificate."""
    certificate, key = folder / "server.pem", folder / "server-key.pem"
    certificate.write_text(pair.pem)
    key.write_text(pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_authority.pem)
    return context
