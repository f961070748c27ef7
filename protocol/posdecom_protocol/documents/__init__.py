"""The signed documents: one module each, and here what is common to all of them.

`SHAPES` is the table that crosses each document with the roles that may sign it. `issue` makes one, `open_document`
reads one; both go through the same schema. Reading judges shape, bounds and ``typ``; `authenticate` judges who signed.
Every `DocumentError` from here starts with the name of the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Generic, TypeAlias, TypeVar

from .. import cbor, cose
from ..certificates import Anchors, Role, Signer
from ..errors import DocumentError
from ..limits import CERTIFICATE_DOCUMENT_BYTES_MAX, DOCUMENT_BYTES_MAX
from ..schema import Record
from ..wording import N_
from .bind import BIND, Bind
from .cancellation import CANCELLATION, Cancellation
from .certificate import CERTIFICATE, Certificate
from .closure import CLOSURE, Closure
from .evidence import EVIDENCE, Evidence
from .order import ORDER, Order
from .receipt import RECEIPT, Receipt
from .seal import SEAL, Seal

Document: TypeAlias = Order | Seal | Receipt | Evidence | Certificate | Closure | Cancellation | Bind
D = TypeVar("D", Order, Seal, Receipt, Evidence, Certificate, Closure, Cancellation, Bind)


class DocumentType(StrEnum):
    """The ``typ`` of each document (RFC 9596): a media type."""

    ORDER = "application/vnd.posdecom.order+cose"
    SEAL = "application/vnd.posdecom.seal+cose"
    RECEIPT = "application/vnd.posdecom.receipt+cose"
    EVIDENCE = "application/vnd.posdecom.evidence+cose"
    CERTIFICATE = "application/vnd.posdecom.certificate+cose"
    CLOSURE = "application/vnd.posdecom.closure+cose"
    CANCELLATION = "application/vnd.posdecom.cancellation+cose"
    BIND = "application/vnd.posdecom.bind+cose"


@dataclass(frozen=True, slots=True)
class Shape:
    """How one type of document looks and who may sign it."""

    typ: DocumentType
    record: Record[Any]
    roles: tuple[Role, ...]
    """The first is the ordinary signer's; another may only add a second signature."""
    bytes_max: int = DOCUMENT_BYTES_MAX


SHAPES: Final[dict[type[Any], Shape]] = {
    Order: Shape(DocumentType.ORDER, ORDER, (Role.ORDER,)),
    Seal: Shape(DocumentType.SEAL, SEAL, (Role.TERMINAL,)),
    Receipt: Shape(DocumentType.RECEIPT, RECEIPT, (Role.RELEASE, Role.APPROVER)),
    Evidence: Shape(DocumentType.EVIDENCE, EVIDENCE, (Role.TERMINAL,)),
    Certificate: Shape(
        DocumentType.CERTIFICATE, CERTIFICATE, (Role.TECHNICIAN,), CERTIFICATE_DOCUMENT_BYTES_MAX
    ),
    Closure: Shape(DocumentType.CLOSURE, CLOSURE, (Role.RELEASE,)),
    Cancellation: Shape(DocumentType.CANCELLATION, CANCELLATION, (Role.ORDER,)),
    Bind: Shape(DocumentType.BIND, BIND, (Role.MAKER,)),
}

_KINDS: Final[dict[str, type[Any]]] = {shape.typ: kind for kind, shape in SHAPES.items()}
_REMEMBERED: Final = 16
"""One decommission has six documents, each of which is opened at every step that looks at it."""


@dataclass(frozen=True, slots=True)
class Signed(Generic[D]):
    """A document with the exact bytes that its signature covers."""

    data: bytes = field(repr=False)
    sign1: cose.Sign1
    body: D = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 over all bytes: how the next document names this one."""
        return cose.digest(self.data)


def issue(body: D, key: cose.SigningKey) -> bytes:
    """Sign ``body``; the result reads back as equal, or `DocumentError` says which field is out of bounds."""
    shape = SHAPES[type(body)]
    payload = cbor.encode(shape.record.pack(body))
    data = cose.sign(payload, shape.typ, key)
    open_document(data, type(body))
    return data


def open_document(data: bytes, kind: type[D]) -> Signed[D]:
    """Read a document of the type ``kind``; its signature is not judged here. `DocumentError` for anything else."""
    document: Signed[D] = _opened(data, SHAPES[kind].typ)
    return document


@lru_cache(maxsize=_REMEMBERED)
def _opened(data: bytes, typ: DocumentType) -> Signed[Any]:
    """Immutable throughout, so that one object serves everybody who opens the same bytes."""
    kind = _KINDS[typ]
    shape = SHAPES[kind]
    name = kind.__name__.lower()
    with _about(name):
        sign1 = cose.parse(data, shape.bytes_max)
        if sign1.typ != shape.typ:
            raise DocumentError("typ", N_("is that of something else"))
    return Signed(data, sign1, shape.record.unpack(cbor.decode(sign1.payload, name), name))


def open_any(data: bytes) -> Signed[Any]:
    """Read a document of whichever type its ``typ`` names."""
    typ = cose.parse(data, CERTIFICATE_DOCUMENT_BYTES_MAX).typ
    if typ not in _KINDS:
        raise DocumentError("typ", N_("names no document of this kind"))
    return _opened(data, DocumentType(typ))


def authenticate(
    document: Signed[Any], anchors: Anchors, at: float | None, role: Role | None = None
) -> Signer:
    """Who signed ``document``, in ``role`` (by default the ordinary signer's), under ``anchors``, at time ``at``.

    Raises:
        DocumentError: the chain or the signature does not hold, or ``role`` never signs such a document.
    """
    roles = SHAPES[type(document.body)].roles
    with _about(type(document.body).__name__.lower()):
        if role is not None and role not in roles:
            raise DocumentError("role", N_("{role} never signs it", role=role))
        return cose.verify(document.sign1, anchors, role or roles[0], at)


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Say of which document an error speaks that knows only of COSE and certificates."""
    try:
        yield
    except DocumentError as error:
        raise DocumentError(f"{name}, {error.where}", error.reason) from error
