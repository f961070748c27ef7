"""Real TLS whose randomness a seed gives: a run of tier B repeats, and what follows it is random again."""

from __future__ import annotations

import ssl

import pytest

from posdecom_world.run import run
from posdecom_world.tls_chance import _installer, seeded

SEED_IN_DAMAGED_CIPHERTEXT = 5
"""Two of 25 runs of this seed came out otherwise while TLS drew its own numbers."""

pytestmark = pytest.mark.skipif(_installer() is None, reason="this OpenSSL lets nobody choose its numbers")


def drawn(seed: int) -> bytes:
    with seeded(seed):
        return ssl.RAND_bytes(32) + ssl.RAND_bytes(32)


def test_openssl_draws_by_seed_inside_and_by_itself_outside() -> None:
    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1)[:32] != drawn(1)[32:]
    assert ssl.RAND_bytes(32) != ssl.RAND_bytes(32)


def test_it_is_random_again_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), seeded(1):
        raise ZeroDivisionError
    assert ssl.RAND_bytes(64) != drawn(1)


def test_a_run_over_real_tls_repeats() -> None:
    traces = {run(SEED_IN_DAMAGED_CIPHERTEXT, records=6, tier="B").trace for _ in range(4)}
    assert len(traces) == 1
