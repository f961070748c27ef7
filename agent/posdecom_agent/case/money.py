"""Amounts as people write them. The documents count minor units; how many make one is ISO 4217."""

from __future__ import annotations

from typing import Final

_EXPONENT_2: Final = {
    36: "AUD", 124: "CAD", 156: "CNY", 344: "HKD", 356: "INR", 360: "IDR", 446: "MOP", 458: "MYR", 554: "NZD",
    608: "PHP", 643: "RUB", 702: "SGD", 756: "CHF", 764: "THB", 784: "AED", 826: "GBP", 840: "USD", 901: "TWD",
    978: "EUR", 986: "BRL",
}  # fmt: skip
CURRENCIES: Final[dict[int, tuple[str, int]]] = {
    **{number: (name, 2) for number, name in _EXPONENT_2.items()},
    392: ("JPY", 0),
    410: ("KRW", 0),
    704: ("VND", 0),
    48: ("BHD", 3),
    414: ("KWD", 3),
}
"""Numeric code: name and number of decimals (ISO 4217). Currencies in which terminals here trade."""


def amount_text(minor: int, currency: int) -> str:
    """
    >>> amount_text(4481732, 156), amount_text(5, 156), amount_text(1200, 392), amount_text(7, 999)
    ('44,817.32 CNY', '0.05 CNY', '1,200 JPY', '7 minor units of currency 999')
    """
    if currency not in CURRENCIES:
        return f"{minor} minor units of currency {currency:03d}"
    name, decimals = CURRENCIES[currency]
    whole, part = divmod(minor, 10**decimals)
    return f"{whole:,}.{part:0{decimals}d} {name}" if decimals else f"{whole:,} {name}"


def currency_name(currency: int) -> str:
    """
    >>> currency_name(156), currency_name(999)
    ('CNY', '999')
    """
    return CURRENCIES[currency][0] if currency in CURRENCIES else f"{currency:03d}"
