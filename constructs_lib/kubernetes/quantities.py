"""Kubernetes quantities, in the one spelling that the API server answers with.

The API server stores `1024Mi` as `1Gi`; a manifest that keeps another spelling is "configured" by every
`kubectl apply`. Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from constructs_lib.errors import OptionError, require
from constructs_lib.options import Amount

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|([eE][+-]?\d{1,2}))?", re.ASCII)
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = ("", "k", "M", "G", "T", "P", "E")
_SMALL = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")}
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """An amount of a resource; `str()` is the spelling the API server keeps."""

    amount: Decimal
    binary: bool

    @classmethod
    def parse(cls, option: str, given: Amount, *, such_as: str = "500m, 2 or 1Gi") -> Quantity:
        """Read a positive quantity.

        Raises:
            OptionError: it is no quantity, not above zero, or above what Kubernetes can hold.
        """
        text = str(given) if isinstance(given, (int, float)) and not isinstance(given, bool) else given
        match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
        if not match:
            raise OptionError(option, text, f"write a Kubernetes quantity such as {such_as}")
        number, binary, decimal, exponent = match.groups()
        amount = Decimal(number) * _factor(binary, decimal, exponent)
        require(0 < amount <= _LARGEST, option, text, f"write an amount above zero and at most {_LARGEST}")
        return cls(amount=amount, binary=bool(binary))

    @classmethod
    def of_bytes(cls, option: str, text: Amount) -> Quantity:
        """Read a positive quantity of whole bytes (memory, storage): the API server warns about parts of a byte."""
        quantity = cls.parse(option, text, such_as="512Mi, 10Gi or 1Ti")
        require(quantity.amount % 1 == 0, option, text, "write a whole number of bytes, such as 512Mi, 10Gi or 1Ti")
        return quantity

    @classmethod
    def of_cpu(cls, option: str, text: Amount) -> Quantity:
        """Read a positive quantity of CPU: Kubernetes knows nothing finer than a thousandth, `1m`."""
        quantity = cls.parse(option, text, such_as="100m, 0.5 or 2")
        remedy = "write whole thousandths of a CPU, such as 100m, 0.5 or 2"
        require(quantity.amount * 1000 % 1 == 0, option, text, remedy)
        return quantity

    def __str__(self) -> str:
        if self.amount % 1:
            return f"{int(self.amount * 1000)}m"
        binary = self.binary and self.amount >= 1024
        return _spell(int(self.amount), 1024, _BINARY) if binary else _spell(int(self.amount), 1000, _DECIMAL)


def _factor(binary: str | None, decimal: str | None, exponent: str | None) -> Decimal:
    if binary:
        return Decimal(1024) ** _BINARY.index(binary)
    if exponent:
        return Decimal(10) ** int(exponent[1:])
    return _SMALL.get(decimal or "") or Decimal(1000) ** _DECIMAL.index(decimal or "")


def _spell(number: int, base: int, suffixes: tuple[str, ...]) -> str:
    power = 0
    while number % base == 0 and power < len(suffixes) - 1:
        number, power = number // base, power + 1
    return f"{number}{suffixes[power]}"
