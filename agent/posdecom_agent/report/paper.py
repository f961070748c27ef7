"""Paper: what `certificate_pdf` draws on. Two fonts that travel with the package, both languages, page after page.

Every character is looked up before it is drawn. One that no font has is an error that names it: a name with a hole in
it is no name. The same calls give the same bytes: the only time in the file is the one that is handed in. Written in
the library's PDF/A mode (everything embedded, nothing fetched); conformance is not claimed, in the file either.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias
from xml.sax.saxutils import escape

from fpdf import FPDF
from fpdf.fonts import TTFFont

from ..case.kinds import Words

FONTS: Final = Path(__file__).parent.parent / "fonts"
REGULAR: Final = FONTS / "NotoSansCJKsc-Regular-GB2312.otf"
BOLD: Final = FONTS / "NotoSansCJKsc-Bold-labels.otf"

WIDTH_MM: Final = 210.0
HEIGHT_MM: Final = 297.0
MARGIN_MM: Final = 15.0
BODY_MM: Final = WIDTH_MM - 2 * MARGIN_MM
BOTTOM_MM: Final = 17.0
LEADING: Final = 1.28
"""Distance of two lines, in heights of the letters; ideographs need more air than Latin letters."""

POINT_MM: Final = 25.4 / 72

Colour: TypeAlias = tuple[int, int, int]
INK: Final[Colour] = (27, 31, 36)
GREY: Final[Colour] = (99, 107, 118)
RULE: Final[Colour] = (214, 219, 225)
FAINT: Final[Colour] = (245, 246, 248)
WHITE: Final[Colour] = (255, 255, 255)
GREEN: Final[Colour] = (20, 108, 67)
RED: Final[Colour] = (176, 32, 24)
AMBER: Final[Colour] = (146, 88, 0)
BLUE: Final[Colour] = (23, 82, 176)
SLATE: Final[Colour] = (68, 80, 98)


_IDEOGRAPHS: Final = r"\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PIECES: Final = re.compile(rf"[{_IDEOGRAPHS}][\u3001\u3002\uff01-\uff1f]*|[^\s{_IDEOGRAPHS}]+\s*|\s+")
"""What stays on one line: an ideograph with the punctuation behind it, or a word with its space."""


_METADATA: Final = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/"><rdf:Description rdf:about="">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>{author}</rdf:li></rdf:Seq></dc:creator>
<xmp:CreatorTool>posdecom</xmp:CreatorTool><xmp:CreateDate>{made}</xmp:CreateDate>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
"""XMP (ISO 16684-1), in which no word stands about conformance."""


class MissingGlyphs(Exception):
    """No font here has these characters."""

    def __init__(self, characters: str) -> None:
        self.characters = characters
        super().__init__(", ".join(f"{one} (U+{ord(one):04X})" for one in characters))


@dataclass(frozen=True, slots=True)
class Style:
    size_pt: float
    colour: Colour = INK
    bold: bool = False

    @property
    def line_mm(self) -> float:
        return self.size_pt * POINT_MM * LEADING


BODY: Final = Style(8.2)
SMALL: Final = Style(6.6)
LABEL: Final = Style(6.2, GREY)
HEADING: Final = Style(9.2, INK, bold=True)


class Paper:
    """Draws downwards from `y`; whoever draws says where a page ends. Holds font files open until it is left."""

    def __init__(self, title: str, author: str, made_at: int, font: Path | None = None) -> None:
        logging.getLogger("fontTools.subset").setLevel(
            logging.ERROR
        )  # it tells of each table that it leaves out
        self._pdf = FPDF(enforce_compliance="PDF/A-3U")
        self._pdf.set_margins(MARGIN_MM, MARGIN_MM, MARGIN_MM)
        self._pdf.set_auto_page_break(False)
        self._pdf.c_margin = 0
        self._pdf.str_alias_nb_pages = ""  # "{nb}" in a name would become the number of pages
        self._pdf.set_title(title)
        self._pdf.set_lang("en")
        made = datetime.fromtimestamp(made_at, UTC)
        self._pdf.set_creation_date(made)
        # the library's own metadata would say when the file was written, and so differ each time
        self._pdf.set_xmp_metadata(
            _METADATA.format(title=escape(title), author=escape(author), made=made.isoformat())
        )
        self._advances: dict[tuple[str, str, float], float] = {}
        self._known = {False: self._add_font("text", REGULAR), True: self._add_font("bold", BOLD)}
        if font is not None:
            extra = self._add_font("extra", font)
            self._pdf.set_fallback_fonts(["extra"])
            self._known = {bold: known | extra for bold, known in self._known.items()}

    def __enter__(self) -> Paper:
        return self

    def __exit__(self, *_: object) -> None:
        for font in self._pdf.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    # --- pages -------------------------------------------------------------------------------------

    def add_page(self) -> None:
        self._pdf.add_page()
        self._pdf.set_y(MARGIN_MM)

    @property
    def y(self) -> float:
        return float(self._pdf.get_y())

    @y.setter
    def y(self, value: float) -> None:
        self._pdf.set_y(value)

    @property
    def left_mm(self) -> float:
        """What is left of this page."""
        return HEIGHT_MM - BOTTOM_MM - self.y

    @property
    def page(self) -> int:
        return int(self._pdf.page)

    @contextmanager
    def revisit(self, page: int) -> Iterator[None]:
        """Draw on an earlier page."""
        now = self._pdf.page
        self._pdf.page = page
        yield
        self._pdf.page = now

    def attach(self, name: str, data: bytes, media_type: str, made_at: int) -> None:
        self._pdf.embed_file(
            bytes=data,
            basename=name,
            mime_type=media_type,
            modification_date=datetime.fromtimestamp(made_at, UTC),
            associated_file_relationship="Source",
            desc="the signed original",
        )

    def output(self) -> bytes:
        return bytes(self._pdf.output())

    # --- drawing -----------------------------------------------------------------------------------

    def text(self, text: str, style: Style, x: float, y: float, width: float, align: str = "L") -> float:
        """``text`` in lines of at most ``width`` from ``y`` down. Returns where the next line would begin."""
        for line in self._lines(text, style, width):
            self._pdf.set_xy(x, y)
            self._pdf.cell(width, style.line_mm, line, align=align)
            y += style.line_mm
        return y

    def height_mm(self, text: str, style: Style, width: float) -> float:
        return style.line_mm * len(self._lines(text, style, width))

    def width_mm(self, text: str, style: Style) -> float:
        self._use(text, style)
        return self._wide(text)

    def fitted(self, text: str, style: Style, width: float) -> Style:
        """``style``, smaller as far as it takes for ``text`` to fit on one line, but never below five points."""
        wide = self.width_mm(text, style)
        size = style.size_pt if wide <= width else max(5.0, style.size_pt * width / wide * 0.99)
        return Style(size, style.colour, style.bold)

    def box(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        self._pdf.set_fill_color(*fill)
        self._pdf.rect(x, y, width, height, style="F")

    def rule(self, y: float, colour: Colour = RULE, width_mm: float = 0.25) -> None:
        self._pdf.set_draw_color(*colour)
        self._pdf.set_line_width(width_mm)
        self._pdf.line(MARGIN_MM, y, WIDTH_MM - MARGIN_MM, y)

    def squares(self, rows: Sequence[Sequence[int]], x: float, y: float, side_mm: float) -> None:
        """A matrix of dark and light squares, in runs of one row."""
        each = side_mm / len(rows)
        self._pdf.set_fill_color(*INK)
        for number, row in enumerate(rows):
            start = 0
            for end in range(1, len(row) + 1):
                if end == len(row) or row[end] != row[start]:
                    if row[start]:
                        self._pdf.rect(
                            x + start * each, y + number * each, (end - start) * each, each, style="F"
                        )
                    start = end

    # --- private -----------------------------------------------------------------------------------

    def _add_font(self, family: str, file: Path) -> frozenset[int]:
        self._pdf.add_font(family, fname=file)
        font = self._pdf.fonts[family]
        assert isinstance(font, TTFFont)
        # each outline would be drawn once more for bounds that no reader uses: nearly half of a PDF's time
        font.ttfont.recalcBBoxes = False
        return frozenset(font.cmap)

    def _use(self, text: str, style: Style) -> None:
        missing = sorted({one for one in text if ord(one) not in self._known[style.bold]})
        if missing:
            raise MissingGlyphs("".join(missing))
        self._pdf.set_font("bold" if style.bold else "text", size=style.size_pt)
        self._pdf.set_text_color(*style.colour)

    def _lines(self, text: str, style: Style, width: float) -> Sequence[str]:
        """Broken at spaces and between ideographs; what is wider than a line is broken where the line ends."""
        self._use(text, style)
        lines, line = [], ""
        for piece in _PIECES.findall(text):
            if line and self._wide(line) + self._wide(piece.rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece if line else piece.lstrip()
            while self._wide(line.rstrip()) > width and len(line) > 1:
                fits = self._fitting(line, width)
                lines.append(line[:fits])
                line = line[fits:]
        return [*lines, line.rstrip()]

    def _wide(self, text: str) -> float:
        """Width of ``text`` in the font in use; a character is as wide as it is, whatever stands beside it."""
        font = self._pdf.font_family, self._pdf.font_size_pt
        return sum(self._advance(one, *font) for one in text)

    def _advance(self, character: str, family: str, size_pt: float) -> float:
        """Looked up once: the library takes a text apart for directions and fallbacks each time that it measures."""
        key = character, family, size_pt
        if key not in self._advances:
            self._advances[key] = float(self._pdf.get_string_width(character))
        return self._advances[key]

    def _fitting(self, text: str, width: float) -> int:
        """How many characters of ``text`` fit; one at least."""
        fits = (count for count in range(len(text), 1, -1) if self._wide(text[:count]) <= width)
        return next(fits, 1)


def both(words: Words) -> str:
    """English and Chinese behind each other; once where they are the same."""
    return words.en if words.en == words.zh else f"{words.en}  {words.zh}"
