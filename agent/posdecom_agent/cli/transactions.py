"""``posdecom transactions``: the merchant's list of what was settled, masked, with totals that are the seal's."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..wording import N_, _
from .columns import padded
from .output import Output, output_options, pass_output
from .vocabulary import plain_word, word
from .work import journal_option

if TYPE_CHECKING:
    from ..statement import Line, Sums

COLUMNS: Final = (
    "acquirer", "mid", "tid", "currency", "batch", "class", "group", "stan", "rrn", "local_time", "card",
    "amount_minor_units", "counted", "status",
)  # fmt: skip


@click.command(
    "transactions",
    help=N_(
        """List the transactions of a job: masked card numbers, amounts in minor units, what became of each."""
    ),
)
@journal_option
@click.option("--csv", "as_csv", is_flag=True, help=N_("Print the list as CSV (RFC 4180), without totals."))
@output_options
@pass_output
def command(output: Output, journal_file: Path, as_csv: bool) -> None:
    from .. import catalogue, statement
    from ..courier import require_custody
    from ..trouble import Trouble
    from .work import open_job

    with open_job(journal_file) as job:
        if job.purged_at is not None:
            raise Trouble(catalogue.NOTHING_TO_DO, cause=N_("the transactions of this job were purged"))
        require_custody(job)
        lines, sums = list(statement.lines(job)), list(statement.sums(job))
    rows = [_row(line) for line in lines]
    document = {"transactions": rows, "totals": [_totals_document(one) for one in sums]}
    output.result(
        "transactions",
        document,
        csv_text(rows) if as_csv else "\n".join([*_table(lines), *_totals_text(sums)]),
    )


def _row(line: Line) -> dict[str, object]:
    context = line.context
    values = (
        context.acquirer, context.mid, context.tid, f"{context.currency:03d}", context.batch,
        plain_word(line.transaction_class), "" if line.group is None else plain_word(line.group),
        f"{line.stan:06d}", line.rrn, line.local_time, line.card, line.amount, line.counted, line.status,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def csv_text(rows: Sequence[dict[str, object]]) -> str:
    """RFC 4180. A spreadsheet would run what begins like a formula: no name, number or word of ours does."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows({name: _no_formula(value) for name, value in row.items()} for row in rows)
    return text.getvalue().rstrip("\r\n")


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _table(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        yield (
            f"{line.context.tid} {line.stan:06d} {line.local_time} {line.card} "
            f"{padded(word(line.transaction_class), 16)}{line.amount:>14} {line.context.currency:03d}  {_(line.status)}"
        )


def _totals_text(sums: Sequence[Sums]) -> Iterator[str]:
    for one in sums:
        context = one.context
        yield _("{tid} batch {batch:06d}, currency {currency:03d}", tid=context.tid, batch=context.batch,
                currency=context.currency)  # fmt: skip
        for group in one.totals:
            debit, credit = group.debit, group.credit
            debit_word, credit_word = _("debit"), _("credit")
            yield (
                f"  {padded(word(group.group), 10)}{debit_word} {debit.count:>4} {debit.amount:>14}"
                f"   {credit_word} {credit.count:>4} {credit.amount:>14}"
            )
        if one.withheld.count:
            withheld = _("withheld after the cut-off")
            yield f"  {withheld} {one.withheld.count:>4} {one.withheld.amount:>14}"
        yield "  " + (_("as the seal says") if one.agree_with_the_seal else _("NOT WHAT THE SEAL SAYS"))


def _totals_document(one: Sums) -> dict[str, object]:
    return {
        "tid": one.context.tid,
        "currency": f"{one.context.currency:03d}",
        "batch": one.context.batch,
        "groups": {
            plain_word(group.group): {
                "debit_count": group.debit.count,
                "debit_amount": group.debit.amount,
                "credit_count": group.credit.count,
                "credit_amount": group.credit.amount,
            }
            for group in one.totals
        },
        "withheld_count": one.withheld.count,
        "withheld_amount": one.withheld.amount,
        "agree_with_the_seal": one.agree_with_the_seal,
    }
