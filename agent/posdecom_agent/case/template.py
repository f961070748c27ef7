"""A case as TOML: empty with every question as a comment, or with answers filled in."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from .points import SECTIONS, WITNESS, Point, Section

Value: TypeAlias = str | bool | datetime.date
Rows: TypeAlias = Mapping[str, Sequence[Mapping[str, Value]]]
"""By section that is an array of tables."""

_HEAD: Final = (
    "# The case of one decommission: what shop, payment institution and technician owe each other.",
    "# 一次终端撤机的案卷：商户、支付机构与技术员之间的往来事项。",
    '# Take away the # before a line to answer it. What there is none of is answered too: write "none".',
    '# 去掉行首的 # 即可填写；没有的事项请写 "none"（无）。',
    "# posdecom case check FILE, then posdecom checklist --case FILE.",
)
_WITNESS: Final = (
    "# The witness signs last: posdecom case witness FILE --key KEY.pem --name NAME --role ROLE",
    "# 见证人最后签名：posdecom case witness FILE --key KEY.pem --name 姓名 --role 身份",
)


def write_template(answers: Mapping[str, Value], rows: Rows | None = None) -> str:
    """The whole file; ``answers`` by key, ``rows`` by section."""
    return "\n".join((*_HEAD, "", *_body(answers, rows or {})))


def toml_value(value: Value) -> str:
    """``value`` as TOML writes it; a JSON string is a TOML basic string but for DEL, which no answer has."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime.date():
            return value.isoformat()
        case _:
            return json.dumps(value, ensure_ascii=False)


def _body(answers: Mapping[str, Value], rows: Rows) -> Iterator[str]:
    for section in SECTIONS:
        yield f"# {section.label.en} / {section.label.zh}"
        if section.name == WITNESS:
            yield from _WITNESS
        elif section.many:
            yield from _rows(section, rows.get(section.name, ()))
        else:
            yield f"[{section.name}]"
            for point in section.points:
                yield _line(point, answers.get(f"{section.name}.{point.name}"))
        yield ""


def _rows(section: Section, rows: Sequence[Mapping[str, Value]]) -> Iterator[str]:
    yield "# once for each / 每项一段"
    if not rows:
        yield f"# [[{section.name}]]"
        yield from (_line(point, None) for point in section.points)
    for row in rows:
        yield f"[[{section.name}]]"
        yield from (_line(point, row.get(point.name)) for point in section.points)


def _line(point: Point, answer: Value | None) -> str:
    words = f"  # {point.label.en} / {point.label.zh} ({point.kind.hint.en})"
    if answer is None:
        return f"# {point.name} = {point.kind.example}{words}"
    return f"{point.name} = {toml_value(answer)}{words}"
