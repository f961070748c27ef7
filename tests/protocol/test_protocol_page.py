"""docs/protocol.md and docs/desk.openapi.json against the code: every example, number and status.

An example on the page is a fenced block ``hex NAME``: hexadecimal digits, and behind a ``#`` what they mean.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from enum import IntEnum
from functools import partial
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from document_chain import ANCHORS, HANDS
from posdecom_agent.desk import MISSING_MAX
from posdecom_agent.dialects import DIALECTS, Branch, Dialect
from posdecom_agent.settlement import Finished, Reason, Stopped
from posdecom_protocol import limits, messages
from posdecom_protocol.aes_dukpt import HostDukpt, InitialKeyId, Ksn, initial_key
from posdecom_protocol.channel import ALPN
from posdecom_protocol.custody import MEDIA_TYPE, decode_custody, encode_custody
from posdecom_protocol.data_elements import (
    MESSAGE_TYPE,
    BatchReference,
    BatchSums,
    BatchTotals,
    EncryptedAccount,
    MessageType,
    Original,
    OriginalMessage,
    UploadDetail,
    masked_number,
)
from posdecom_protocol.data_elements import Reply as TotalsReply
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.frames import Frame, FrameKind, encode_frame
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.iso8583 import FIELDS, IsoMessage, answer_mti, decode, frame_message, mac_input, seal
from posdecom_protocol.lifecycle import TRANSITIONS, LifecycleState
from posdecom_protocol.messages import (
    LAYOUTS,
    Confirmed,
    ContextInfo,
    Erasing,
    GetInventory,
    GetProof,
    Inventory,
    Items,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    PackedItems,
    Proof,
    ProofKind,
    ReadItems,
    ReadPacked,
    ReadSalvage,
    Refusal,
    Refused,
    Released,
    Salvaged,
    Sealed,
    SlotInfo,
    StartErase,
    Thawed,
    encode,
)
from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Tally, TransactionClass
from posdecom_protocol.protection import AccountData, cmac8, encrypt_account_data
from posdecom_protocol.records import (
    CHAIN_START,
    Item,
    ItemKind,
    Summary,
    chain,
    decode_item,
    encode_item,
)
from posdecom_protocol.salvage import SALVAGE_START, SalvagedRecord, encode_salvaged
from posdecom_protocol.secret import Secret
from posdecom_simulator.acquirer import desk, serve
from posdecom_simulator.acquirer.host import Host
from posdecom_simulator.acquirer.hsm import Hsm
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from posdecom_simulator.terminal.front import REQUESTS_MAX
from posdecom_simulator.terminal.prepare import Rules
from shop import CONTEXTS, START_S, Shop, booked, converse, open_acquirer, open_shop, settle

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = (DOCS / "protocol.md").read_text(encoding="utf-8")
API: Final[dict[str, Any]] = json.loads((DOCS / "desk.openapi.json").read_text(encoding="utf-8"))

BDK: Final = bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1")
"""Of the examples in ANSI X9.24-3."""
INITIAL_KEY_ID: Final = InitialKeyId(bytes.fromhex("1234567890123456"))
HOST_KEYS: Final = HostDukpt.from_bdk(Secret(BDK), INITIAL_KEY_ID)
HSM: Final = Hsm(Secret(BDK), Secret(b"card digest key"))
CONNECTION_ID: Final = 0x5EED0001

# --- what the examples are made of ---------------------------------------------------------------

SALE_KSN, MESSAGE_KSN = Ksn(INITIAL_KEY_ID, 1), Ksn(INITIAL_KEY_ID, 2)
SALE_KEYS, MESSAGE_KEYS = HOST_KEYS.message_keys(SALE_KSN), HOST_KEYS.message_keys(MESSAGE_KSN)
ACCOUNT: Final = EncryptedAccount(
    SALE_KSN.encode(), encrypt_account_data(SALE_KEYS.data, AccountData("6200000000000005", "3012"))
)
ADVICE: Final = seal(
    IsoMessage(
        bytes.fromhex("6000030000"),
        "603100310001",
        "0220",
        {
            3: "000000",
            4: "000000012345",
            11: "000123",
            12: "093000",
            13: "0115",
            22: "021",
            25: "00",
            38: "A1B2C3",
            41: "TERM0001",
            42: "123456789012345",
            49: "156",
            53: MESSAGE_KSN.encode(),
            57: ACCOUNT.encode(),
            60: BatchReference(MessageType.OFFLINE_SALE, 24, 0).encode(),
        },
    ),
    partial(cmac8, MESSAGE_KEYS.mac),
)
ANSWER: Final = (
    decode(ADVICE)
    .answer(
        {
            3: "000000",
            4: "000000012345",
            11: "000123",
            39: "00",
            41: "TERM0001",
            42: "123456789012345",
            49: "156",
            60: BatchReference(MessageType.OFFLINE_SALE, 24, 0).encode(),
        }
    )
    .encode()
)
SUMMARY: Final = Summary(
    record=7,
    transaction_class=TransactionClass.OFFLINE_SALE,
    group=CardGroup.DOMESTIC,
    stan=123,
    rrn=" " * 12,
    amount=12_345,
    currency=156,
    local_time="270115093000",
    first6="620000",
    last4="0005",
)
ITEM: Final = encode_item(Item(ItemKind.ADVICE, 0, SUMMARY, ADVICE))
SECOND_ITEM: Final = encode_item(Item(ItemKind.SIGN_OFF, 0, None, b"\x60"))
UNSIGNED_RECORD: Final = encode_salvaged(
    SalvagedRecord(0, True, SUMMARY, "A1B2C3", 0, ACCOUNT.encode(), b"", bytes(8))
)
SALVAGED_RECORD: Final = UNSIGNED_RECORD[:-8] + cmac8(
    SALE_KEYS.mac, UNSIGNED_RECORD[:1] + b"\0" + UNSIGNED_RECORD[2:-8]
)
HEAD: Final = chain(CHAIN_START, 1, ITEM)
TOTALS: Final = BatchTotals(
    (
        GroupTotals(CardGroup.DOMESTIC, Tally(2, 3000), Tally(1, 500)),
        GroupTotals(CardGroup.FOREIGN, Tally(0, 0), Tally(0, 0)),
    )
)
INVENTORY: Final = Inventory(
    state=LifecycleState.FROZEN,
    tampered=False,
    serial="PD-1",
    manufacturer="Acme",
    model="T1",
    software_version="1.0",
    boot_count=7,
    clock_s=1_800_000_000,
    slots=(SlotInfo("TMK", "K0", "AES-128", 3, bytes.fromhex("A1B2C3D4E5")),),
    contexts=(ContextInfo(0, "acquirer-a", "123456789012345", "TERM0001", 156, 24, 60, 9),),
)


def bcd(text: str) -> bytes:
    return bytes.fromhex(text + "0" * (len(text) % 2))


EXAMPLES: Final[dict[str, bytes]] = {
    "hello": encode_frame(Frame(FrameKind.HELLO, 0, 0, Hello(CONNECTION_ID, Service.CHANNEL).encode()), 0),
    "welcome": encode_frame(
        Frame(
            FrameKind.WELCOME,
            0,
            0,
            Welcome(CONNECTION_ID, LifecycleState.ACTIVE, False, "Acme", "T1", "PD-1").encode(),
        ),
        0,
    ),
    "get-inventory": encode(GetInventory()),
    "offer-order": encode(OfferOrder(1_800_000_000, b"\xd2\x84\x00")),
    "read-items": encode(ReadItems(65, 64)),
    "read-packed": encode(ReadPacked(65, 64)),
    "read-salvage": encode(ReadSalvage(65)),
    "offer-release": encode(OfferRelease((b"\xd2\x84\x01", b"\xd2\x84\x02"))),
    "start-erase": encode(StartErase(bytes(range(32)))),
    "offer-cancellation": encode(OfferCancellation(b"\xd2\x84\x03")),
    "get-proof": encode(GetProof(ProofKind.EVIDENCE)),
    "confirmed": encode(Confirmed(LifecycleState.ACTIVE, False)),
    "inventory": encode(INVENTORY),
    "sealed": encode(Sealed(b"\xd2\x84\x04")),
    "items": encode(Items(65, (SECOND_ITEM, SECOND_ITEM))),
    "packed-items": encode(PackedItems(65, 2, 8, bytes.fromhex("010800f7ff 00010003 61626364"))),
    "salvaged": encode(Salvaged(65, 66, (b"\1\0", b"\2"))),
    "salvaged-record": SALVAGED_RECORD,
    "salvaged-mac-key": bytes(SALE_KEYS.mac.data),
    "salvage-start": SALVAGE_START,
    "released": encode(Released(LifecycleState.SETTLED)),
    "erasing": encode(Erasing()),
    "thawed": encode(Thawed()),
    "proof": encode(Proof(ProofKind.EVIDENCE, b"\xd2\x84\x05")),
    "refused": encode(Refused(Refusal.BUSY)),
    "advice": ADVICE,
    "advice-mac-key": bytes(MESSAGE_KEYS.mac.data),
    "advice-data-key": bytes(SALE_KEYS.data.data),
    "answer": ANSWER,
    "answer-prefixed": frame_message(ANSWER)[:2],
    "item": ITEM,
    "chain-start": CHAIN_START,
    "chain-1": HEAD,
    "chain-2": chain(HEAD, 2, SECOND_ITEM),
    "derivation-data": bytes.fromhex("01012000000200809012345600000002"),
    "field-48-totals": bcd(TOTALS.encode()),
    "field-48-upload": bcd(
        UploadDetail(CardGroup.DOMESTIC, 123, masked_number("620000", "0005", 16), 12_345).encode()
    ),
    "field-60-totals": bcd(BatchReference(MessageType.NONE, 24, 201).encode()),
    "field-62-original": OriginalMessage("0220", 123).encode().encode("ascii"),
    "field-63-sums": BatchSums.of(TOTALS.groups).encode().encode("ascii"),
    "field-61": bcd(Original(24, 123, "0115").encode()),
    "custody": b"".join(encode_custody(b"\xd2\x84\x00", b"\xd2\x84\x04", [SECOND_ITEM])),
}

# --- the page ------------------------------------------------------------------------------------

ON_PAGE: Final = {
    name: bytes.fromhex("".join(line.partition("#")[0] for line in body.splitlines()).replace(" ", ""))
    for name, body in re.findall(r"^```hex (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
}


def section(heading: str) -> str:
    found = re.search(rf"^(#+) {re.escape(heading)}$(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"the page has no section {heading}"
    return found[2]


def rows(heading: str) -> list[list[str]]:
    """The cells of every table row of a section, but for heads and rules."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_exactly_the_examples_that_are_checked() -> None:
    assert sorted(ON_PAGE) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_what_the_code_makes(name: str) -> None:
    assert ON_PAGE[name].hex(" ") == EXAMPLES[name].hex(" ")


def test_every_type_of_message_has_an_example() -> None:
    shown = {data[0] for name, data in ON_PAGE.items() if name in {_kebab(of) for of in _NAMES}}
    assert shown == {layout.number for layout in LAYOUTS}


_NAMES: Final = [layout.of.__name__ for layout in LAYOUTS]


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def test_every_type_of_message_is_in_the_table() -> None:
    table = {row[0]: row[1] for row in rows("Message types") if row[0].startswith("0x")}
    assert table == {f"0x{layout.number:02x}": layout.of.__name__ for layout in LAYOUTS}


@pytest.mark.parametrize(
    ("heading", "enumeration"),
    [
        ("LifecycleState", LifecycleState),
        ("ProofKind", ProofKind),
        ("Refusal", Refusal),
        ("ItemKind", ItemKind),
        ("TransactionClass", TransactionClass),
        ("CardGroup", CardGroup),
        ("MessageType", MessageType),
        ("Reply", TotalsReply),
    ],
)
def test_every_value_of_an_enumeration_is_in_its_table(heading: str, enumeration: type[IntEnum]) -> None:
    table = {row[1]: int(row[0]) for row in rows(heading) if row[0].isdecimal()}
    assert table == {member.name: member.value for member in enumeration}


def test_the_lifecycle_table_is_that_of_the_code() -> None:
    transitions = {(row[0], row[1]) for row in rows("Lifecycle") if row[0] in LifecycleState.__members__}
    assert transitions == {
        (state.name, target.name) for state, targets in TRANSITIONS.items() for target in targets
    }


def test_the_sides_of_the_totals_are_those_of_the_code() -> None:
    table = {row[1]: row[2] for row in rows("TransactionClass") if row[0].isdecimal()}
    assert table == {kind.name: SIDE[kind].name.lower() for kind in TransactionClass}


def test_every_iso_8583_field_is_in_the_table() -> None:
    table = {int(row[0]): row[1] for row in rows("ISO 8583") if row[0].isdecimal() and len(row) == 3}
    table = {number: text for number, text in table.items() if re.match(r"(n|ans|b) ", text)}
    assert table == {
        number: f"{layout.kind.value} {'..' if layout.variable else ''}{layout.length}"
        for number, layout in FIELDS.items()
    }


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_the_conversation_is_that_of_the_dialect(dialect: Dialect) -> None:
    words = {
        Branch.ALWAYS: "always",
        Branch.BALANCED: "totals equal",
        Branch.NOT_BALANCED: "totals not equal",
    }
    rows_of_kinds = groupby((row[0], row[1], row[5]) for row in conversation(dialect.name))
    table = [kind for kind, _ in rows_of_kinds]
    assert table == [(phase.kind.name, phase.mti, words[phase.branch]) for phase in dialect.phases]


def conversation(dialect: str) -> list[list[str]]:
    return [row for row in rows(f"The conversation `{dialect}`") if row[1].isdecimal()]


def busy_shop(dialect: str) -> Shop:
    """A day with everything in it, prepared by the terminal."""
    rules = Rules("270115120000", AfterCutoff.REFUND, Preauths.VOID)
    contexts = tuple(replace(context, dialect=dialect) for context in CONTEXTS)
    return open_shop(seed=2, count=120, rules=rules, contexts=contexts)


def sent(shop: Shop) -> list[Item]:
    """What has a message."""
    return [item for item in shop.prepared.items if item.kind is not ItemKind.WITHHELD]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_messages_of_the_conversation_have_the_references_that_the_page_says(dialect: str) -> None:
    found: dict[tuple[str, int], set[int]] = {}
    for item in sent(busy_shop(dialect)):
        reference = BatchReference.decode(decode(item.message).text(60))
        found.setdefault((item.kind.name, reference.network_code), set()).add(reference.message_type)
    assert set(found) == {(kind, int(code)) for kind, _, _, code, *_ in conversation(dialect)}
    for kind, _, types, code, *_ in conversation(dialect):
        used = found[kind, int(code)]
        if types == "by class":
            assert used <= set(MESSAGE_TYPE.values()) and len(used) > 1
        else:
            assert used == set(map(int, types.split(","))), kind


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_messages_of_the_conversation_have_the_fields_that_the_page_says(dialect: str) -> None:
    found: dict[tuple[str, int], list[frozenset[int]]] = {}
    for item in sent(busy_shop(dialect)):
        message = decode(item.message)
        fields = frozenset(message.fields) - {11, 41, 42, 53, 60, 64}
        reference = BatchReference.decode(message.text(60))
        found.setdefault((item.kind.name, reference.network_code), []).append(fields)
    for kind, _, _, code, text, _ in conversation(dialect):
        always, *sometimes = text.split(";")
        least = frozenset(map(int, re.findall(r"\d+", re.sub(r"\(\d+\)", "", always))))
        most = least | {int(number) for part in sometimes for number in re.findall(r"^ (\d+)", part)}
        sets = found[kind, int(code)]
        assert frozenset.intersection(*sets) == least, kind
        assert frozenset.union(*sets) == most, kind


def answers_of(dialect: str) -> dict[str, set[frozenset[int]]]:
    """Which fields the host's answer to each kind of item has, whatever it says."""
    shop = busy_shop(dialect)
    host, _ = open_acquirer(shop)
    found: dict[str, set[frozenset[int]]] = {}
    for item in sent(shop):
        answer = host.answer(item.message, float(START_S + 86_400))
        assert answer is not None
        found.setdefault(item.kind.name, set()).add(frozenset(decode(answer).fields))
    return found


def answer_rows(dialect: str) -> dict[tuple[str, str], list[set[int]]]:
    """MTI and kind; fields that an answer must have, may repeat, and may have."""
    table: dict[tuple[str, str], list[set[int]]] = {}
    for mti, kinds, *cells in rows("Answers"):
        named, _, only = kinds.partition(" of ")
        if mti.isdecimal() and only.strip("`") in ("", dialect):
            for kind in named.split(", "):
                table[mti, kind] = [set(map(int, re.findall(r"\d+", cell))) for cell in cells]
    return table


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_the_hosts_answers_have_the_fields_that_the_page_says(dialect: Dialect) -> None:
    found = answers_of(dialect.name)
    table = answer_rows(dialect.name)
    asked = {(answer_mti(phase.mti), phase.kind.name) for phase in dialect.phases}
    assert asked <= set(table)
    for (_, kind), (needed, repeated, besides) in table.items():
        if kind in found:
            assert found[kind] == {frozenset(needed | repeated | besides)}, kind
    assert set(found) <= {kind for _, kind in table}


class Terse(Host):
    """A host whose answers have what they must have, and nothing else."""

    def __init__(self, ledger: Ledger, without: int | None = None) -> None:
        super().__init__(ledger, HSM, booked())
        self._without = without

    def answer(self, data: bytes, now: float) -> bytes | None:
        answer = super().answer(data, now)
        assert answer is not None
        whole = decode(answer)
        kept = {number: whole.fields[number] for number in (11, 39, 41, 42) if number != self._without}
        return replace(whole, fields=kept).encode()


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_an_answer_needs_no_field_but_those_of_the_page(dialect: Dialect) -> None:
    assert all(needed == {11, 39, 41, 42} for needed, *_ in answer_rows(dialect.name).values())
    shop = busy_shop(dialect.name)
    _, ledger = open_acquirer(shop)
    events, _ = converse(settle(shop, 0, dialect=dialect), Terse(ledger))
    assert events[-1] == Finished()


@pytest.mark.parametrize("field", [11, 39, 41, 42])
def test_an_answer_without_a_field_that_it_must_have_is_none(field: int) -> None:
    shop = busy_shop("cup")
    _, ledger = open_acquirer(shop)
    events, _ = converse(settle(shop, 0), Terse(ledger, without=field))
    assert isinstance(events[-1], Stopped) and events[-1].reason is Reason.NO_ANSWER


@pytest.mark.parametrize(
    "bound",
    [
        limits.MESSAGE_BYTES_MAX,
        limits.DOCUMENT_BYTES_MAX,
        limits.ITEM_BYTES_MAX,
        limits.ITEMS_MAX,
        limits.CONTEXTS_MAX,
        limits.RECORDS_PER_CONTEXT_MAX,
        messages.RECEIPTS_BYTES_MAX,
        messages.ITEMS_PER_BULK_BYTES,
        REQUESTS_MAX,
    ],
)
def test_every_limit_is_in_the_table(bound: int) -> None:
    assert re.search(rf"(?<![\d,]){bound:,}(?![\d,])", section("Limits"))


@pytest.mark.parametrize("text", [ALPN, MEDIA_TYPE, "posdecom/items/1"])
def test_each_name_that_is_compared_is_on_the_page(text: str) -> None:
    assert f"`{text}`" in PAGE or f'"{text}"' in PAGE


def test_the_examples_mean_what_the_page_says_of_them() -> None:
    assert decode_item(ON_PAGE["item"]).message == ON_PAGE["advice"]
    assert decode_custody(ON_PAGE["custody"]).items == (SECOND_ITEM,)
    assert len(mac_input(ON_PAGE["advice"])) == len(ON_PAGE["advice"]) - 11 - 8
    assert decode(ON_PAGE["answer"]).mti == "0230"


def test_the_derivation_data_give_the_mac_key_of_the_advice() -> None:
    """Counter 2 has one bit: its transaction key is a child of the initial key (X9.24-3)."""
    data = ON_PAGE["derivation-data"]
    with initial_key(Secret(BDK), INITIAL_KEY_ID) as key:
        transaction = _encrypted(bytes(key.data), data[:2] + b"\x80\x00" + data[4:])
    assert _encrypted(transaction, data) == ON_PAGE["advice-mac-key"]


def _encrypted(key: bytes, block: bytes) -> bytes:
    return Cipher(AES(key), ECB()).encryptor().update(block)


def test_links_lead_to_files_and_sections_that_exist() -> None:
    for file, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", PAGE)):
        path = DOCS / file
        assert path.exists(), file
        headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}


# --- the desk's contract -------------------------------------------------------------------------


def test_every_call_of_the_desk_and_each_of_its_answers_is_in_the_contract() -> None:
    assert API["openapi"].startswith("3.1")
    documented = {
        (path, method): set(map(int, call["responses"]))
        for path, methods in API["paths"].items()
        for method, call in methods.items()
    }
    too_large = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert documented == {
        ("/v1/seals", "post"): {desk.OK, desk.WAITING, desk.CONFLICT, desk.REFUSED, too_large},
        ("/v1/seals/{digest}", "get"): {desk.OK, desk.NOT_FOUND},
        ("/v1/salvages", "post"): {desk.OK, desk.REFUSED, too_large},
        ("/v1/certificates", "post"): {desk.OK, desk.REFUSED, too_large},
    }


def test_the_desk_serves_no_path_and_no_status_that_the_contract_does_not_know() -> None:
    source = Path(serve.__file__).read_text(encoding="utf-8")
    paths = set(re.findall(r'"(/v1/[a-z/]*)"', source))
    assert paths == {path.replace("{digest}", "") for path in API["paths"]}
    named = {HTTPStatus[name] for name in re.findall(r"HTTPStatus\.([A-Z_]+)", source)}
    answered = re.findall(r"(?:Answer|_problem)\(([A-Z_]+)", Path(desk.__file__).read_text(encoding="utf-8"))
    constants = {vars(desk)[name] for name in answered}
    documented = {
        int(status)
        for methods in API["paths"].values()
        for call in methods.values()
        for status in call["responses"]
    }
    assert named | constants == documented


def test_the_contract_and_the_page_tell_the_same() -> None:
    for path, methods in API["paths"].items():
        for method, call in methods.items():
            (row,) = (
                row for row in rows("Custody and the release desk") if row[0] == f"{method.upper()} {path}"
            )
            assert set(map(int, re.findall(r"\b[2-5]\d\d\b", row[2]))) == set(map(int, call["responses"]))


def test_every_reference_in_the_contract_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(API)):
        assert reference in API["components"]["schemas"]
    assert f"{serve.BODY_BYTES_MAX} bytes" in API["paths"]["/v1/seals"]["post"]["requestBody"]["description"]


def test_the_desks_answers_fit_their_schemas() -> None:
    answer = desk.Desk.poll_seal(_empty_desk(), "0" * 64)
    problem = API["components"]["schemas"]["Problem"]
    assert answer.status == desk.NOT_FOUND
    assert set(json.loads(answer.body)) == set(problem["properties"]) == set(problem["required"])


def test_both_ends_take_as_many_missing_items_as_the_contract_says() -> None:
    assert API["components"]["schemas"]["Missing"]["properties"]["missing"]["maxItems"] == MISSING_MAX
    assert MISSING_MAX == desk.MISSING_MAX


def _empty_desk() -> desk.Desk:
    signers = desk.Signers("acquirer-a", HANDS.release, None)
    return desk.Desk(Ledger(MemoryStore()), HSM, desk.MemoryShelf(), signers, ANCHORS, ())
