"""Words that a person may read, kept so that they can be said in another language later.

`N_` makes a `Text`: an English ``str`` like any other, which remembers the template and the parameters it came from.
Whoever shows it to a person translates the template and fills the parameters in again (the agent's ``wording``);
everybody else has the English text. This module knows no other language.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

Parameter: TypeAlias = object
"""Shown as ``str`` or by its format; a `Text` is translated too."""

_NONE: Final[Mapping[str, Parameter]] = MappingProxyType({})


class Text(str):
    """English text that remembers its ``template`` and ``parameters``."""

    __slots__ = ("parameters", "template")

    template: str
    parameters: Mapping[str, Parameter]


def N_(template: str, /, **parameters: Parameter) -> Text:
    """``template`` with its ``{parameters}`` filled in, marked for translation; without any, the template as it stands.

    A text of several lines is dedented like a docstring (and so it stands in the translations).

    >>> one = N_("{count} key slots, each read back empty", count=9)
    >>> one, one.template
    ('9 key slots, each read back empty', '{count} key slots, each read back empty')
    """
    if "\n" in template:
        template = inspect.cleandoc(template)
    text = Text(template.format(**parameters) if parameters else template)
    text.template, text.parameters = template, parameters or _NONE
    return text
