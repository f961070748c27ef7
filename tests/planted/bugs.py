"""Bugs of the kind that people really write, one small change of the source each; `run.py` plants them one at a time.

``suite`` is where it should be noticed. ``old`` stands exactly once in its file (`test_bugs.py`), so a change of the
source that makes a bug meaningless is seen at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PROTOCOL: Final = "protocol/posdecom_protocol"
AGENT: Final = "agent/posdecom_agent"
TERMINAL: Final = "simulator/posdecom_simulator/terminal"
MEMORY: Final = "simulator/posdecom_simulator/memory"
ACQUIRER: Final = "simulator/posdecom_simulator/acquirer"
WORLD: Final = "world/posdecom_world"


class Bug(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    suite: str
    """A test file, or a folder of them."""


_LINE: Final = (
    Bug(
        "acknowledged numbers are not carried on beyond 65,535",
        f"{PROTOCOL}/stream_sender.py",
        "expand(acknowledgement.highest, 16, self._highest_settled)",
        "-1 if acknowledgement.highest == 65535 else acknowledgement.highest",
        "tests/protocol/test_stream.py",
    ),
    Bug(
        "frame numbers start again one too early",
        f"{PROTOCOL}/stream_sender.py",
        "self._next_number & 0xFFFF,",
        "self._next_number % 0xFFFF,",
        "tests/protocol/test_stream.py",
    ),
    Bug(
        "an acknowledgement of the next number is taken",
        f"{PROTOCOL}/stream_sender.py",
        "or highest >= self._next_number:",
        "or highest > self._next_number:",
        "tests/protocol/test_stream.py",
    ),
    Bug(
        "the window is not kept by the receiver",
        f"{PROTOCOL}/stream_receiver.py",
        "if start + len(body) > self._next_offset + self._free_bytes():",
        "if start > self._next_offset + self._free_bytes():",
        "tests/protocol/test_stream.py",
    ),
    Bug(
        "the CRC of ACK frames is not looked at",
        f"{PROTOCOL}/frames.py",
        "        if difference:\n",
        "        if difference and kind is not FrameKind.ACK:\n",
        "tests/protocol/test_repair.py",
    ),
    Bug(
        "frames of another connection are taken",
        f"{PROTOCOL}/frames.py",
        "zlib.crc32(checked, 0 if kind in UNSEEDED_KINDS else connection_id)",
        "zlib.crc32(checked, 0 * connection_id if kind in UNSEEDED_KINDS else 0)",
        "tests/protocol/test_frames.py",
    ),
    Bug(
        "single bits are mended where no channel checks what comes",
        f"{PROTOCOL}/link.py",
        "isinstance(hello, Hello) and hello.service is Service.CHANNEL",
        "isinstance(hello, Hello)",
        "tests/protocol/test_repair.py",
    ),
    Bug(
        "a leftover HELLO begins a connection that was over",
        f"{PROTOCOL}/link.py",
        "elif hello.connection_id not in self._finished:",
        "else:",
        "tests/protocol/test_link.py",
    ),
    Bug(
        "a raised speed is kept after one good test frame",
        f"{PROTOCOL}/speed_raise.py",
        "if len(self._good) < TESTS_GOOD:",
        "if not self._good:",
        "tests/protocol/test_speed_raise.py",
    ),
    Bug(
        "packed items expand as far as they like",
        f"{PROTOCOL}/packed_items.py",
        "inflate.decompress(packed.packed, packed.plain_bytes + 1)",
        "inflate.decompress(packed.packed)",
        "tests/protocol/test_packed_items.py",
    ),
    Bug(
        "custody may leave items out",
        f"{PROTOCOL}/custody.py",
        "or bulk.first != count + 1:",
        "or bulk.first < count + 1:",
        "tests/protocol/test_custody.py",
    ),
    Bug(
        "bytes behind an item's message are passed over",
        f"{PROTOCOL}/records.py",
        "    if len(message) > message_bytes or summary_bytes",
        "    message = message[:message_bytes]\n    if summary_bytes",
        "tests/protocol/test_records.py",
    ),
    Bug(
        "a KEEP for another speed is taken",
        f"{PROTOCOL}/speed_raise.py",
        "case (Step.KEEP, _State.TRIAL | _State.REST) if baud == self._baud:",
        "case (Step.KEEP, _State.TRIAL | _State.REST):",
        "tests/protocol/test_speed_raise.py",
    ),
    Bug(
        "bytes behind packed items are passed over",
        f"{PROTOCOL}/packed_items.py",
        "not inflate.eof or inflate.unused_data:",
        "not inflate.eof:",
        "tests/protocol/test_packed_items.py",
    ),
)

_DOCUMENTS: Final = (
    Bug(
        "the seal's digest is not compared",
        f"{PROTOCOL}/guard.py",
        "return offer.receipt.seal_digest == seal.digest and sealed == agreed and accounted",
        "return sealed == agreed and accounted",
        "tests/protocol/test_guard.py",
    ),
    Bug(
        "the challenge is not compared",
        f"{PROTOCOL}/guard.py",
        "return offer.receipt.challenge == offer.holding.seal.body.challenge",
        "return len(offer.receipt.challenge) == len(offer.holding.seal.body.challenge)",
        "tests/protocol/test_guard.py",
    ),
    Bug(
        "one signature is enough where two are needed",
        f"{PROTOCOL}/guard.py",
        "return len(offer.signed) == 2 or not needs_second_signature(offer.receipt, offer.holding.seal.body)",
        "return True",
        "tests/protocol/test_guard.py",
    ),
    Bug(
        "both signatures may be by one key",
        f"{PROTOCOL}/guard.py",
        "if None in keys or len(keys) != 1 + len(offer.signed) or len(payloads) != 1:",
        "if None in keys or len(payloads) != 1:",
        "tests/protocol/test_guard.py",
    ),
    Bug(
        "receipt and seal may be in different currencies",
        f"{PROTOCOL}/guard.py",
        "return context.index, context.currency, context.totals",
        "return context.index, 0, context.totals",
        "tests/protocol/test_guard.py",
    ),
    Bug(
        "an order's counter may be that of the last order",
        f"{PROTOCOL}/guard.py",
        "if body.counter <= vacancy.counter_of(signer.issuer_id):",
        "if body.counter < vacancy.counter_of(signer.issuer_id):",
        "tests/protocol/test_guard_orders.py",
    ),
    Bug(
        "the dates of the order's signer are not judged",
        f"{PROTOCOL}/guard.py",
        "since, until = max(body.not_before, signer.not_before), min(body.not_after, signer.not_after)",
        "since, until = body.not_before, body.not_after",
        "tests/protocol/test_guard_orders.py",
    ),
    Bug(
        "a cancellation of an earlier freeze thaws",
        f"{PROTOCOL}/guard.py",
        "body.seal_digest == holding.seal.digest and _names_its_items(body, holding.seal.body)",
        "_names_its_items(body, holding.seal.body)",
        "tests/protocol/test_guard_orders.py",
    ),
    Bug(
        "only the signer's own certificate must be valid by date",
        f"{PROTOCOL}/certificates.py",
        "        _check_role_and_time(link, role, at)",
        "        _check_role_and_time(link, role, at if link is path[0] else None)",
        "tests/protocol/test_certificates.py",
    ),
    Bug(
        "only the signer's own certificate must carry the role",
        f"{PROTOCOL}/certificates.py",
        "    for link in path:\n",
        "    for link in path[:1]:\n",
        "tests/protocol/test_certificates.py",
    ),
    Bug(
        "an unknown header of a signed document is passed over",
        f"{PROTOCOL}/cose.py",
        "or set(header) != {_ALG, _KID, _TYP, _X5CHAIN}:",
        "or not set(header) >= {_ALG, _KID, _TYP, _X5CHAIN}:",
        "tests/protocol/test_cose.py",
    ),
    Bug(
        "a document may be encoded in more than one way",
        f"{PROTOCOL}/cbor.py",
        "    if cbor2.dumps(value, canonical=True) != data:\n",
        "    if len(cbor2.dumps(value, canonical=True)) != len(data):\n",
        "tests/protocol/test_cbor.py",
    ),
    Bug(
        "a closure is taken for another certificate",
        f"{PROTOCOL}/chain.py",
        "if chain.closure.body.certificate_digest != chain.certificate.digest:",
        "if len(chain.closure.body.certificate_digest) != len(chain.certificate.digest):",
        "tests/protocol/test_chain.py",
    ),
    Bug(
        "evidence by another key than the seal's is taken",
        f"{PROTOCOL}/chain.py",
        'if signers["evidence"].public_key != signers["seal"].public_key:',
        'if signers["evidence"].serial_number != signers["seal"].serial_number:',
        "tests/protocol/test_chain.py",
    ),
    Bug(
        "a superseding certificate may leave remedies out",
        f"{PROTOCOL}/chain.py",
        "if newer.remedies[: len(before.remedies)] != before.remedies:",
        "if before.remedies and not newer.remedies:",
        "tests/protocol/test_held.py",
    ),
    Bug(
        "a certificate may state a better state than it holds",
        f"{PROTOCOL}/verdict.py",
        "if chain.certificate.body.stated < at_terminal:",
        "if chain.certificate.body.stated < State.COMPLETE:",
        "tests/protocol/test_verdict.py",
    ),
    Bug(
        "revoking one of the ordered keys is enough",
        f"{PROTOCOL}/verdict.py",
        "return set(ordered) <= {*closure.ksn_denied, *closure.certificates_revoked}",
        "return not ordered or bool(set(ordered) & {*closure.ksn_denied, *closure.certificates_revoked})",
        "tests/protocol/test_verdict.py",
    ),
    Bug(
        "the receipt forgets held money",
        f"{PROTOCOL}/release.py",
        "        held=findings.held,\n",
        "",
        "tests/protocol/test_release.py",
    ),
    Bug(
        "a remedy of another context counts",
        f"{PROTOCOL}/held.py",
        "if (one.held, one.context) == (held, context))",
        "if one.held is held)",
        "tests/protocol/test_held.py",
    ),
    Bug(
        "all transactions may be closed with money left",
        f"{PROTOCOL}/held.py",
        " and (tally.count > 0 or tally.amount == 0)",
        " and tally.count >= 0",
        "tests/protocol/test_held.py",
    ),
    Bug(
        "a superseding certificate may leave out what was salvaged",
        f"{PROTOCOL}/chain.py",
        '"evidence", "revoke", "salvage"):',
        '"evidence", "revoke"):',
        "tests/protocol/test_held.py",
    ),
    Bug(
        "open refunds are only a note",
        f"{PROTOCOL}/verdict.py",
        'Area.CLOSURE, Weight.EXCEPTION, N_("{count} refunds',
        'Area.CLOSURE, Weight.NOTE, N_("{count} refunds',
        "tests/protocol/test_verdict.py",
    ),
)

_MONEY: Final = (
    Bug(
        "a refund counts as a sale",
        f"{PROTOCOL}/money.py",
        "TransactionClass.REFUND: Side.CREDIT,",
        "TransactionClass.REFUND: Side.DEBIT,",
        "tests/protocol/test_money.py",
    ),
    Bug(
        "94 counts as a refusal",
        f"{AGENT}/dialects.py",
        "return Delivered() if code in (CODE_APPROVED, CODE_DUPLICATE) else Refused(code)",
        "return Delivered() if code == CODE_APPROVED else Refused(code)",
        "tests/agent/test_settlement.py",
    ),
    Bug(
        "what was refused is sent again blindly",
        f"{AGENT}/settlement.py",
        "if sequence not in self._outcomes and (",
        "if not isinstance(self._outcomes.get(sequence), Delivered) and (",
        "tests/agent/test_settlement.py",
    ),
    Bug(
        "reversals go out after the advices",
        f"{AGENT}/dialects.py",
        '    Phase(ItemKind.REVERSAL, "0400", by_code),\n'
        '    Phase(ItemKind.PREAUTH_VOID, "0400", by_code),\n'
        '    Phase(ItemKind.ADVICE, "0220", by_code, window=WINDOW, original=by_field_61),\n',
        '    Phase(ItemKind.PREAUTH_VOID, "0400", by_code),\n'
        '    Phase(ItemKind.ADVICE, "0220", by_code, window=WINDOW, original=by_field_61),\n'
        '    Phase(ItemKind.REVERSAL, "0400", by_code),\n',
        "tests/agent/test_settlement.py",
    ),
    Bug(
        "the next message goes out before the answer is durable",
        f"{AGENT}/settlement.py",
        "if not self._connected or self._events:",
        "if not self._connected:",
        "tests/agent/test_settlement.py",
    ),
    Bug(
        "an answer about another currency is taken",
        f"{AGENT}/settlement.py",
        "for number in (4, 49)",
        "for number in (4,)",
        "tests/agent/test_settlement.py",
    ),
    Bug(
        "a second answer that says the opposite is passed over",
        f"{AGENT}/settlement.py",
        "            if _contradict(outcome, phase.judge(answer)):\n",
        "            if _contradict(outcome, outcome):\n",
        "tests/agent/test_settlement.py",
    ),
    Bug(
        "an amount is a float with two decimals, in yen too",
        f"{AGENT}/case/money.py",
        '    return f"{whole:,}.{part:0{decimals}d} {name}" if decimals else f"{whole:,} {name}"',
        '    return f"{minor / 100:,.2f} {name}"',
        "agent/posdecom_agent/case/money.py",
    ),
    Bug(
        "the host handles the same message twice",
        f"{ACQUIRER}/host.py",
        "        if earlier is not None:\n",
        "        if earlier is not None and earlier.digest != request.digest:\n",
        "tests/simulator/test_host.py",
    ),
    Bug(
        "a sale that was reversed before it arrived is booked",
        f"{ACQUIRER}/host.py",
        "return Verdict(CODE_APPROVED, (Withdrawal(*original, request.at),))",
        "return Verdict(CODE_APPROVED, (Withdrawal(*original, request.at),) if posting else ())",
        "tests/simulator/test_host.py",
    ),
    Bug(
        "a revoked key set is still taken",
        f"{ACQUIRER}/host.py",
        "        if self._ledger.is_denied(key_set):\n",
        "        if self._ledger.is_denied(request.ksn):\n",
        "tests/simulator/test_host.py",
    ),
    Bug(
        "the desk compares booked money without its currency",
        f"{ACQUIRER}/audit.py",
        "(one.transaction_class, one.group, one.amount, one.currency)\n"
        "            == (other.transaction_class, other.group, other.amount, other.currency)",
        "(one.transaction_class, one.group, one.amount)\n"
        "            == (other.transaction_class, other.group, other.amount)",
        "tests/simulator/test_desk.py",
    ),
    Bug(
        "online sales after the cut-off are not held",
        f"{ACQUIRER}/audit.py",
        "is_late = one.source is Source.ONLINE",
        "is_late = one.source is Source.UPLOAD",
        "tests/simulator/test_cutoff.py",
    ),
    Bug(
        "a sale at the cut-off is before it",
        f"{TERMINAL}/prepare.py",
        "if one.local_time >= cutoff}",
        "if one.local_time > cutoff}",
        "tests/simulator/test_prepare.py",
    ),
    Bug(
        "the STAN after 999999 is 000000",
        f"{TERMINAL}/compose.py",
        "        self.last = self.last % STAN_MAX + 1\n        while",
        "        self.last = (self.last + 1) % (STAN_MAX + 1)\n        while",
        "tests/simulator/test_prepare.py",
    ),
    Bug(
        "a thaw drops sales that were never delivered",
        f"{TERMINAL}/freeze.py",
        "if one.posted and SIDE[one.transaction_class] is not Side.NEITHER]",
        "if SIDE[one.transaction_class] is not Side.NEITHER]",
        "tests/simulator/test_thaw.py",
    ),
    Bug(
        "more may be closed than is held",
        f"{PROTOCOL}/held.py",
        "return min(tally.count, tally.amount) >= 0 and",
        "return tally.count >= 0 and",
        "tests/protocol/test_held.py",
    ),
    Bug(
        "a reversal goes out beside the message that it reverses",
        f"{AGENT}/settlement.py",
        "any(stan == original for _, stan, _, _ in self._under_way)",
        "any(stan == original for stan, *_ in self._under_way)",
        "tests/agent/test_window.py",
    ),
    Bug(
        "after a lost connection everything goes out again at once",
        f"{AGENT}/settlement.py",
        "1 if self._is_wary else None",
        "None",
        "tests/agent/test_window.py",
    ),
    Bug(
        "open refunds are no reason for another certificate",
        f"{AGENT}/supersede.py",
        "return not same or open_document(job.closure, Closure).body.refunds_open > 0",
        "return not same",
        "tests/agent/test_held.py",
    ),
    Bug(
        "a second closure has the refunds of the first",
        f"{ACQUIRER}/desk.py",
        "            refunds_open=self._refunds_open(certificate.body, now),\n        )\n        return issue(again,",
        "        )\n        return issue(again,",
        "tests/agent/test_held.py",
    ),
    Bug(
        "a class that the seal leaves out is not missed",
        f"{ACQUIRER}/classes.py",
        "if sealed != told or",
        "if any(told.get(one) != tally for one, tally in sealed.items()) or",
        "tests/simulator/test_desk.py",
    ),
    Bug(
        "a record of another terminal's keys is proved",
        f"{ACQUIRER}/salvage.py",
        "is_own = ksn.startswith(self.terminal.initial_key_id)",
        "is_own = len(ksn) > len(self.terminal.initial_key_id)",
        "tests/simulator/test_salvage_account.py",
    ),
    Bug(
        "what only the books have is looked for in the first batch",
        f"{ACQUIRER}/salvage.py",
        "*_, batch = self._batches(context)",
        "batch, *_ = self._batches(context)",
        "tests/simulator/test_salvage_account.py",
    ),
    Bug(
        "a host scenario takes true for a number",
        f"{ACQUIRER}/scenario.py",
        "type(value) is int and low",
        "isinstance(value, int) and low",
        "tests/simulator/test_scenario.py",
    ),
    Bug(
        "a host that answers one by one is given up",
        f"{AGENT}/settlement.py",
        "            one.sends = one.sends_here = 0\n        self._outcomes",
        "            one.sends_here = 0\n        self._outcomes",
        "tests/agent/test_window.py",
    ),
    Bug(
        "an absent terminal is closed though it has new keys",
        f"{ACQUIRER}/desk.py",
        "        self._refuse_stale(order)\n        self._refuse_new_keys(body)\n",
        "        self._refuse_stale(order)\n",
        "tests/simulator/test_desk.py",
    ),
    Bug(
        "a closure comes before the salvaged records",
        f"{ACQUIRER}/desk.py",
        "if body.salvage is not None and self._salvaged(body.salvage) is None:",
        "if body.salvage is not None and not body.salvage.digest:",
        "tests/simulator/test_desk.py",
    ),
)

_KEYS: Final = (
    Bug(
        "the state ERASING is durable before the intent",
        f"{TERMINAL}/erase.py",
        "    store.put({slots.INTENT: cbor.encode(_INTENT.pack(intent))})\n"
        "    store.put({slots.STATE: encode_life(erasing)})\n",
        "    store.put({slots.STATE: encode_life(erasing)})\n"
        "    store.put({slots.INTENT: cbor.encode(_INTENT.pack(intent))})\n",
        "tests/model/test_lockstep.py",
    ),
    Bug(
        "the evidence says empty without the read-back",
        f"{TERMINAL}/erase.py",
        "is_empty = not store.holds(slot.key) and region.is_read_back",
        "is_empty = not store.holds(slot.key)",
        "tests/simulator/test_erase_on_chips.py",
    ),
    Bug(
        "old copies stay after the identity is erased",
        f"{TERMINAL}/erase.py",
        "        store.sanitize({store.region_of(slot.key) for slot in slots.IDENTITY})\n",
        "",
        "tests/simulator/test_erase_on_chips.py",
    ),
    Bug(
        "spare blocks of the flash are not erased",
        f"{MEMORY}/flash_log.py",
        "            self._scrub_block(block, done)\n",
        "            if block in self._in_use:\n                self._scrub_block(block, done)\n",
        "tests/simulator/test_flash_log.py",
    ),
    Bug(
        "the challenge is the same at every freeze",
        f"{TERMINAL}/terminal.py",
        "challenge=self._entropy(32))",
        "challenge=signer.issuer_id)",
        "tests/simulator/test_thaw.py",
    ),
    Bug(
        "the order's counter is not stored",
        f"{TERMINAL}/terminal.py",
        "encode_life(life.frozen(signer.issuer_id, order.body.counter))",
        "encode_life(life.to(LifecycleState.FROZEN))",
        "tests/model/test_lockstep.py",
    ),
    Bug(
        "an erase starts whichever receipt it names",
        f"{TERMINAL}/terminal.py",
        "        if request.receipt_digest != release.digests[0]:\n",
        "        if not request.receipt_digest:\n",
        "tests/simulator/test_terminal_answers.py",
    ),
    Bug(
        "a bind of an earlier life serves again",
        f"{TERMINAL}/binding.py",
        "if evidence is None or body.evidence_digest != cose.digest(evidence):",
        "if evidence is None or len(body.evidence_digest) != len(cose.digest(evidence)):",
        "tests/simulator/test_binding.py",
    ),
    Bug(
        "the check value is the master key's",
        f"{TERMINAL}/key_loading.py",
        "        _require(len(key) == slot.key_bytes, slot, Why.ALGORITHM)\n        _put(store, slot, key)\n",
        "        _require(len(key) == slot.key_bytes, slot, Why.ALGORITHM)\n        _put(store, slot, key)\n"
        "        _put_check_value(store, slot, held_key(store, _protecting(slot)))\n",
        "tests/simulator/test_key_loading.py",
    ),
    Bug(
        "a spent DUKPT key set is not stored",
        f"{TERMINAL}/keyring.py",
        "        self._store.put({slot.key: bytes(state)})\n",
        "",
        "tests/simulator/test_keyring.py",
    ),
    Bug(
        "DUKPT counters with one bit too many are used",
        f"{PROTOCOL}/dukpt_tree.py",
        "        if counter.bit_count() < self._shape.ones_max:\n",
        "        if counter.bit_count() <= self._shape.ones_max:\n",
        "tests/protocol/test_dukpt_tree.py",
    ),
    Bug(
        "the MAC of a key block is not compared",
        f"{PROTOCOL}/tr31.py",
        "hmac.compare_digest(_cmac(version, kbpk, header_text, clear), mac)",
        "len(_cmac(version, kbpk, header_text, clear)) == len(mac)",
        "tests/protocol/test_tr31.py",
    ),
    Bug(
        "the MAC of old key blocks is not compared",
        f"{PROTOCOL}/tr31.py",
        "    if not hmac.compare_digest(expected, mac):\n",
        "    if len(expected) != len(mac):\n",
        "tests/protocol/test_tr31.py",
    ),
    Bug(
        "order counters are lost at a bind",
        f"{TERMINAL}/personalise.py",
        'life = decode_life(store.get(slots.STATE) or b"").to(LifecycleState.ACTIVE)',
        "life = Life(LifecycleState.ACTIVE)",
        "tests/simulator/test_binding.py",
    ),
    Bug(
        "the time of the newest sale is lost at a bind",
        f"{TERMINAL}/personalise.py",
        "    last_record_at = max(last_record_at, life.last_record_at)\n",
        "",
        "tests/simulator/test_binding.py",
    ),
    Bug(
        "a bind is taken outside BLANK",
        f"{TERMINAL}/binding.py",
        "if life.state is not LifecycleState.BLANK:",
        "if life.state is LifecycleState.ACTIVE:",
        "tests/simulator/test_binding.py",
    ),
    Bug(
        "an entry is written behind a torn one",
        f"{MEMORY}/flash_log.py",
        "        self._close_torn_head()\n",
        "",
        "tests/simulator/test_flash_log.py",
    ),
    Bug(
        "a worn block is given up with what lives in it",
        f"{MEMORY}/flash_log.py",
        "        self._relocate(block)\n        self._release(block)\n\n    # --- collecting",
        "        self._release(block)\n\n    # --- collecting",
        "tests/simulator/test_flash_log.py",
    ),
    Bug(
        "after a power cut an old value of a slot stays",
        f"{MEMORY}/slot_memory.py",
        "for one in sorted(filled, key=_version)}",
        "for one in filled}",
        "tests/simulator/test_slot_memory.py",
    ),
)

_LAPTOP: Final = (
    Bug(
        "a journal whose last rows are torn is taken as it is",
        f"{AGENT}/journal.py",
        "            if head != self._summary.head:\n",
        "            if head != self._summary.head and len(head) == len(self._summary.head) and n == 1:\n",
        "tests/agent/test_journal.py",
    ),
    Bug(
        "the journal is not synced at each commit",
        f"{AGENT}/journal.py",
        '("synchronous", "FULL", 2)',
        '("synchronous", "NORMAL", 1)',
        "tests/world/test_disk.py",
    ),
    Bug(
        "a journal goes on after a failed commit",
        f"{AGENT}/journal.py",
        "        self._failed = True\n        self._commit(entries)\n",
        "        self._commit(entries)\n",
        "tests/agent/test_journal.py",
    ),
    Bug(
        "others may read the journal's folder",
        f"{AGENT}/storage.py",
        "found & ~mode & 0o077",
        "found & ~mode & 0o022",
        "tests/agent/test_storage.py",
    ),
    Bug(
        "reading goes on one item too early",
        f"{AGENT}/reading.py",
        "        self._asked_up_to = self._here\n",
        "        self._asked_up_to = max(0, self._here - 1)\n",
        "tests/agent/test_visit.py",
    ),
    Bug(
        "the items need not add up to the seal's chain",
        f"{AGENT}/job.py",
        "item_count and head != self.seal.body.head:",
        "item_count and len(head) != len(self.seal.body.head):",
        "tests/agent/test_job.py",
    ),
    Bug(
        "evidence is kept before it is judged",
        f"{AGENT}/visit.py",
        "                check_evidence(proof.document, self._job, self._access.anchors)\n",
        "",
        "tests/agent/test_visit.py",
    ),
    Bug(
        "the erase is asked for before its mark is durable",
        f"{AGENT}/visit.py",
        '            self._job.keep_once("erasing")\n',
        "            pass\n",
        "tests/agent/test_visit.py",
    ),
    Bug(
        "a job is purged before its closure",
        f"{AGENT}/cli/purge.py",
        "            if step is not Step.DONE:\n",
        "            if step not in (Step.CLOSE, Step.DONE):\n",
        "tests/agent/test_jobs.py",
    ),
    Bug(
        "a purge leaves the old bytes on the disk",
        f"{AGENT}/purge.py",
        "            _overwrite(path.with_name(path.name + end))\n",
        "            pass\n",
        "tests/agent/test_purge.py",
    ),
    Bug(
        "an unknown key of a case file is passed over",
        f"{AGENT}/case/file.py",
        "        self.unknown(table, [point.name for point in section.points], section.name, number)\n",
        "",
        "tests/agent/test_case.py",
    ),
    Bug(
        "a certificate with exceptions is green on paper",
        f"{AGENT}/report/cover.py",
        "State.EXCEPTIONS: RED,",
        "State.EXCEPTIONS: GREEN,",
        "tests/agent/test_report.py",
    ),
    Bug(
        "nothing ends the wait to be let in",
        f"{AGENT}/approach.py",
        "self._let_in_by = now + LET_IN_S",
        "self._let_in_by = None",
        "tests/agent/test_approach.py",
    ),
    Bug(
        "a replacement may be frozen or blank",
        f"{AGENT}/replacement.py",
        "if inventory.state is not LifecycleState.ACTIVE:",
        "if inventory.state is LifecycleState.ERASING:",
        "tests/agent/test_replacement.py",
    ),
    Bug(
        "a replacement's certificate may be another terminal's",
        f"{AGENT}/replacement.py",
        "{peer.serial_number, inventory.serial} != {order.replacement}",
        "inventory.serial != order.replacement",
        "tests/agent/test_replacement.py",
    ),
    Bug(
        "a purge forgets what was salvaged",
        f"{AGENT}/purge.py",
        '    if salvage is not None:\n        yield Row("salvage"',
        '    if salvage is not None and journal.count("item"):\n        yield Row("salvage"',
        "tests/agent/test_salvage.py",
    ),
    Bug(
        "the world's search passes over blocks that nothing lives in",
        f"{WORLD}/readout.py",
        "for find in one.look(unit[0], content))",
        "for find in one.look(unit[0], content) if self._parts[unit])",
        "tests/world/test_readout.py",
    ),
)

BUGS: Final = (*_LINE, *_DOCUMENTS, *_MONEY, *_KEYS, *_LAPTOP)
