"""Which test shows which row of the two settlement flows, and that each of them is there.

The rows are those of the flows as terminals run them: UnionPay's, EDC's, and what has to be true before keys go. A row
that this project does otherwise says so, and docs/settlement.md with it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent

UNIONPAY: Final = {
    "0 pending reversal first": (
        "agent/test_settlement.py",
        "test_what_goes_out_are_the_terminals_own_bytes_in_the_order_of_the_seal",
    ),
    "0 resend limit": (
        "agent/test_settlement.py",
        "test_silence_brings_the_same_bytes_again_and_then_a_named_stop",
    ),
    "0 an unresolved one blocks later work": (
        "simulator/test_flow.py",
        "test_a_reversal_without_an_answer_holds_up_everything_behind_it",
    ),
    "1 offline advices until none is left": (
        "simulator/test_prepare.py",
        "test_every_transaction_that_needs_a_message_has_exactly_that",
    ),
    "1 offline by chip with field 55": (
        "simulator/test_chip_records.py",
        "test_advices_and_reversals_by_chip_carry_field_55_and_refunds_never",
    ),
    "1 00 or 94 is delivered": (
        "agent/test_settlement.py",
        "test_an_answer_lost_after_the_host_committed_comes_back_as_94_and_counts_once",
    ),
    "1 any other code is refused, listed and not sent again": (
        "agent/test_settlement.py",
        "test_a_refused_advice_is_kept_with_its_code_and_never_sent_again",
    ),
    "2 totals in field 48": (
        "simulator/test_prepare.py",
        "test_totals_are_what_a_recount_of_the_day_gives",
    ),
    "2 field 49, field 63, MAC": (
        "simulator/test_flow.py",
        "test_the_totals_say_currency_and_operator_and_have_a_mac",
    ),
    "2 field 48 is 62 digits, domestic then foreign": (
        "protocol/test_data_elements.py",
        "test_totals_are_62_digits_domestic_first_with_a_reply_code_each",
    ),
    "2 debit and credit by class": (
        "simulator/test_flow.py",
        "test_every_class_is_on_the_side_that_the_field_48_of_terminals_has_it_on",
    ),
    "3 reply per card group 1, 2, 3": (
        "simulator/test_flow.py",
        "test_only_two_groups_that_balance_are_balanced",
    ),
    "4 detail with masked number, one a message (deviation)": (
        "simulator/test_prepare.py",
        "test_an_upload_carries_one_transaction_with_a_masked_number",
    ),
    "4 no full card number anywhere (deviation)": (
        "simulator/test_prepare.py",
        "test_no_card_number_is_in_any_item_or_stored_record",
    ),
    "4 203 and 204 when balanced": (
        "simulator/test_chip_records.py",
        "test_balanced_cup_sends_tc_as_203_and_declined_as_204_and_no_detail",
    ),
    "4 201, 205 and 206 when not": (
        "simulator/test_chip_records.py",
        "test_unbalanced_cup_sends_tc_as_205_in_its_upload_and_declined_as_206",
    ),
    "4 order of the upload": (
        "simulator/test_chip_records.py",
        "test_an_unbalanced_upload_goes_in_the_order_of_unionpay_terminals",
    ),
    "4 what was sent already still counts": (
        "simulator/test_flow.py",
        "test_details_that_the_host_has_already_count_in_the_totals_all_the_same",
    ),
    "5 end 207 or 202 with its count": (
        "simulator/test_prepare.py",
        "test_both_ends_of_an_upload_are_ready_with_their_codes_and_counts",
    ),
    "5 end even when nothing was uploaded": (
        "simulator/test_flow.py",
        "test_the_end_207_goes_even_where_nothing_was_uploaded",
    ),
    "6 sign-off": (
        "simulator/test_flow.py",
        "test_the_sign_off_is_the_last_message_of_a_cup_batch_and_edc_has_none",
    ),
    "6 batch number and one": (
        "simulator/test_overflow.py",
        "test_batch_999999_settles_and_batch_1_after_it_is_another",
    ),
    "bad TPDU or header": (
        "protocol/test_iso8583.py",
        "test_a_bad_envelope_or_bitmap_is_named",
    ),
    "header demand": (
        "protocol/test_iso8583.py",
        "test_the_demand_of_the_host_is_the_sixth_digit_of_the_header",
    ),
}

EDC: Final = {
    "0500/920000 with field 63": (
        "simulator/test_edc.py",
        "test_the_settlement_requests_carry_the_sums_of_both_card_groups_without_groups",
    ),
    "field 63: count before amount": (
        "simulator/test_edc.py",
        "test_sums_are_30_digits_count_before_amount",
    ),
    "00 done": (
        "simulator/test_edc.py",
        "test_equal_sums_close_the_batch_without_uploads_and_without_sign_off",
    ),
    "00, 94, 95, other": (
        "simulator/test_flow.py",
        "test_edc_totals_are_closed_by_00_and_94_and_opened_by_95",
    ),
    "95: one 0320 per transaction": (
        "simulator/test_edc.py",
        "test_95_brings_every_record_and_then_the_close",
    ),
    "original MTI and trace, in field 62 (deviation)": (
        "simulator/test_edc.py",
        "test_an_upload_is_one_transaction_with_the_mti_and_stan_that_it_had",
    ),
    "not for reversed ones": (
        "simulator/test_flow.py",
        "test_a_reversed_sale_is_in_no_total_and_in_no_upload",
    ),
    "960000 closes": (
        "simulator/test_edc.py",
        "test_a_close_before_the_uploads_is_refused_and_may_come_again",
    ),
    "chip data before the totals": (
        "simulator/test_chip_records.py",
        "test_edc_sends_chip_data_as_940000_before_the_totals_that_may_close_the_batch",
    ),
}

BEFORE_KEYS_GO: Final = {
    "reversals and advices delivered, or missing by name": (
        "simulator/test_desk.py",
        "test_before_anything_was_settled_everything_that_must_arrive_is_missing",
    ),
    "batch closed by a host's answer": (
        "simulator/test_desk.py",
        "test_the_uploads_that_the_host_asked_for_are_missing_as_long_as_the_batch_is_open",
    ),
    "TC of every approved chip transaction, AAC of every declined one": (
        "simulator/test_chip_records.py",
        "test_the_acquirer_has_every_cryptogram_and_no_declined_money",
    ),
    "pre-authorisations voided or listed": (
        "simulator/test_prepare.py",
        "test_open_preauthorisations_are_listed_and_voided_only_where_the_order_says_so",
    ),
    "totals can agree and transactions not": (
        "simulator/test_desk.py",
        "test_errors_that_cancel_out_in_the_totals_are_still_found",
    ),
}

EDGES: Final = {
    "answer lost after the host's commit": (
        "agent/test_settlement.py",
        "test_an_answer_lost_after_the_host_committed_comes_back_as_94_and_counts_once",
    ),
    "0510 lost": (
        "simulator/test_edc.py",
        "test_the_answer_to_the_totals_lost_comes_back_as_94_and_means_closed",
    ),
    "power cut between upload packets": (
        "agent/test_settlement.py",
        "test_dying_after_any_message_and_going_on_gives_the_same_books",
    ),
    "N3 = 999": (
        "simulator/test_overflow.py",
        "test_the_1000th_transaction_of_a_context_is_refused_at_the_time_of_sale",
    ),
    "N12": (
        "simulator/test_overflow.py",
        "test_a_sale_that_takes_the_batch_over_twelve_digits_is_refused_and_a_smaller_one_is_not",
    ),
    "batch number wrap": ("simulator/test_overflow.py", "test_the_batch_after_999999_is_1"),
    "STAN wrap": (
        "simulator/test_overflow.py",
        "test_stans_go_round_while_messages_are_prepared_and_pass_those_of_the_batch",
    ),
    "clock wrong": (
        "simulator/test_clocks.py",
        "test_between_neighbours_on_both_sides_the_clock_decides_and_the_desk_looks_at_its_offset",
    ),
    "reversal of a reversal": (
        "simulator/test_flow.py",
        "test_a_reversal_of_what_was_reversed_already_is_taken_and_changes_nothing",
    ),
    "two currencies": (
        "simulator/test_flow.py",
        "test_two_currencies_are_two_contexts_and_never_one_sum",
    ),
    "reply 3": (
        "simulator/test_flow.py",
        "test_another_currency_in_the_books_of_a_batch_is_reply_3_and_no_sum",
    ),
    "duplicated answer": (
        "agent/test_settlement.py",
        "test_a_duplicate_answer_is_ignored_even_when_it_says_94",
    ),
}
"""Paper is not among them: the simulated terminal has no printer."""

ROWS: Final = [
    (f"{name}: {row}", *shown)
    for name, table in (("unionpay", UNIONPAY), ("edc", EDC), ("keys", BEFORE_KEYS_GO), ("edge", EDGES))
    for row, shown in table.items()
]


@pytest.mark.parametrize(("row", "file", "test"), ROWS, ids=[row for row, *_ in ROWS])
def test_every_row_of_the_flows_has_its_test(row: str, file: str, test: str) -> None:
    source = (TESTS / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {test}\(", source, re.MULTILINE), row
