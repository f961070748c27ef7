"""Every word that a person reads, in the person's language: English is the source, others are gettext files.

    _("{count} ports", count=2)         translated now: where something is shown
    N_("{count} ports", count=2)        English now, translated when `_` meets it: tables, pure modules, errors

`speak` chooses the language of the process, once, at its start. The texts stand in
``locale/<language>/LC_MESSAGES/posdecom.mo``, read at the first word of another language than English: a start in
English reads no file. JSON keys, codes and the names of fields are not words and are never translated.

New texts: mark them, run ``python tests/translation.py``, write what it lists into the ``.po`` file, run it again.
"""

from __future__ import annotations

import functools
import gettext
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from posdecom_protocol.wording import N_ as N_
from posdecom_protocol.wording import Parameter, Text

DOMAIN: Final = "posdecom"
LOCALE: Final = Path(__file__).parent / "locale"
LANGUAGES: Final[dict[str, str | None]] = {"en": None, "zh": "zh_CN"}
"""What ``--lang`` takes, and the folder of its texts (None: the source)."""

ENVIRONMENT: Final = ("POSDECOM_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
"""The first of them that is set decides (POSIX's order, with our own before it)."""

SYSTEM: Final = frozenset({
    N_("Connection refused"), N_("Connection reset by peer"), N_("Connection timed out"), N_("timed out"),
    N_("No route to host"), N_("Network is unreachable"), N_("Name or service not known"),
    N_("Temporary failure in name resolution"), N_("No such file or directory"), N_("Permission denied"),
    N_("No space left on device"), N_("Read-only file system"), N_("Input/output error"), N_("Is a directory"),
})  # fmt: skip
"""What the operating system says in English, most often; whatever else it says is shown as it says it."""

_spoken = "en"


def chosen(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language for a command line and an environment; English where nobody asks for one that there is.

    >>> chosen(["ports", "--lang", "zh"], {"LANG": "en_GB.UTF-8"}), chosen([], {"LANG": "zh_CN.UTF-8"}), chosen([], {})
    ('zh', 'zh', 'en')
    """
    asked = [*_asked_by_option(arguments), *(environment.get(name, "") for name in ENVIRONMENT)]
    tag = next((one for one in asked if one), "en").lower().replace("-", "_")
    language = tag.split(".")[0].split("_")[0]
    return language if language in LANGUAGES else "en"


def _asked_by_option(arguments: Sequence[str]) -> list[str]:
    """Before click reads the line, because help is printed while it reads; the last one counts, as with click."""
    found = [after for one, after in itertools.pairwise(arguments) if one == "--lang"]
    found += [one.partition("=")[2] for one in arguments if one.startswith("--lang=")]
    return found[-1:]


def speak(language: str) -> None:
    """Let everything from here on be said in ``language`` (a key of `LANGUAGES`)."""
    global _spoken
    assert language in LANGUAGES
    _spoken = language


def spoken() -> str:
    return _spoken


def _(text: str, /, **parameters: Parameter) -> str:
    """``text`` in the spoken language, its ``{parameters}`` filled in. What has no translation stays English.

    >>> _("nothing answered the greeting"), _(N_("{count} ports", count=2)), _("{count} ports", count=3)
    ('nothing answered the greeting', '2 ports', '3 ports')
    """
    return said(text, _spoken, **parameters)


def said(text: str, language: str, /, **parameters: Parameter) -> str:
    """``text`` in ``language``, whatever is spoken: for a paper that carries two."""
    template = text
    if isinstance(text, Text) and not parameters:
        template, parameters = text.template, dict(text.parameters)
    words = _texts(language).gettext(template) if template else template
    inner = {name: _inner(value, language) for name, value in parameters.items()}
    return words.format(**inner) if parameters else words


def shown(value: Parameter) -> str:
    """``value`` for people: a `Text`, or an error made with one, in the spoken language; anything else as it is."""
    return str(_inner(value, _spoken))


def _inner(value: Parameter, language: str) -> Parameter:
    if isinstance(value, BaseException) and value.args and isinstance(value.args[0], Text):
        value = value.args[0]
    if isinstance(value, str) and (isinstance(value, Text) or value in SYSTEM):
        return said(value, language)
    return value


@functools.cache
def _texts(language: str) -> gettext.NullTranslations:
    folder = LANGUAGES[language]
    if folder is None:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, LOCALE, [folder])
