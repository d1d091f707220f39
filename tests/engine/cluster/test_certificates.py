"""Certificates: which connections they allow, with real handshakes, and which files exist."""

import ipaddress
import os
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from engine.cluster.certificates import FILES, LOCAL, PARTS, Authority, make
from engine.cluster.tls import TLS
from engine.errors import CertificatesUnavailable, ClusterUnsafe


def read(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expire(certificates: Path, part: Path, folder: Path) -> TLS:
    """A certificate like ``part``'s by the same authority, which expired yesterday."""
    folder.mkdir()
    authority = Authority.load(certificates / "ca")
    now = datetime.now(UTC)
    old = read(part)
    certificate = (
        x509.CertificateBuilder(extensions=list(old.extensions))
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now - timedelta(days=1))
        .sign(authority.key, hashes.SHA256())
    )
    for name in FILES:
        (folder / name).write_bytes((part / name).read_bytes())
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return TLS.folder(folder)


def context(tls: TLS, role: str) -> ssl.SSLContext:
    """Dask's SSL context from our settings, for a server (``worker``) or a client (``client``)."""
    security = tls.security()
    arguments = security.get_listen_args(role) if role == "scheduler" else security.get_connection_args(role)
    made = arguments["ssl_context"]
    assert isinstance(made, ssl.SSLContext)
    return made


def greet(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """What a client reads from a server after mutual authentication. Raises OSError if either refuses the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            try:
                with server.wrap_socket(raw, server_side=True) as connection:
                    connection.sendall(b"welcome")
            except OSError:
                raw.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=10) as raw,
                client.wrap_socket(raw, server_hostname="localhost") as connection,
            ):
                assert connection.version() == "TLSv1.3"
                return connection.recv(100)
        finally:
            thread.join()


class TestAdmission:
    @pytest.mark.parametrize("part", PARTS)
    def test_accepts_each_part_of_the_cluster(self, certificates: Path, part: str) -> None:
        server = context(TLS.folder(certificates / "scheduler"), "scheduler")
        assert greet(server, context(TLS.folder(certificates / part), "client")) == b"welcome"

    def test_refuses_a_client_of_another_authority(self, certificates: Path, tmp_path: Path) -> None:
        make(tmp_path, ["bot"])
        foreign = tmp_path / "bot"
        (foreign / "ca.pem").write_bytes((certificates / "bot" / "ca.pem").read_bytes())  # it trusts our server
        server = context(TLS.folder(certificates / "scheduler"), "scheduler")
        with pytest.raises(OSError, match=r"(?i)alert|reset|closed"):
            assert greet(server, context(TLS.folder(foreign), "client")) == b"welcome"

    def test_refuses_a_server_of_another_authority(self, certificates: Path, tmp_path: Path) -> None:
        make(tmp_path, ["scheduler"])
        server = context(TLS.folder(tmp_path / "scheduler"), "scheduler")
        with pytest.raises(ssl.SSLCertVerificationError):
            greet(server, context(TLS.folder(certificates / "bot"), "client"))

    def test_refuses_a_client_without_a_certificate(self, certificates: Path) -> None:
        server = context(TLS.folder(certificates / "scheduler"), "scheduler")
        client = ssl.create_default_context(cafile=certificates / "ca" / "ca.pem")
        with pytest.raises(OSError, match=r"(?i)alert|reset|closed"):
            assert greet(server, client) == b"welcome"

    def test_refuses_an_expired_certificate(self, certificates: Path, tmp_path: Path) -> None:
        tls = expire(certificates, certificates / "bot", tmp_path / "old")
        with pytest.raises(ClusterUnsafe, match=r"expired on .* --force"):
            tls.security()
        client = context(TLS.folder(certificates / "bot"), "client")
        client.load_cert_chain(tls.certificate, tls.key)
        server = context(TLS.folder(certificates / "scheduler"), "scheduler")
        with pytest.raises(OSError, match=r"(?i)alert|reset|closed"):
            assert greet(server, client) == b"welcome"

    def test_refuses_tls_1_2(self, certificates: Path) -> None:
        client = context(TLS.folder(certificates / "bot"), "client")
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(OSError, match=r"(?i)alert|protocol|reset"):
            greet(context(TLS.folder(certificates / "scheduler"), "scheduler"), client)


class TestNewCertificates:
    def test_are_in_a_folder_for_each_part_with_the_same_authority(self, certificates: Path) -> None:
        assert sorted(path.name for path in certificates.iterdir()) == ["bot", "ca", "scheduler", "worker"]
        authority = (certificates / "ca" / "ca.pem").read_bytes()
        for part in PARTS:
            assert sorted(path.name for path in (certificates / part).iterdir()) == sorted(FILES)
            assert (certificates / part / "ca.pem").read_bytes() == authority

    def test_are_private(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            (tmp_path / "tls" / "bot").mkdir(parents=True)
            make(tmp_path / "tls")
        finally:
            os.umask(before)
        made = list((tmp_path / "tls").glob("*/*"))
        assert len(made) == 11
        assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
        assert {stat.S_IMODE(path.parent.stat().st_mode) for path in made} == {0o700}

    def test_cannot_sign_and_are_for_servers_and_clients(self, certificates: Path) -> None:
        extensions = read(certificates / "worker").extensions
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}

    def test_name_their_hosts(self, tmp_path: Path) -> None:
        make(tmp_path, ["scheduler"], ["gpu-1.example", "10.0.0.7", "2001:db8::1"], days=30)
        certificate = read(tmp_path / "scheduler")
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost", "gpu-1.example"]
        addresses = [*LOCAL[1:], "10.0.0.7", "2001:db8::1"]
        assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(each) for each in addresses]
        assert certificate.not_valid_after_utc - datetime.now(UTC) > timedelta(days=29)
        assert certificate.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=30)


class TestExistingCertificates:
    def test_are_not_overwritten(self, tmp_path: Path) -> None:
        make(tmp_path)
        before = contents(tmp_path)
        with pytest.raises(CertificatesUnavailable, match="--force"):
            make(tmp_path)
        assert contents(tmp_path) == before

    def test_are_replaced_by_force_with_the_same_authority(self, tmp_path: Path, certificates: Path) -> None:
        make(tmp_path)
        before = contents(tmp_path)
        old = context(TLS.folder(tmp_path / "bot"), "client")
        make(tmp_path, force=True)
        changed = {path.relative_to(tmp_path) for path, data in contents(tmp_path).items() if data != before[path]}
        assert changed == {Path(part, name) for part in PARTS for name in ("certificate.pem", "key.pem")}
        assert greet(context(TLS.folder(tmp_path / "scheduler"), "scheduler"), old) == b"welcome"

    def test_are_kept_and_completed_if_wanted(self, tmp_path: Path) -> None:
        make(tmp_path, ["scheduler"])
        before = contents(tmp_path)
        assert make(tmp_path, keep=True) == [tmp_path / "worker", tmp_path / "bot"]
        assert make(tmp_path, keep=True) == []
        after = contents(tmp_path)
        assert {path: after[path] for path in before} == before

    def test_can_be_extended_by_another_host(self, tmp_path: Path) -> None:
        make(tmp_path)
        make(tmp_path, ["gpu-2"], ["gpu-2.example"])
        server = context(TLS.folder(tmp_path / "scheduler"), "scheduler")
        assert greet(server, context(TLS.folder(tmp_path / "gpu-2"), "client")) == b"welcome"

    @pytest.mark.parametrize("damage", ["ca-key.pem missing", "ca-key.pem of another", "ca.pem damaged"])
    def test_of_a_damaged_authority_raise_an_error(self, tmp_path: Path, certificates: Path, damage: str) -> None:
        make(tmp_path, ["bot"])
        name, _, how = damage.partition(" ")
        path = tmp_path / "ca" / name
        if how == "missing":
            path.unlink()
        else:
            path.write_bytes((certificates / "ca" / name).read_bytes() if how == "of another" else b"damaged")
        before = contents(tmp_path)
        with pytest.raises(CertificatesUnavailable, match=r"ca"):
            make(tmp_path, ["worker"])
        assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["", "ca", "..", "../bot", "a b", ".hidden", "Ä"])
def test_an_invalid_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CertificatesUnavailable):
        make(tmp_path, [name])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("host", ["", "a b", "host/path", "tls://host", "Ä.example"])
def test_an_invalid_host_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(CertificatesUnavailable, match="neither a host's name nor its address"):
        make(tmp_path, hosts=[host])
    assert not list(tmp_path.iterdir())
