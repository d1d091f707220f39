"""Without certificates, nothing connects to or listens for other machines."""

from itertools import product
from pathlib import Path

import pytest

from engine.cluster.tls import TLS, is_loopback, listening_security, scheduler_security
from engine.errors import ClusterUnsafe

NOWHERE = Path("nowhere")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost"])
def test_loopback_hosts_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "10.0.0.1", "8.8.8.8", "::ffff:10.0.0.1", "no-such-host.invalid"],
)
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


class TestListening:
    @pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "somewhere.invalid"])
    def test_beyond_loopback_needs_certificates(self, host: str) -> None:
        with pytest.raises(ClusterUnsafe, match=r"atelier cluster certs.*127\.0\.0\.1"):
            listening_security(host, None)

    def test_on_loopback_needs_no_certificates(self) -> None:
        assert listening_security("127.0.0.1", None) is None

    @pytest.mark.parametrize("host", ["", "10.0.0.1", "127.0.0.1"])
    def test_with_certificates_is_always_encrypted(self, host: str, certificates: Path) -> None:
        security = listening_security(host, TLS.folder(certificates / "scheduler"))
        assert security is not None
        assert security.require_encryption


class TestConnecting:
    @pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "10.0.0.1:8786", "tcp://scheduler.invalid:8786"])
    @pytest.mark.parametrize("given", [True, False])
    def test_beyond_loopback_must_be_encrypted(self, address: str, given: bool, certificates: Path) -> None:
        with pytest.raises(ClusterUnsafe, match="tls://"):
            scheduler_security(address, TLS.folder(certificates / "bot") if given else None)

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "localhost:8786", "tcp://[::1]:8786"])
    def test_on_loopback_can_be_unencrypted(self, address: str) -> None:
        assert scheduler_security(address, None) is None

    def test_by_tls_needs_certificates(self) -> None:
        with pytest.raises(ClusterUnsafe, match="TLS_CA, TLS_CERTIFICATE and TLS_KEY"):
            scheduler_security("tls://127.0.0.1:8786", None)

    def test_with_certificates_is_encrypted(self, certificates: Path) -> None:
        security = scheduler_security("tls://scheduler:8786", TLS.folder(certificates / "bot"))
        assert security is not None
        assert security.require_encryption

    @pytest.mark.parametrize("address", ["http://127.0.0.1:8786", "inproc://1", "ws://127.0.0.1:1"])
    def test_by_another_protocol_is_refused(self, address: str) -> None:
        with pytest.raises(ClusterUnsafe, match="tls://HOST:PORT"):
            scheduler_security(address, None)


class TestFiles:
    def test_are_all_given_or_none(self) -> None:
        assert TLS.given(None, None, None) is None
        assert TLS.given(NOWHERE, NOWHERE, NOWHERE) == TLS(NOWHERE, NOWHERE, NOWHERE)

    @pytest.mark.parametrize(
        "given", [each for each in product((None, NOWHERE), repeat=3) if None in each and any(each)]
    )
    def test_are_refused_if_only_some_are_given(self, given: tuple[Path | None, Path | None, Path | None]) -> None:
        with pytest.raises(ClusterUnsafe, match="all of TLS_CA, TLS_CERTIFICATE and TLS_KEY"):
            TLS.given(*given)

    def test_that_are_missing_are_named_in_the_error(self) -> None:
        with pytest.raises(ClusterUnsafe, match=r"nowhere.*No such file.*atelier cluster certs"):
            TLS.folder(NOWHERE).security()

    def test_with_the_key_of_another_certificate_are_refused(self, certificates: Path) -> None:
        ours, other = TLS.folder(certificates / "bot"), TLS.folder(certificates / "worker")
        with pytest.raises(ClusterUnsafe, match="can't be used"):
            TLS(ours.ca, ours.certificate, other.key).security()

    def test_without_a_certificate_in_them_are_refused(self, certificates: Path, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("Hello")
        ours = TLS.folder(certificates / "bot")
        with pytest.raises(ClusterUnsafe, match="can't be used"):
            TLS(tmp_path / "ca.pem", ours.certificate, ours.key).security()
