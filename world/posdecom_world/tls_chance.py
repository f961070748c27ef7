"""OpenSSL's randomness by seed, while one run of tier B lasts.

Without it a run would not repeat: in a damaged frame the search for the next one may meet its first byte inside
ciphertext, and how long that takes moves every timer after it. Uses RAND_set_rand_method (RAND_set_rand_method(3),
deprecated since OpenSSL 3.0, there as long as legacy randomness is): nothing in the product knows of it. Where the
interpreter's OpenSSL does not give it, runs are as random as TLS is.
"""

from __future__ import annotations

import _ssl
import ctypes
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

_FILL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_SEED = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_CLEAN_UP = ctypes.CFUNCTYPE(None)
_ADD = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_double)
_STATUS = ctypes.CFUNCTYPE(ctypes.c_int)


class _Method(ctypes.Structure):
    """RAND_METHOD of openssl/rand.h."""

    _fields_ = [
        ("seed", _SEED),
        ("bytes", _FILL),
        ("cleanup", _CLEAN_UP),
        ("add", _ADD),
        ("pseudorand", _FILL),
        ("status", _STATUS),
    ]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """OpenSSL draws what ``seed`` says, in this process, until the end of the block."""
    install = _installer()
    if install is None:
        yield
        return
    numbers = count()

    def fill(place: int, size_bytes: int) -> int:
        drawn = hashlib.shake_256(f"TLS {seed} {next(numbers)}".encode()).digest(size_bytes)
        ctypes.memmove(place, drawn, size_bytes)
        return 1

    method = _Method(
        _SEED(lambda place, size: 1),
        _FILL(fill),
        _CLEAN_UP(lambda: None),
        _ADD(lambda place, size, entropy: 1),
        _FILL(fill),
        _STATUS(lambda: 1),
    )
    install(ctypes.byref(method))
    try:
        yield
    finally:
        install(None)  # at its end the process would call what is no longer there


def _installer() -> Any:
    """RAND_set_rand_method of the OpenSSL that `ssl` uses; None where it is not to be had."""
    try:
        return ctypes.CDLL(_ssl.__file__).RAND_set_rand_method
    except (AttributeError, OSError):
        return None
