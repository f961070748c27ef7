"""What a person may read is an English text that knows what it was made of."""

from __future__ import annotations

from posdecom_protocol.wording import N_


def test_a_text_remembers_its_template_and_what_was_filled_in() -> None:
    text = N_("{count} of {name}", count=3, name="keys")
    assert (text, text.template, dict(text.parameters)) == (
        "3 of keys",
        "{count} of {name}",
        {"count": 3, "name": "keys"},
    )


def test_a_text_without_parameters_stands_as_it_is_written_braces_and_all() -> None:
    text = N_("a {brace}")
    assert (text, text.template, dict(text.parameters)) == ("a {brace}", "a {brace}", {})


def test_a_text_of_several_lines_is_dedented_and_so_is_its_template() -> None:
    text = N_(
        """first {what}

        second
          third""",
        what="line",
    )
    assert text == "first line\n\nsecond\n  third"
    assert text.template == "first {what}\n\nsecond\n  third"


def test_a_text_in_a_text_stays_one_that_can_be_translated() -> None:
    inner = N_("{count} keys", count=2)
    outer = N_("open: {what}", what=inner)
    assert outer == "open: 2 keys"
    assert outer.parameters["what"] is inner
