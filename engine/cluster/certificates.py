"""The certificate authority of a cluster, and a certificate for each of its parts: scheduler, workers, bot.

Each part has a folder with the files that its machine needs (:data:`FILES`). The authority's key stays where it was
made. Dask trusts every certificate of the authority and ignores the names in it, so each cluster needs its own
authority. There is no revocation: to exclude a certificate, make a new authority.
"""

import ipaddress
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine import private
from engine.errors import CertificatesUnavailable

PARTS: Final = ("scheduler", "worker", "bot")
"""The parts of a cluster. Each has its own certificate."""
FILES: Final = ("ca.pem", "certificate.pem", "key.pem")
"""The files in a part's folder: the authority's certificate, its own one, and its key. Only the owner can read them."""
AUTHORITY_DAYS: Final = 3650
LOCAL: Final = ("localhost", "127.0.0.1", "::1")

_SKEW: Final = timedelta(minutes=5)
"""The tolerated lag of another machine's clock."""
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls) -> "Authority":
        """Make a new authority, valid for :data:`AUTHORITY_DAYS`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _named(f"Atelier cluster {secrets.token_hex(4)}")
        certificate = (
            _builder(name, name, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """Read the authority that :meth:`save` wrote to ``folder``.

        Raises:
            CertificatesUnavailable: a file is missing or invalid.
        """
        try:
            certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
            key = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), password=None)
            certificate.verify_directly_issued_by(certificate)
        except OSError as error:
            raise CertificatesUnavailable(
                f"{error.filename}: {error.strerror}. It is needed to sign certificates."
            ) from error
        except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
            raise CertificatesUnavailable(f"{folder} contains no readable certificate authority: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise CertificatesUnavailable(f"{folder}: ca-key.pem is not the key of ca.pem.")
        return cls(certificate, key)

    def save(self, folder: Path) -> None:
        """Write ``ca.pem`` and ``ca-key.pem`` to ``folder``."""
        private.make_folder(folder)
        _write(folder / "ca-key.pem", _private(self.key))
        _write(folder / "ca.pem", _public(self.certificate))

    def issue(self, name: str, hosts: Iterable[str], days: int, folder: Path) -> None:
        """Make a certificate for ``name`` on ``hosts`` (names or addresses), valid for ``days``, in ``folder``."""
        key = ec.generate_private_key(ec.SECP256R1())
        authority = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            _builder(_named(name), self.certificate.subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            # Workers and schedulers are servers and clients. A bot is only a client, but Dask treats all three alike.
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(_alternatives(hosts)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private.make_folder(folder)
        _write(folder / "key.pem", _private(key))
        _write(folder / "certificate.pem", _public(certificate))
        _write(folder / "ca.pem", _public(self.certificate))


def make(
    folder: Path,
    names: Sequence[str] = PARTS,
    hosts: Sequence[str] = (),
    days: int = 365,
    *,
    force: bool = False,
    keep: bool = False,
) -> list[Path]:
    """Make a folder of certificates for each of ``names`` in ``folder``, signed by the authority in ``folder/ca``.

    Args:
        folder: where to write. The authority is made if there is none.
        names: the parts.
        hosts: names or addresses of the machines, in addition to :data:`LOCAL`.
        days: how long the certificates are valid.
        force: replace existing certificates. The authority stays, so existing trust stays valid.
        keep: make only what is missing.

    Returns:
        The folders that were written.

    Raises:
        CertificatesUnavailable: a certificate exists (without ``force`` and ``keep``), a name is invalid, or the
            authority can't be read.
        OSError: the folder can't be written to.
    """
    for name in names:
        if not name or set(name) - _NAME or name.startswith(".") or name == "ca":
            raise CertificatesUnavailable(f"{name!r} can't name a certificate: use small letters, digits and hyphens.")
    _alternatives(hosts)
    there = [name for name in names if any((folder / name / file).exists() for file in FILES)]
    if there and not force and not keep:
        raise CertificatesUnavailable(
            f"{folder / there[0]} already has a certificate. --force replaces it, --keep makes only what is missing."
        )
    if keep:
        names = [name for name in names if not all((folder / name / file).exists() for file in FILES)]
        if not names:
            return []
    if any((folder / "ca" / file).exists() for file in ("ca.pem", "ca-key.pem")):
        authority = Authority.load(folder / "ca")
    else:
        authority = Authority.make()
        authority.save(folder / "ca")
    for name in names:
        authority.issue(name, [*LOCAL, *hosts], days, folder / name)
    return [folder / name for name in names]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(hosts: Iterable[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            if not host or not host.isascii() or set(host.lower()) - _NAME - {"*"}:
                raise CertificatesUnavailable(f"{host!r} is neither a host's name nor its address.") from None
            names.append(x509.DNSName(host))
    return names


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Write ``path`` atomically. Other users can't read it at any time."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(private.create(part), "wb") as file:
            file.write(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
