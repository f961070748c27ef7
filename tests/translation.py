"""The texts of the three packages and their translations: extracted, merged and compiled with Babel.

After a text changed:

    python tests/translation.py

puts what is new into ``locale/*/LC_MESSAGES/posdecom.po`` (and takes out what is gone), compiles it, and lists what
lacks a translation: write those into the ``.po`` file and run it once more.
"""

from __future__ import annotations

import functools
import inspect
import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import posdecom_agent
import posdecom_protocol
from posdecom_agent.wording import DOMAIN, LANGUAGES, LOCALE

KEYWORDS = {"_": None, "N_": None}
SOURCES = tuple(Path(package.__file__ or "").parent for package in (posdecom_protocol, posdecom_agent))
FOLDERS = tuple(folder for folder in LANGUAGES.values() if folder is not None)


@functools.cache
def extracted() -> dict[str, tuple[str, ...]]:
    """Each text that the sources mark, and the files in which it stands."""
    found: dict[str, tuple[str, ...]] = {}
    for name, text in _marked():
        found[text] = tuple(dict.fromkeys((*found.get(text, ()), name)))
    return found


def _marked() -> Iterator[tuple[str, str]]:
    for folder in SOURCES:
        for path in sorted(folder.rglob("*.py")):
            for _line, text, _comments, _context in extract_from_file("python", path, KEYWORDS):
                assert isinstance(text, str), f"{path}: a text is marked with one string, not {text}"
                yield (
                    path.relative_to(folder.parent).as_posix(),
                    inspect.cleandoc(text) if "\n" in text else text,
                )


def file_of(folder: str, ending: str) -> Path:
    return LOCALE / folder / "LC_MESSAGES" / f"{DOMAIN}.{ending}"


def translations(folder: str) -> Catalog:
    with file_of(folder, "po").open("rb") as file:
        return read_po(file, locale=folder, domain=DOMAIN)


def messages(catalogue: Catalog) -> dict[str, Message]:
    """By English text, without the header."""
    return {str(message.id): message for message in catalogue if message.id}


class PlainCatalog(Catalog):
    """With a header that names no date and no version of Babel: the same texts compile to the same bytes."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [("Content-Type", "text/plain; charset=utf-8")]


def compiled(catalogue: Catalog) -> bytes:
    plain, file = PlainCatalog(), io.BytesIO()
    for text, message in messages(catalogue).items():
        plain.add(text, message.string)
    write_mo(file, plain)
    return file.getvalue()


def merged(folder: str) -> Catalog:
    """The texts of today, in the order of the sources, with the translations that there are."""
    old = messages(translations(folder)) if file_of(folder, "po").exists() else {}
    catalogue = Catalog(locale=folder, domain=DOMAIN, fuzzy=False)
    for text, names in extracted().items():
        known = old[text].string if text in old else ""
        catalogue.add(text, known, locations=[(name, 1) for name in names])
    return catalogue


def written(folder: str, catalogue: Catalog) -> bytes:
    """As a ``.po`` file: no line numbers and no dates, so that it changes only where a text does."""
    file = io.BytesIO()
    write_po(file, catalogue, width=110, omit_header=True, include_lineno=False)
    return HEADER.format(language=folder).encode() + file.getvalue()


HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


def main() -> None:
    for folder in FOLDERS:
        catalogue = merged(folder)
        file_of(folder, "po").write_bytes(written(folder, catalogue))
        catalogue = translations(folder)
        file_of(folder, "mo").write_bytes(compiled(catalogue))
        lacking = [text for text, message in messages(catalogue).items() if not message.string]
        print(f"{folder}: {len(messages(catalogue))} texts, {len(lacking)} without a translation")
        print("".join(f"  {text!r}\n" for text in lacking), end="")


if __name__ == "__main__":
    main()
