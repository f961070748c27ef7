"""The release desk over HTTP: four calls, each repeatable. docs/desk.openapi.json is the contract.

`_ask` makes one call and turns whatever comes back into a `DeskReply`; only `over_http` knows sockets. The desk's name
is not authenticated by this module where the URL is plain http: what it answers is signed, and judged by whoever uses
it.
"""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from posdecom_protocol.custody import MEDIA_TYPE, decode_receipts, encode_custody, encode_salvage
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.errors import DocumentError, MessageError
from posdecom_protocol.limits import ITEMS_MAX, MESSAGE_BYTES_MAX
from posdecom_protocol.wording import N_

from .job import Job
from .procedure import Accounted, ClosedBy, Declined, DeskReply, Missing, Pending, Receipts, Unreachable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SEND_TIMEOUT_S: Final = 60.0
"""To connect, and again to hand over a call."""

ANSWER_TIMEOUT_S: Final = 60.0
"""From the call's last byte to the answer's. The desk recomputes thousands of MACs before it answers."""

DOCUMENT_MEDIA_TYPE: Final = "application/cose"
ANSWER_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX
MISSING_MAX: Final = 10_000
JSON_BYTES_MAX: Final = 128 * 1024
"""`MISSING_MAX` sequences, and room to spare."""

_URL: Final = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


Exchange: TypeAlias = Callable[[str, str, bytes | None, str], tuple[int, bytes]]
"""One HTTP call: method, URL, body, its media type; status and body of the answer. `OSError` where there is none."""


def over_http(method: str, url: str, body: bytes | None, media_type: str) -> tuple[int, bytes]:
    """By the shortest way: no proxy, and no redirection is followed: the desk is where the operator said it is."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SEND_TIMEOUT_S)
    connection.response_class = _TimedResponse
    with closing(connection):
        headers = {} if body is None else {"Content-Type": media_type}
        connection.request(method, parts.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES_MAX)


class _TimedResponse(http.client.HTTPResponse):
    """An answer with one deadline for all of it; the library's own is for each piece, and pieces can be many."""

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp = io.BufferedReader(_Timed(sock, self.fp.detach()))


class _Timed(io.RawIOBase):
    """What ``sock`` gives, until `ANSWER_TIMEOUT_S` from now; then `TimeoutError`."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = time.monotonic() + ANSWER_TIMEOUT_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Desk:
    """One desk at ``url`` (http or https, without a trailing path; `ValueError` for any other)."""

    def __init__(self, url: str, exchange: Exchange = over_http) -> None:
        if exchange is over_http and not _URL.fullmatch(url):
            raise ValueError(N_("a desk is http://HOST[:PORT] or https://HOST[:PORT]"))
        self._url = url.rstrip("/")
        self._exchange = exchange

    def find_receipt(self, job: Job) -> Receipts | None:
        """The receipts of the job's seal, if they are signed and the desk is reached."""
        assert job.seal is not None
        polled = self._poll(job.seal.digest)
        return polled if isinstance(polled, Receipts) else None

    def ask_receipt(self, job: Job) -> DeskReply:
        """Poll for the receipts of the job's seal; post seal and items where the desk does not know them."""
        assert job.seal is not None
        polled = self._poll(job.seal.digest)
        if polled is not None:
            return polled
        body = b"".join(encode_custody(job.order.data, job.seal.data, job.items()))
        posted = self._ask("POST", "/v1/seals", body, MEDIA_TYPE)
        return posted or Unreachable(N_("the desk does not know the call to post a seal"))

    def ask_closure(self, job: Job) -> DeskReply:
        """Post the certificate; the desk answers the same one with the same closure.

        Salvaged records go before it: nothing is closed while they are here alone.
        """
        if job.salvage_is_over and not isinstance(reply := self._hand_over(job), Accounted):
            return reply
        posted = self._ask("POST", "/v1/certificates", job.certificate, DOCUMENT_MEDIA_TYPE)
        return posted or Unreachable(N_("the desk does not know the call to post a certificate"))

    def _hand_over(self, job: Job) -> DeskReply:
        body = b"".join(encode_salvage(job.order.data, job.salvaged_messages()))
        posted = self._ask("POST", "/v1/salvages", body, MEDIA_TYPE)
        return posted or Unreachable(N_("the desk does not know the call to post salvaged records"))

    def _poll(self, seal_digest: bytes) -> DeskReply | None:
        return self._ask("GET", f"/v1/seals/{seal_digest.hex()}", None, "")

    def _ask(self, method: str, path: str, body: bytes | None, media_type: str) -> DeskReply | None:
        """One call; None where the desk answers that it does not know what was asked for (404)."""
        try:
            status, answer = self._exchange(method, self._url + path, body, media_type)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Unreachable(N_("{where}: {reason}", where=self._url, reason=_cause(error)))
        return None if status == 404 else _understood(status, answer)


def _cause(error: Exception) -> str:
    """Why there was no answer."""
    match error:
        case ssl.SSLCertVerificationError():
            return N_("its certificate is not trusted: {reason}", reason=error.verify_message)
        case OSError(strerror=str(words)):
            return words
        case TimeoutError():
            return N_("no answer in time")
        case _:
            return type(error).__name__


def _understood(status: int, body: bytes) -> DeskReply:
    try:
        match status:
            case 200 if body[:1] == b"\xd2":
                open_document(body, Closure)
                return ClosedBy(body)
            case 200 if body[:1] == b"{":
                return Accounted()
            case 200:
                return Receipts(decode_receipts(body))
            case 202:
                return Pending(_text(body, "reason"))
            case 409:
                return Missing(_sequences(body))
            case 413 | 422:
                return Declined(_text(body, "reason"))
            case _:
                return Unreachable(N_("the desk answered with status {status}", status=status))
    except (DocumentError, MessageError, ValueError, RecursionError) as error:
        return Unreachable(N_("the desk's answer cannot be read ({name})", name=type(error).__name__))


def _text(body: bytes, name: str) -> str:
    value = _json(body)
    text = value.get(name) if isinstance(value, dict) else None
    return text[:200] if isinstance(text, str) else N_("no reason given")


def _sequences(body: bytes) -> tuple[int, ...]:
    value = _json(body)
    missing = value.get("missing") if isinstance(value, dict) else None
    if not isinstance(missing, list) or not 0 < len(missing) <= MISSING_MAX:
        raise ValueError(N_("no list of missing items"))
    if not all(type(sequence) is int and 1 <= sequence <= ITEMS_MAX for sequence in missing):
        raise ValueError(N_("an item sequence is out of range"))
    return tuple(missing)


def _json(body: bytes) -> object:
    if len(body) > JSON_BYTES_MAX:
        raise ValueError(N_("more JSON than any answer needs"))
    value: object = json.loads(body)
    return value
