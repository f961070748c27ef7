"""From BLANK back to service: only a bind that the terminal's maker signed leads there.

A bind does not come over the technician's line: a blank terminal has no keys, and whoever loads new ones has it in his
hands (`personalise`). What the bind brings is whom the terminal trusts from then on.
"""

from __future__ import annotations

from posdecom_protocol import cose
from posdecom_protocol.certificates import load_anchors
from posdecom_protocol.documents import authenticate, open_document
from posdecom_protocol.documents.bind import Bind
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.lifecycle import LifecycleState

from . import slots
from .device import decode_device, decode_life
from .store import Store


def check_bind(store: Store, data: bytes) -> Bind:
    """The bind, where it takes this terminal back into service; judged by no date, because nothing here has one.

    `DocumentError`: it is no bind, not the maker's, or not for this terminal and the erase that made it blank.
    """
    life = decode_life(store.get(slots.STATE) or b"")
    if life.state is not LifecycleState.BLANK:
        raise DocumentError("bind", f"the terminal is {life.state.name}, not BLANK")
    signed = open_document(data, Bind)
    authenticate(signed, load_anchors(store.get(slots.MAKER_ANCHORS) or b""), at=None)
    body, evidence = signed.body, store.get(slots.EVIDENCE)
    if body.serial != decode_device(store.get(slots.DEVICE) or b"").serial:
        raise DocumentError("bind, serial", "is that of another terminal")
    if evidence is None or body.evidence_digest != cose.digest(evidence):
        raise DocumentError("bind, evidence_digest", "is not of the erase that made the terminal blank")
    load_anchors(body.technician_anchors)
    if len(load_anchors(body.acquirer_anchors).links) != 1:
        raise DocumentError("bind, acquirer_anchors", "is not exactly one authority")
    return body
