"""What an adversary tried, by kind of message and state, and what came of it: no cell may stay empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """The letters stand in the table."""

    REFUSED = "R"
    """Refused by name."""
    SAME = "S"
    """Answered with what was there already; nothing changed."""
    CLOSED = "C"
    """The session was ended, or never began."""
    DEAF = "D"
    """Not answered at all."""
    GRANTED = "G"
    """Done. Of the genuine next message alone, which shows that the others are not refused for some other reason."""
    TOLD = "T"
    """Shown to a person as the terminal's own word, and kept nowhere."""
    UNPROVED = "U"
    """Kept, and not taken for proved: nobody hands it on before what proves it has come."""


class Breach(AssertionError):
    """The adversary got somewhere."""


@dataclass(slots=True)
class Matrix:
    """Rows are kinds of messages, columns are states of whom they are sent to."""

    title: str
    cells: dict[tuple[str, str], Counter[Outcome]] = field(default_factory=dict)

    def add(self, kind: str, state: str, outcome: Outcome) -> None:
        self.cells.setdefault((kind, state), Counter())[outcome] += 1

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(kind for kind, _ in self.cells))

    @property
    def states(self) -> list[str]:
        return list(dict.fromkeys(state for _, state in self.cells))

    def attempts(self) -> Counter[Outcome]:
        return sum(self.cells.values(), Counter())

    def empty(self) -> list[tuple[str, str]]:
        """Cells in which nothing was tried."""
        return [
            (kind, state) for kind in self.kinds for state in self.states if (kind, state) not in self.cells
        ]

    def lines(self) -> Iterator[str]:
        """What was tried and what came of it, and a table of it in Markdown."""
        total = self.attempts()
        yield f"{self.title}: {total.total()} attempts, {_counts(total)}"
        yield ""
        yield from self.table(_counts)

    def letters(self) -> Iterator[str]:
        """The table without numbers, which change with every field that a document gets."""
        yield from self.table(_letters)

    def table(self, told: Callable[[Counter[Outcome]], str]) -> Iterator[str]:
        yield _row(["", *self.states])
        yield _row(["---"] * (1 + len(self.states)))
        for kind in self.kinds:
            found = (self.cells.get((kind, state), Counter()) for state in self.states)
            yield _row([kind, *map(told, found)])


def _letters(counts: Counter[Outcome]) -> str:
    return " ".join(outcome for outcome in Outcome if counts[outcome])


def _counts(counts: Counter[Outcome]) -> str:
    return " ".join(f"{counts[outcome]}{outcome}" for outcome in Outcome if counts[outcome])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
