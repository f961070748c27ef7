"""TLS to the acquirer's host, where it offers it. Who the host is comes from a CA file and its name, nothing else.

No fallback: an address that says ``tls://`` is never spoken to in the clear. Validity is judged by this machine's
clock, as by every TLS client; the money does not hang on it: each message carries the terminal's own MAC.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from posdecom_protocol.errors import HostUntrusted
from posdecom_protocol.wording import N_

from .site import SiteError


def secured(plain: socket.socket, name: str, ca_file: Path) -> ssl.SSLSocket:
    """``plain`` with TLS 1.2 or newer on it, its owner proved to be ``name`` (host name or IP address) by a CA file.

    ``ca_file``: PEM. `HostUntrusted` where it is not proved, `SiteError` for a file without a CA, else `OSError`.
    """
    context = _context(ca_file)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        raise HostUntrusted(
            N_("the certificate of {name} is not trusted: {reason}", name=name, reason=error.verify_message)
        ) from error
    except ssl.SSLError as error:
        reason = (error.reason or "unknown").lower().replace("_", " ")
        raise ConnectionAbortedError(error.errno, N_("no TLS there: {reason}", reason=reason)) from error


def _context(ca_file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    context.hostname_checks_common_name = False  # RFC 9525: the name stands in subjectAltName or nowhere
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError as error:
        raise SiteError(N_("{file} holds no CA certificate as PEM", file=ca_file)) from error
    except OSError as error:
        raise SiteError(
            N_("{file} cannot be read: {reason}", file=ca_file, reason=error.strerror or "")
        ) from error
    return context
