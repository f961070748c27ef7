"""Two languages: the compiled texts are what the sources mark, and the person's language is found."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from string import Formatter

import click
import pytest

from posdecom_agent import wording
from posdecom_agent.catalogue import CATALOGUE
from posdecom_agent.cli import COMMANDS
from posdecom_agent.cli.columns import width
from posdecom_agent.cli.vocabulary import plain_word
from posdecom_agent.trouble import trouble_from
from posdecom_agent.wording import LANGUAGES, N_, _, chosen
from posdecom_protocol.documents.order import AfterCutoff, Mode, Reason
from posdecom_protocol.documents.receipt import Basis
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.money import CardGroup, TransactionClass
from posdecom_protocol.wording import Text
from translation import FOLDERS, compiled, extracted, file_of, merged, messages, translations, written

SAME_IN_EVERY_LANGUAGE = frozenset(
    {
        "{cause}",
        "{step} ...",
        "{name} of {issuer}",
        "{where}: {reason}",
        "{context}: {sum} {what}",
        "--host: {error}",
        "--desk: {error}",
    }
)
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
        if message.string:
            assert placeholders(str(message.string)) == placeholders(text), text


def options_and_commands(command: click.Command) -> Iterator[str | None]:
    yield command.help
    yield from (option.help for option in command.params if isinstance(option, click.Option))
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        yield from options_and_commands(inner)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_text_of_a_command_and_its_options_is_marked(name: str) -> None:
    command = importlib.import_module(COMMANDS[name][0], "posdecom_agent.cli").command
    assert {text for text in options_and_commands(command) if text} <= set(extracted())


def test_every_text_of_the_catalogue_is_marked_but_for_commands_and_bare_parameters() -> None:
    texts = {text for one in CATALOGUE for text in (one.message, one.cause, *one.next_actions)}
    plain = {text for text in texts if not isinstance(text, Text)}
    assert all(re.fullmatch(r"\{\w+\}|(posdecom|ls|\{command\}) [ -~]+", text) for text in plain)


@pytest.mark.parametrize(
    "kind", [LifecycleState, Reason, Mode, AfterCutoff, TransactionClass, CardGroup, Basis]
)
def test_every_word_of_a_closed_set_that_is_shown_is_marked(kind: type[Enum]) -> None:
    assert {plain_word(member) for member in kind} <= set(extracted())


def test_no_text_is_marked_inside_an_f_string_where_it_would_not_be_found() -> None:
    inside = re.compile(r"""\bf"[^"\n]*\{[^}"\n]*\b_\('""")
    for path in sorted(Path(wording.__file__).parent.rglob("*.py")):
        assert not inside.search(path.read_text(encoding="utf-8")), path


# ---- on the screen


def posdecom(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "posdecom_agent", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_help_and_errors_speak_chinese_and_fit_eighty_columns() -> None:
    shown = posdecom("retire", "--lang", "zh", "--help").stdout
    assert "收单机构的撤机令" in shown
    assert "用法：" in shown
    assert max(map(width, shown.splitlines())) <= 80
    failed = posdecom("ports", "--bogus", LC_ALL="zh_CN.UTF-8")
    assert failed.stderr.startswith("错误[PD-E02]：没有选项 '--bogus'")
    assert failed.returncode == 2


def test_programs_read_the_same_keys_in_every_language() -> None:
    found = [
        json.loads(posdecom("jobs", "--journal", "/nowhere", "--json", POSDECOM_LANG=language).stdout)
        for language in LANGUAGES
    ]
    stable = [{key: one[key] for key in ("schema", "class", "code", "exit")} for one in found]
    assert stable[0] == stable[1]
    assert found[0].keys() == found[1].keys()
    assert found[0]["message"] != found[1]["message"]


def test_an_error_that_was_made_in_english_is_told_in_chinese() -> None:
    wording.speak("zh")
    trouble = trouble_from(DocumentError("seal", N_("is not under this order")))
    assert trouble.lines()[1] == "原因：seal：不属于这份撤机令"
    assert str(DocumentError("seal", N_("is not under this order"))) == "seal: is not under this order"


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
