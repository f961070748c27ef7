"""What a running job tells its technician, from the job itself: no second count of anything."""

from __future__ import annotations

from ..job import Job
from ..line import Clock
from ..procedure import Step
from ..wording import N_, _
from .output import Output

WORDS = {
    Step.FLUSH: N_("reading out"),
    Step.SETTLE: N_("settling with the host"),
    Step.AGREE: N_("asking the desk for the receipt"),
    Step.REPLACE: N_("meeting the replacement terminal"),
    Step.ERASE: N_("erasing keys"),
    Step.CERTIFY: N_("making the certificate"),
    Step.CLOSE: N_("asking the desk for the closure"),
}


class Teller:
    """Turns steps into lines and the job's numbers into progress."""

    def __init__(self, output: Output, job: Job, clock: Clock) -> None:
        self._output = output
        self._job = job
        self._clock = clock
        self._step: Step | None = None
        self._shown = -1
        self._last_words = ""
        if output.events is not None:
            output.events.about(job.order.body.serial)

    def tell(self, step: Step, words: str) -> None:
        if step is not self._step:
            self._sum_up()
            self._step, self._shown = step, -1
            self._output.event("step", step=step.value)
            self._output.say(_("{step} ...", step=WORDS[step]))
        if words not in ("begins", self._last_words):
            self._output.event("note", step=step.value, text=str(words))
            self._output.say("  " + _(words))
        self._last_words = words

    def _sum_up(self) -> None:
        """What the step that ends here came to, for those who saw only some of its progress."""
        match self._step:
            case Step.FLUSH:
                self._output.say("  " + _("{count} messages in custody", count=self._job.items_stored))
            case Step.SETTLE:
                self._output.say("  " + _("{count} messages answered", count=self._job.answers))
            case _:
                pass

    def watch(self) -> None:
        """Called often; speaks only where a number changed."""
        seal = self._job.seal
        if seal is None or self._step not in (Step.FLUSH, Step.SETTLE):
            return
        flush = self._step is Step.FLUSH
        done = self._job.items_stored if flush else self._job.answers
        if done != self._shown:
            self._shown = done
            total = seal.body.item_count if flush else None
            unit = _("messages in custody") if flush else _("messages answered")
            self._output.progress(f"  {unit}", done, total, self._clock.now())
