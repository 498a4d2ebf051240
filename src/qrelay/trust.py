"""The certificates that TLS trusts when somebody names them, or that none is checked. Not the connections."""

import ssl
from pathlib import Path


def trusting(bundle: Path) -> ssl.SSLContext:
    """TLS that trusts the certificates of a PEM file, or of a folder made by `c_rehash`, in place of the system's.

    Raises OSError (ssl.SSLError is one) when they can't be read.
    """
    if bundle.is_dir():
        return ssl.create_default_context(capath=str(bundle))
    return ssl.create_default_context(cafile=str(bundle))


def unchecked() -> ssl.SSLContext:
    """TLS with anybody: only for a token service that somebody has said not to check."""
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return tls
