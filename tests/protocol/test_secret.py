from __future__ import annotations

import pytest

from posdecom_protocol.errors import LocalError
from posdecom_protocol.secret import Secret

KEY = bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1")


def test_a_secret_shows_its_length_and_nothing_else() -> None:
    assert [repr(Secret(KEY)), str(Secret(KEY)), f"{Secret(KEY)}"] == ["Secret(16 bytes)"] * 3


def test_a_secret_is_a_copy_that_outlives_the_callers_buffer() -> None:
    buffer = bytearray(KEY)
    secret = Secret(buffer)
    buffer[:] = bytes(16)
    assert secret.data == KEY


def test_wiping_overwrites_the_buffer_itself_before_it_lets_go() -> None:
    secret = Secret(KEY)
    seen: list[bytes] = []

    class Witness(bytearray):
        def clear(self) -> None:
            seen.append(bytes(self))
            super().clear()

    witness = Witness(KEY)
    object.__setattr__(secret, "_data", witness)
    secret.wipe()
    assert seen == [bytes(16)]
    assert len(witness) == 0


def test_a_wiped_secret_gives_nothing_and_may_be_wiped_again() -> None:
    secret = Secret(KEY)
    with secret as inside:
        assert inside.data == KEY
    assert repr(secret) == "Secret(wiped)"
    secret.wipe()
    with pytest.raises(LocalError, match="wiped"):
        _ = secret.data


def test_secrets_are_equal_by_content_and_only_to_secrets() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret(KEY[::-1])
    assert Secret(KEY) != Secret(KEY[:8])
    assert Secret(KEY) != KEY


def test_a_secret_has_no_hash_no_bytes_and_is_never_empty() -> None:
    with pytest.raises(TypeError):
        hash(Secret(KEY))
    with pytest.raises(TypeError):
        bytes(Secret(KEY))  # type: ignore[call-overload]  # the point of the test
    with pytest.raises(LocalError):
        Secret(b"")
