"""The certificates that TLS trusts when somebody names them. Not the connections."""

import ssl
from pathlib import Path


def trusting(bundle: Path) -> ssl.SSLContext:
    """TLS that trusts the certificates of a PEM file, or of a folder made by `c_rehash`, in place of the system's.

    Raises OSError (ssl.SSLError is one) when they can't be read.
    """
    if bundle.is_dir():
        return ssl.create_default_context(capath=str(bundle))
    return ssl.create_default_context(cafile=str(bundle))
