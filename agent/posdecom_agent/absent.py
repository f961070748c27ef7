"""A terminal that is dead, lost or elsewhere: nothing is read and nothing erased, and a certificate says exactly that.
Or one that was tampered with in service: its records were read without its signature, and the certificate says that.
Or one that is gone, or cannot attest any more, after the acquirer signed for its money: the certificate holds that, and
no evidence of an erase.

The order lists the key identifiers that the acquirer has to revoke. The certificate that comes out is *unattested*; the
acquirer's closure over it proves that its side forgot the terminal, which is all that can be proved.
"""

from __future__ import annotations

from . import catalogue
from .job import Job
from .trouble import Trouble
from .wording import N_


def declare_absent(job: Job) -> None:
    """The job goes on without the terminal. `Trouble` where what it sealed is not settled, or where the order revokes
    nothing."""
    if job.seal is not None and not job.receipts:
        cause = N_(
            "the terminal has spoken under this order; what it holds needs an exception of the acquirer"
        )
        raise Trouble(catalogue.NOT_ABSENT, serial=job.order.body.serial, cause=cause)
    if not job.order.body.revoke:
        cause = N_(
            "the order lists no key to revoke; the acquirer makes one with: posdecom order new --revoke"
        )
        raise Trouble(catalogue.NOT_ABSENT, serial=job.order.body.serial, cause=cause)
    job.keep_once("absent")
