"""The points of a case: one table, from which file format, template, questions, checklist and certificate all come.

A section is a TOML table; where ``many`` is true it is an array of tables, and each of its rows is one point of the
case. A point that is expected and not answered is *open*. One that is not expected (``expected`` is None, or its
condition does not hold) is listed only where somebody answered it. What the machine proves stands in `proofs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .kinds import CELL_CHARACTERS_MAX, Choice, Day, Kind, Line, Money, Octets, Sha256, Words, YesNo


@dataclass(frozen=True, slots=True)
class Where:
    """The point counts only where another one has one of these answers."""

    key: str
    answers: tuple[str, ...]


ALWAYS: Final = Where("", ())


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    kind: Kind
    label: Words
    expected: Where | None = ALWAYS
    """When its absence leaves it open; None: never."""


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    label: Words
    points: tuple[Point, ...]
    many: bool = False
    expected: bool = True
    """Of an array: whether the absence of every row is an open point."""
    rows_max: int = 20

    def point(self, name: str) -> Point | None:
        return next((point for point in self.points if point.name == name), None)


_CELL: Final = Line(CELL_CHARACTERS_MAX)
_DECIDED: Final = Where("application.decision", ("approved", "rejected"))
_REJECTED: Final = Where("application.decision", ("rejected",))

REASONS: Final = Choice(
    (
        ("closing", Words("shop closes", "停业")),
        ("licence-withdrawn", Words("licence withdrawn", "许可被吊销")),
        ("contract-end", Words("contract ends", "合同到期")),
        ("migration", Words("migration", "换机迁移")),
        ("fault", Words("fault", "故障")),
        ("repair", Words("repair", "送修")),
        ("lost", Words("lost or stolen", "遗失或被盗")),
        ("no-terminal", Words("no terminal at hand", "现场无终端")),
    )
)
DECISIONS: Final = Choice(
    (
        ("approved", Words("approved", "批准")),
        ("rejected", Words("rejected", "驳回")),
        ("pending", Words("pending", "待定")),
    )
)
REFUND_STATES: Final = Choice(
    (
        ("due", Words("due", "应退")),
        ("sent", Words("sent", "已发起")),
        ("refunded", Words("refunded", "已退款")),
        ("refused", Words("refused", "被拒")),
    )
)
EQUIPMENT: Final = Choice(
    (
        ("terminal", Words("terminal", "终端")),
        ("printer", Words("printer", "打印机")),
        ("scanner", Words("scanner", "扫码器")),
        ("charger", Words("charger", "充电器")),
        ("base", Words("base", "底座")),
        ("sim", Words("SIM card", "SIM卡")),
        ("other", Words("other", "其他")),
    )
)
CONDITIONS: Final = Choice(
    (
        ("good", Words("good", "完好")),
        ("worn", Words("worn", "有磨损")),
        ("damaged", Words("damaged", "损坏")),
        ("missing", Words("missing", "缺失")),
    )
)
NEXT_USES: Final = Choice(
    (
        ("redeploy", Words("redeploy", "再部署")),
        ("repair", Words("repair", "维修")),
        ("donate", Words("donate after erase", "清除后捐赠")),
        ("recycle", Words("recycle", "回收")),
        ("destroy", Words("destroy", "销毁")),
    )
)
PAPERS: Final = Choice(
    (
        ("contract", Words("contract", "合同")),
        ("purchase-receipt", Words("purchase receipt", "购买凭证")),
        ("warranty", Words("warranty", "保修卡")),
        ("form", Words("form", "申请表")),
        ("notice", Words("notice", "通知")),
        ("other", Words("other", "其他")),
    )
)
METHODS: Final = Choice((("in-person", Words("in person", "现场")), ("remote", Words("remote", "远程"))))

SECTIONS: Final[tuple[Section, ...]] = (
    Section(
        "case",
        Words("The case", "案卷"),
        (
            Point("serial", Line(32), Words("Terminal's serial number", "终端序列号")),
            Point("reference", Line(64), Words("Reference of the case", "案卷编号")),
            Point("work_order", Line(64), Words("Work order", "工单号"), None),
            Point("place", Line(), Words("Shop and address", "商户与地址")),
            Point("asset_tag", Line(64), Words("Asset tag", "资产编号"), None),
        ),
    ),
    Section(
        "application",
        Words("Application", "申请"),
        (
            Point("applicant", Line(), Words("Who asks", "申请人")),
            Point("reason", REASONS, Words("Why", "原因")),
            Point("submitted", Day(), Words("Submitted on", "提交日期")),
            Point("decision", DECISIONS, Words("Decision", "审批结果")),
            Point("decided", Day(), Words("Decided on", "审批日期"), _DECIDED),
            Point("decision_reference", Line(64), Words("Reference of the decision", "审批文号"), _DECIDED),
            Point("rejection_reason", Line(), Words("Reason of the rejection", "驳回理由"), _REJECTED),
            Point("supplied_next", Line(), Words("What was supplied next", "补充材料"), _REJECTED),
        ),
    ),
    Section(
        "notice",
        Words("Notices and contingency", "通知与预案"),
        (
            Point("institution_sent", Day(), Words("Payment institution notified on", "通知支付机构日期")),
            Point("institution_confirmed", Day(), Words("It confirmed receipt on", "支付机构确认日期")),
            Point("institution_reference", Line(64), Words("Its reference", "确认文号"), None),
            Point("customers_told", Line(), Words("Customers told", "告知顾客")),
            Point("partners_told", Line(), Words("Partners told", "告知合作方")),
            Point("contingency", Line(), Words("Contingency plan", "应急预案")),
            Point("rollback_by", Line(), Words("Who decides a roll-back", "回退决定人")),
        ),
    ),
    Section(
        "accounts",
        Words("Accounts", "账户"),
        (
            Point("balance_zero", YesNo(), Words("Balance is zero", "账户余额为零")),
            Point("in_transit", Line(), Words("Items in transit, explained", "在途款项说明")),
            Point("prepayments", Line(), Words("Customers' prepayments, stored value", "顾客预付与储值")),
            Point(
                "wallet_sales", Line(), Words("Wallet and QR sales outside the batch", "批次外钱包扫码交易")
            ),
            Point("settlement_cycle", Line(64), Words("Settlement cycle", "结算周期")),
            Point("payout_arrived", Day(), Words("Payout arrived on", "结算款到账日期")),
            Point("penalty", Money(), Words("Early-termination penalty", "提前解约违约金")),
            Point("service_fee_left", Money(), Words("Remaining service fee", "剩余服务费")),
            Point("deposit", Money(), Words("Deposit", "押金")),
            Point("deposit_refund", Line(), Words("Refund of the deposit, its papers", "押金退还及凭证")),
            Point("closed", Day(), Words("Account closure confirmed on", "销户确认日期")),
            Point("closure_reference", Line(64), Words("Reference of the closure", "销户文号"), None),
        ),
    ),
    Section(
        "fee",
        Words("Fee charged", "收取的费用"),
        (
            Point("what", _CELL, Words("for", "项目")),
            Point("amount", Money(), Words("amount", "金额")),
            Point("disputed", YesNo(), Words("disputed", "有异议"), None),
            Point("evidence", _CELL, Words("evidence", "证据"), None),
        ),
        many=True,
        expected=False,
    ),
    Section(
        "refund",
        Words("Refund due after the cut-off", "截止后应退款"),
        (
            Point("reference", _CELL, Words("reference", "参考号")),
            Point("amount", Money(), Words("amount", "金额")),
            Point("state", REFUND_STATES, Words("state", "状态")),
        ),
        many=True,
        expected=False,
    ),
    Section(
        "equipment",
        Words("Equipment", "设备"),
        (
            Point("kind", EQUIPMENT, Words("kind", "类别")),
            Point("serial", Line(32), Words("serial", "序列号"), None),
            Point("condition", CONDITIONS, Words("condition", "状况")),
            Point("damage", _CELL, Words("damage", "损坏情况"), None),
            Point("seal", Line(32), Words("seal", "封签号"), None),
            Point("bag", Line(32), Words("bag", "袋号"), None),
        ),
        many=True,
    ),
    Section(
        "custody",
        Words("Custody", "移交"),
        (
            Point("returned_to", Line(), Words("Returned to", "退还给")),
            Point("handed_over", Day(), Words("Handed over on", "移交日期")),
            Point("carrier", Line(64), Words("Carrier", "承运方"), None),
            Point("tracking", Line(64), Words("Tracking number", "运单号"), None),
            Point("next_use", NEXT_USES, Words("Next use", "后续用途")),
        ),
    ),
    Section(
        "document",
        Words("Document", "附件"),
        (
            Point("kind", PAPERS, Words("kind", "类别")),
            Point("title", _CELL, Words("title", "标题"), None),
            Point("file", _CELL, Words("file", "文件"), None),
            Point("sha256", Sha256(), Words("SHA-256", "SHA-256")),
        ),
        many=True,
    ),
    Section(
        "photo",
        Words("Photo", "照片"),
        (
            Point("of", _CELL, Words("of", "内容")),
            Point("file", _CELL, Words("file", "文件"), None),
            Point("sha256", Sha256(), Words("SHA-256", "SHA-256")),
        ),
        many=True,
        expected=False,
    ),
    Section(
        "retention",
        Words("Retention", "留存"),
        (
            Point("until", Day(), Words("Documents kept until", "资料留存至")),
            Point("destruction", Line(), Words("How they are destroyed then", "到期销毁方式")),
        ),
    ),
    Section(
        "witness",
        Words("Witness", "见证人"),
        (
            Point("name", Line(80), Words("Name", "姓名")),
            Point("role", Line(80), Words("Role", "身份")),
            Point("method", METHODS, Words("Method", "见证方式")),
            Point("key", Octets(32), Words("Public key (Ed25519)", "公钥（Ed25519）")),
            Point("signature", Octets(64), Words("Signature", "签名")),
        ),
    ),
)

BY_NAME: Final = {section.name: section for section in SECTIONS}
WITNESS: Final = "witness"
RETENTION_KEY: Final = "retention.until"


def single_points() -> Iterator[tuple[Section, Point, str]]:
    """Every point that stands alone, with its key: ``application.submitted``."""
    for section in SECTIONS:
        if not section.many:
            yield from ((section, point, f"{section.name}.{point.name}") for point in section.points)
