"""Mutual TLS between scheduler, workers and bots. Without it, connections stay on this machine."""

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from distributed import Security

from engine.errors import ClusterUnsafe


@dataclass(frozen=True, slots=True)
class TLS:
    """The files of one part of the cluster: see :mod:`engine.cluster.certificates`."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def given(cls, ca: Path | None, certificate: Path | None, key: Path | None) -> "TLS | None":
        """All three files, or None if none is given.

        Raises:
            ClusterUnsafe: only one or two are given.
        """
        if ca and certificate and key:
            return cls(ca, certificate, key)
        if ca or certificate or key:
            raise ClusterUnsafe("TLS needs all of TLS_CA, TLS_CERTIFICATE and TLS_KEY, or none of them.")
        return None

    @classmethod
    def folder(cls, path: Path) -> "TLS":
        """The files in a part's folder."""
        return cls(path / "ca.pem", path / "certificate.pem", path / "key.pem")

    def security(self) -> Security:
        """Dask's settings: encryption with TLS 1.3, and certificates of the same authority on both sides.

        Raises:
            ClusterUnsafe: a file is missing or invalid, or the certificate has expired.
        """
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            ssl.create_default_context(cafile=self.ca).load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:  # ssl's errors are OSError
            raise ClusterUnsafe(
                f"The certificates ({self.ca}, {self.certificate}, {self.key}) can't be used: {error}. "
                "`atelier cluster certs` makes them."
            ) from error
        if certificate.not_valid_after_utc < datetime.now(UTC):
            raise ClusterUnsafe(
                f"{self.certificate} expired on {certificate.not_valid_after_utc:%Y-%m-%d}. "
                "`atelier cluster certs --force` renews it."
            )
        parts = ("client", "scheduler", "worker")
        return Security(
            require_encryption=True,
            tls_ca_file=str(self.ca),
            tls_min_version=ssl.TLSVersion.TLSv1_3,
            **{f"tls_{part}_cert": str(self.certificate) for part in parts},
            **{f"tls_{part}_key": str(self.key) for part in parts},
        )


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address, is only reachable on this machine. False for an unknown name."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        pass
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host or "0.0.0.0", None)}  # noqa: S104 - what Dask does
    except OSError:
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def scheduler_security(address: str, tls: TLS | None) -> Security | None:
    """Dask's settings for a connection to ``address``: ``tls://host:port``, or ``tcp://…`` on this machine.

    Raises:
        ClusterUnsafe: the connection would lack encryption or authentication, or the files can't be used.
    """
    url = urlsplit(address if "://" in address else f"tcp://{address}")
    if url.scheme == "tls":
        if tls is None:
            raise ClusterUnsafe(
                f"{address} needs certificates: set TLS_CA, TLS_CERTIFICATE and TLS_KEY (`atelier cluster certs` makes "
                "them)."
            )
        return tls.security()
    if url.scheme != "tcp":
        raise ClusterUnsafe(f"{address} is not the address of a scheduler: use tls://HOST:PORT.")
    if not is_loopback(url.hostname or ""):
        raise ClusterUnsafe(
            f"{address} is another machine, and the connection is not encrypted: use tls://, with certificates from "
            "`atelier cluster certs`."
        )
    return None


def listening_security(host: str, tls: TLS | None) -> Security | None:
    """Dask's settings for listening on ``host``.

    Raises:
        ClusterUnsafe: others could connect without a certificate, or the files can't be used.
    """
    if tls is not None:
        return tls.security()
    if not is_loopback(host):
        raise ClusterUnsafe(
            f"Listening on {host or 'all addresses'} needs TLS: otherwise anybody who connects could run code here. "
            "Make certificates with `atelier cluster certs` and set TLS_CA, TLS_CERTIFICATE and TLS_KEY, or listen on "
            "127.0.0.1."
        )
    return None
