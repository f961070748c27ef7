"""Two languages: the compiled texts are what the sources mark, and the person's language is found."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from string import Formatter

import pytest

from posdecom_agent import wording
from posdecom_agent.wording import N_, _, chosen
from posdecom_protocol.wording import Text
from translation import FOLDERS, compiled, extracted, file_of, merged, messages, translations, written

SAME_IN_EVERY_LANGUAGE: frozenset[str] = frozenset()
"""Texts without a word in them: nothing to translate."""


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    wording.speak("en")


def placeholders(text: str) -> set[str]:
    return {
        f"{name}:{form}" for _text, name, form, _conversion in Formatter().parse(text) if name is not None
    }


# ---- the files


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_po_file_holds_the_texts_of_the_sources_and_no_others(folder: str) -> None:
    assert list(messages(translations(folder))) == list(extracted()), "run: python tests/translation.py"
    assert file_of(folder, "po").read_bytes() == written(folder, merged(folder)), (
        "run: python tests/translation.py"
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_mo_file_is_what_the_po_file_compiles_to(folder: str) -> None:
    assert file_of(folder, "mo").read_bytes() == compiled(translations(folder))


def test_every_text_has_a_chinese_translation() -> None:
    for text, message in messages(translations("zh_CN")).items():
        chinese = re.search("[\u4e00-\u9fff]", str(message.string))
        assert chinese or text in SAME_IN_EVERY_LANGUAGE, f"no Chinese for: {text!r}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_translation_has_the_placeholders_of_its_text(folder: str) -> None:
    for text, message in messages(translations(folder)).items():
        assert placeholders(str(message.string)) == placeholders(text), text


# ---- the language


@pytest.mark.parametrize(
    ("arguments", "environment", "language"),
    [
        ([], {}, "en"),
        ([], {"LANG": "zh_CN.UTF-8"}, "zh"),
        ([], {"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ([], {"LANG": "en_GB.UTF-8", "LC_MESSAGES": "en_GB", "LC_ALL": "zh_CN"}, "zh"),
        ([], {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ([], {"LC_ALL": "C", "POSDECOM_LANG": "zh"}, "zh"),
        ([], {"LC_ALL": "", "LANG": "zh_CN"}, "zh"),
        ([], {"LANG": "de_DE.UTF-8"}, "en"),
        (["ports", "--lang", "en"], {"POSDECOM_LANG": "zh"}, "en"),
        (["--lang=zh-CN", "ports"], {}, "zh"),
        (["ports", "--lang"], {}, "en"),
    ],
)
def test_the_option_stands_above_our_variable_and_that_above_the_locale(
    arguments: list[str], environment: dict[str, str], language: str
) -> None:
    assert chosen(arguments, environment) == language


def test_an_unknown_text_stays_english_in_every_language() -> None:
    wording.speak("zh")
    assert _("{count} of a kind", count=3) == "3 of a kind"
    assert _("") == ""


def test_a_text_is_english_for_programs_and_remembers_what_it_was_made_of() -> None:
    inner = N_("nobody")
    text = N_("{name} spoke to {other}", name=inner, other="it")
    assert isinstance(text, str)
    assert text == "nobody spoke to it"
    assert (text.template, dict(text.parameters)) == (
        "{name} spoke to {other}",
        {"name": inner, "other": "it"},
    )
    assert isinstance(text.parameters["name"], Text)
    assert _(text) == text


def test_a_template_without_parameters_keeps_its_braces() -> None:
    assert N_("{port} is in use") == "{port} is in use" == _(N_("{port} is in use"))


def test_english_reads_no_file() -> None:
    script = (
        "import sys, posdecom_agent.wording as wording\n"
        "sys.addaudithook(lambda name, what: name == 'open' and print(what[0]))\n"
        "wording._('nobody')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
