"""What the verdict finds, as people read it: accounts by name, money with its currency, points by their label."""

from __future__ import annotations

import pytest

from posdecom_agent.case.kinds import Words
from posdecom_agent.sentences import sentence
from posdecom_agent.wording import N_, said


def amount(count: int, minor: int) -> str:
    return N_("{count} transactions ({amount} in minor units)", count=count, amount=minor)


def test_an_amount_is_told_in_the_currency_of_its_sentence() -> None:
    text = N_("salvaged, currency {currency:03d}: debit {debit}, credit {credit}",
              currency=156, debit=amount(2, 500), credit=amount(0, 0))  # fmt: skip
    words = sentence(text, ())
    assert "2 transactions, 5.00 CNY" in words.en
    assert "5.00 CNY" in words.zh
    assert "minor" not in words.en


@pytest.mark.parametrize(
    ("key", "en", "zh"),
    [
        ("accounts.closed", "open: Account closure confirmed on", "未了结：销户确认日期"),
        ("no.such_point", "open: no.such_point", "未了结：no.such_point"),
    ],
)
def test_an_open_point_is_told_by_its_label(key: str, en: str, zh: str) -> None:
    assert sentence(N_("open: {what}", what=key), ()) == Words(en, zh)


def test_what_a_terminal_keeps_is_told_in_both_languages_as_far_as_it_is_known() -> None:
    kept = "kept: {what} ({why})"
    known = sentence(
        N_(kept, what="order, seal, receipt, evidence", why="the proofs are served again for ever"), ()
    )
    assert "撤机令" in known.zh and "proofs" not in known.zh
    assert "a drawing of a cat" in sentence(N_(kept, what="a drawing of a cat", why="it is nice"), ()).zh


def test_what_the_operating_system_says_is_said_in_chinese_too() -> None:
    cause = N_("{where}: {reason}", where="127.0.0.1:1", reason="Connection refused")
    assert said(cause, "zh") == "127.0.0.1:1：连接被拒绝"
    assert said(N_("{where}: {reason}", where="x", reason="Never heard"), "zh") == "x：Never heard"
