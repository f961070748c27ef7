"""The host's side of TLS: the provisioned certificate, TLS 1.2 or newer, no certificate asked of the other side.

Who sends is proved by each message's own MAC, as it is over a line in the clear.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from ..site import HOST
from ..toml_table import SiteError


def server_context(acquirer: Path) -> ssl.SSLContext:
    """From ``host.pem`` and ``host.key`` in the acquirer's folder. Raises SiteError."""
    chain, key = acquirer / f"{HOST}.pem", acquirer / f"{HOST}.key"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(chain, key)
    except OSError as error:
        raise SiteError(f"{chain} and {key} are no certificate and key for TLS: {error.strerror}") from error
    return context
