"""The certificate as JSON, for programs. ``docs/certificate.schema.json`` publishes what stands in it.

Amounts are integers in minor units of an ISO 4217 currency, by number. Times are seconds since 1970. Bytes are
hexadecimal.
"""

from __future__ import annotations

from typing import Any

from posdecom_protocol.chain import Chain
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import ReceiptContext
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.money import Tally

from ..case.checklist import label_of
from ..view import View


def certificate_document(view: View) -> dict[str, object]:
    """All of it but its schema's name. What is absent from the certificate is null here."""
    chain, verdict, body = view.chain, view.verdict, view.chain.certificate.body
    return {
        "state": _word(verdict.state),
        "state_at_terminal": _word(verdict.state_at_terminal),
        "serial": body.serial,
        "certificate_id": body.certificate_id,
        "issued_at": body.issued_at,
        "technician": body.technician,
        "tool": {"name": body.tool.name, "version": body.tool.version, "crypto": body.tool.crypto},
        "journal_head": body.journal_head.hex(),
        "supersedes": None if body.supersedes is None else body.supersedes.hex(),
        "revoke": [key.hex() for key in body.revoke or ()],
        "order": None if chain.order is None else _order(chain.order.body),
        "tamper": None if chain.seal is None else _word(chain.seal.body.tamper),
        "money": _money(chain),
        "keys": None if chain.evidence is None else _keys(chain.evidence.body),
        "closure": None if chain.closure is None else _closure(chain.closure.body),
        "points": [
            {
                "point": point.point,
                "standing": _word(point.standing),
                "text": str(point.text),
                "label": {"en": label_of(point.point).en, "zh": label_of(point.point).zh},
            }
            for point in view.points
        ],
        "findings": [
            {"area": one.area.value, "weight": one.weight.value, "text": str(one.text)}
            for one in verdict.findings
        ],
        "signers": [
            {"document": name, "role": one.role.value, "name": one.name, "key_id": one.key_id.hex()}
            for name, one in verdict.signers
        ],
        "documents": dict(_digests(chain)),
    }


def _word(member: Any) -> str:
    return str(member.name).lower().replace("_", "-")


def _order(body: Order) -> dict[str, object]:
    return {
        "order_id": body.order_id,
        "issuer": body.issuer,
        "reason": _word(body.reason),
        "mode": _word(body.mode),
        "issued_at": body.issued_at,
        "cutoff_at": body.cutoff_at,
        "after_cutoff": _word(body.after_cutoff),
        "preauths": _word(body.preauths),
        "replacement": body.replacement,
    }


def _money(chain: Chain) -> list[dict[str, object]]:
    if chain.seal is None:
        return []
    received = {one.index: one for one in chain.receipts[0].body.contexts} if chain.receipts else {}
    return [_account(context, received.get(context.index)) for context in chain.seal.body.contexts]


def _account(context: SealedContext, received: ReceiptContext | None) -> dict[str, object]:
    sealed = [
        {"group": _word(one.group), "debit": _tally(one.debit), "credit": _tally(one.credit)}
        for one in context.totals
    ]
    outcome = None if received is None else {
        "delivered": _tally(received.delivered),
        "refused": _tally(received.refused),
        "undelivered": _tally(received.undelivered),
        "withheld": _tally(received.withheld),
        "refusals": [{"sequence": one.sequence, "code": one.code} for one in received.refusals],
    }  # fmt: skip
    return {
        "acquirer": context.acquirer,
        "mid": context.mid,
        "tid": context.tid,
        "currency": context.currency,
        "batch": context.batch,
        "sealed": sealed,
        "outcome": outcome,
    }


def _tally(tally: Tally) -> dict[str, int]:
    return {"count": tally.count, "amount": tally.amount}


def _keys(body: Evidence) -> dict[str, object]:
    return {
        "erased_at": body.erased_at,
        "every_slot_is_empty": body.every_slot_is_empty,
        "slots": [
            {
                "slot": one.slot,
                "usage": one.usage,
                "algorithm": one.algorithm,
                "kcv_before": one.kcv_before.hex(),
                "method": _word(one.method),
                "read_back": _word(one.read_back),
            }
            for one in body.slots
        ],
        "to_be_destroyed": list(body.to_be_destroyed),
        "kept": [{"what": one.what, "why": one.why} for one in body.kept],
    }


def _closure(body: Closure) -> dict[str, object]:
    return {
        "closure_id": body.closure_id,
        "issuer": body.issuer,
        "closed_at": body.closed_at,
        "ksn_denied": [one.hex() for one in body.ksn_denied],
        "keys_deleted": list(body.keys_deleted),
        "certificates_revoked": [one.hex() for one in body.certificates_revoked],
        "refunds_open": body.refunds_open,
        "remark": body.remark,
    }


def _digests(chain: Chain) -> list[tuple[str, str]]:
    receipts = [(f"receipt-{number}", one) for number, one in enumerate(chain.receipts, 1)]
    rest = (("evidence", chain.evidence), ("certificate", chain.certificate), ("closure", chain.closure))
    named = (("order", chain.order), ("seal", chain.seal), *receipts, *rest)
    return [(name, one.digest.hex()) for name, one in named if one is not None]
