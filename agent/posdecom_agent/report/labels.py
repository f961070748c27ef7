"""Every fixed word on the paper, in both of its languages."""

from __future__ import annotations

from typing import Final

from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.evidence import EraseMethod, ReadBack
from posdecom_protocol.documents.order import AfterCutoff, Mode, Reason

from ..case.kinds import Words

TITLE: Final = Words("Certificate of Decommissioning", "终端撤机证书")
STATES: Final[dict[State, Words]] = {
    State.COMPLETE: Words("Complete", "全部完成"),
    State.EXCEPTIONS: Words("Complete with exceptions", "完成，但有例外"),
    State.INCOMPLETE: Words("Incomplete", "未完成"),
    State.UNATTESTED: Words("Unattested", "未经终端证实"),
}
SALVAGED: Final = Words("Unattested, salvaged", "未经终端证实，记录已抢出")
MEANINGS: Final[dict[State, Words]] = {
    State.COMPLETE: Words(
        "Money settled, keys destroyed, closed by the acquirer.",
        "款项已结清，密钥已销毁，收单机构已结案。",
    ),
    State.EXCEPTIONS: Words(
        "Keys destroyed and closed by the acquirer; not all went as it should:",
        "密钥已销毁，收单机构已结案；但存在以下例外：",
    ),
    State.INCOMPLETE: Words("This is still missing:", "尚缺以下事项："),
    State.UNATTESTED: Words(
        "The terminal itself has proved nothing:",
        "终端本身未提供任何证明：",
    ),
}
IN_ANNEX: Final = Words("more in the annex", "其余见附录")

TERMINAL: Final = Words("Terminal", "终端序列号")
MODEL: Final = Words("Model and software", "型号与软件")
ORDER: Final = Words("Order", "撤机令编号")
ISSUER: Final = Words("Ordered by", "下达机构")
REASON: Final = Words("Reason", "撤机原因")
MODE: Final = Words("What is left of it", "处置方式")
CUTOFF: Final = Words("Cut-off", "交易截止")
ERASED_AT: Final = Words("Keys erased", "密钥清除时间")
CLOSED_AT: Final = Words("Closed by the acquirer", "收单机构结案时间")
TECHNICIAN: Final = Words("Technician", "技术员")
ISSUED_AT: Final = Words("Certificate made", "证书签发时间")
WITNESS: Final = Words("Witness", "见证人")
NEXT_USE: Final = Words("Next use", "后续用途")
NONE: Final = Words("none", "无")
SHOP: Final = Words("Shop", "商户")
REFERENCE: Final = Words("Case", "案卷编号")
UNKNOWN: Final = Words("not known", "不详")

MONEY: Final = Words("Money", "款项")
ACCOUNT: Final = Words("Account", "账户")
BATCH: Final = Words("Batch", "批次")
DEBIT: Final = Words("Debit", "借记")
CREDIT: Final = Words("Credit", "贷记")
DELIVERED: Final = Words("Delivered", "已送达")
LEFT: Final = Words("Not delivered, and why", "未送达及原因")
REFUSED: Final = Words("Refused", "被拒")
UNDELIVERED: Final = Words("Not delivered", "未送达")
WITHHELD: Final = Words("Withheld", "已扣留")
PREAUTHS: Final = Words("Open pre-authorisations", "未完成预授权")

KEYS: Final = Words("Keys", "密钥")
SLOT: Final = Words("Slot", "密钥槽")
USAGE: Final = Words("Usage", "用途")
ALGORITHM: Final = Words("Algorithm", "算法")
KCV: Final = Words("Check value before", "清除前校验值")
METHOD: Final = Words("Method", "清除方式")
READ_BACK: Final = Words("Read back", "回读结果")
KEPT: Final = Words("Kept in the terminal", "终端内保留")
TO_BE_DESTROYED: Final = Words("Destroyed after signing", "签名后销毁")
REVOKE: Final = Words("Key identifiers that the acquirer has to revoke", "收单机构须注销的密钥标识")

SUMMARY: Final = Words("How each point is known", "各事项的依据")
OPEN_POINTS: Final = Words("Open", "未完成事项")
SIGNATURES: Final = Words("Signatures", "签名")
DOCUMENT: Final = Words("Document", "文件")
SIGNER: Final = Words("Signed by", "签署人")
ROLE: Final = Words("Role", "角色")
KEY_ID: Final = Words("Key", "密钥标识")
TIME: Final = Words("Time (UTC)", "时间（UTC）")

CHECK: Final = Words(
    "The signed original is attached to this PDF; this page is a view of it. To check it, save the attachment and run:",
    "签名原件附于本PDF内，本页仅为其视图。核验方法：另存附件并运行",
)
DIGEST: Final = Words("SHA-256 of the certificate", "证书的SHA-256")
PAGE: Final = Words("Page", "页")

ANNEX_POINTS: Final = Words("Annex A: every point and how it is known", "附录A：各事项及其依据")
ANNEX_KEYS: Final = Words("Annex B: keys, slot by slot", "附录B：逐槽密钥记录")
ANNEX_MONEY: Final = Words("Annex C: money, account by account", "附录C：逐户款项")
ANNEX_DOCUMENTS: Final = Words("Annex D: documents and digests", "附录D：文件与摘要")
POINT: Final = Words("Point", "事项")
STANDING: Final = Words("Known how", "依据")
WHAT: Final = Words("What", "内容")
FINDINGS: Final = Words("What the verdict found", "核验结论")
JOURNAL_HEAD: Final = Words("Head of the job's journal", "作业日志链头")
TOOL: Final = Words("Made with", "制作工具")
SUPERSEDES: Final = Words("Supersedes", "取代")

REASONS: Final[dict[Reason, Words]] = {
    Reason.CLOSING: Words("shop closes", "停业"),
    Reason.LICENCE_WITHDRAWN: Words("licence withdrawn", "许可被吊销"),
    Reason.CONTRACT_END: Words("contract ends", "合同到期"),
    Reason.MIGRATION: Words("migration", "换机迁移"),
    Reason.FAULT: Words("fault", "故障"),
    Reason.REPAIR: Words("repair", "送修"),
    Reason.LOST: Words("lost or stolen", "遗失或被盗"),
    Reason.COMPROMISED: Words("compromised", "已被攻破"),
}
MODES: Final[dict[Mode, Words]] = {
    Mode.RETIRE: Words("retire: nothing", "撤机：不留任何密钥"),
    Mode.REDEPLOY: Words("redeploy: its identity", "再部署：保留身份"),
    Mode.REPAIR: Words("repair: its identity", "送修：保留身份"),
}
AFTER_CUTOFF: Final[dict[AfterCutoff, Words]] = {
    AfterCutoff.REFUND: Words("later sales refunded", "其后交易退款"),
    AfterCutoff.HOLD: Words("later sales held", "其后交易暂扣"),
}
METHODS: Final[dict[EraseMethod, Words]] = {
    EraseMethod.NOT_YET: Words("none", "无"),
    EraseMethod.CRYPTO_ERASE: Words("crypto erase", "密码学清除"),
    EraseMethod.OVERWRITE: Words("overwritten", "覆写"),
    EraseMethod.BLOCK_ERASE: Words("block erase", "块清除"),
}
READ_BACKS: Final[dict[ReadBack, Words]] = {
    ReadBack.NOT_DONE: Words("not done", "未回读"),
    ReadBack.EMPTY: Words("empty", "为空"),
    ReadBack.NOT_EMPTY: Words("NOT EMPTY", "不为空"),
    ReadBack.WAS_EMPTY: Words("was empty", "原本为空"),
}
DOCUMENTS: Final[dict[str, Words]] = {
    "order": Words("Order", "撤机令"),
    "seal": Words("Seal", "封存单"),
    "receipt 1": Words("Receipt", "放行回执"),
    "receipt 2": Words("Receipt, second signature", "放行回执第二签名"),
    "evidence": Words("Evidence", "清除证据"),
    "certificate": Words("Certificate", "撤机证书"),
    "closure": Words("Closure", "结案书"),
}
ROLES: Final[dict[str, Words]] = {
    "order": Words("acquirer, orders", "收单机构 撤机令"),
    "release": Words("acquirer, release", "收单机构 放行"),
    "approver": Words("acquirer, approver", "收单机构 复核"),
    "terminal": Words("terminal", "终端"),
    "technician": Words("technician", "技术员"),
}
