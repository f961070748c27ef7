"""docs/errors.md, made from the catalogue of troubles in both languages: ``python tests/errors_page.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from posdecom_agent import wording
from posdecom_agent.catalogue import CATALOGUE, Entry, Exit
from posdecom_agent.wording import LANGUAGES, _

PAGE = Path(__file__).parent.parent / "docs" / "errors.md"

HEAD = """\
# Errors

Made from the catalogue in `agent/posdecom_agent/catalogue.py` by `python tests/errors_page.py`; a test holds it to it.

Every failure is three lines on stderr (what happened, the cause, what to try), an exit code, and with `--json` one
document of schema `posdecom/error/1` on stdout with `class`, `code`, `exit`, `message`, `cause` and `next_actions`.
Code, class and exit code are stable; texts may change, and come in the person's language (`--lang`). `{...}` is
filled in.

| exit | errors |
|---|---|
"""
LABELS = {"en": ("cause", "try"), "zh": ("原因", "请尝试")}


def page() -> str:
    before = wording.spoken()
    try:
        return HEAD + "\n".join(_lines()) + "\n"
    finally:
        wording.speak(before)


def _lines() -> Iterator[str]:
    for code in Exit:
        codes = [f"[{one.code}](#{one.code.lower()}) {one.name}" for one in CATALOGUE if one.exit is code]
        if codes:
            yield f"| {int(code)} | {', '.join(codes)} |"
    for entry in CATALOGUE:
        yield f'\n<a id="{entry.code.lower()}"></a>'
        yield f"## {entry.code}: {entry.name} (exit {int(entry.exit)})\n"
        for language in LANGUAGES:
            wording.speak(language)
            yield from _said(entry, *LABELS[language])


def _said(entry: Entry, cause: str, attempt: str) -> Iterator[str]:
    yield f"- **{_(entry.message)}**"
    yield f"  - {cause}: {_(entry.cause)}"
    yield from (f"  - {attempt}: {_(action)}" for action in entry.next_actions)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
