"""Certificates that name who holds them by a SPIFFE ID, as those of a mesh do, and connections by them."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from .config import Config, listeners
from .requests import Connection

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=test"]


class Authority:
    """Issues certificates; their files are named after who holds them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _openssl("req", "-x509", *_KEY, "-keyout", self._path("ca", "key"), "-out", self.certificate)

    @property
    def certificate(self) -> str:
        """The file with its own certificate."""
        return self._path("ca", "pem")

    def issue(self, name: str, identity: str) -> tuple[str, str]:
        """The files of a certificate for this SPIFFE ID, and of its key."""
        certificate, key, request, extensions = (self._path(name, kind) for kind in ("pem", "key", "csr", "ext"))
        Path(extensions).write_text(f"subjectAltName=URI:{identity}\n", encoding="ascii")
        _openssl("req", *_KEY, "-keyout", key, "-out", request)
        issuer = ["-CA", self.certificate, "-CAkey", self._path("ca", "key"), "-CAcreateserial"]
        _openssl("x509", "-req", "-in", request, *issuer, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def _path(self, name: str, kind: str) -> str:
        return str(self._folder / f"{name}.{kind}")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def listen_with_tls(config: Config, authority: Authority, certificate: tuple[str, str]) -> None:
    """Have the listener take TLS, and verify the certificates of clients that show one."""
    chain, key = certificate
    context = {
        "tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}],
        "validation_context": {"trusted_ca": {"filename": authority.certificate}},
    }
    (listener,) = listeners(config)
    for one in listener["filter_chains"]:
        one["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": _TLS, "common_tls_context": context},
        }


class TlsConnection(Connection):
    """A connection over TLS, with this certificate or without one."""

    def __init__(self, port: int, certificate: tuple[str, str] | None = None) -> None:
        super().__init__(port)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate is not None:
            context.load_cert_chain(*certificate)
        self._socket = context.wrap_socket(self._socket)
