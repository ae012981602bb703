from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructs_lib import OptionError
from constructs_lib.kubernetes.quantities import Quantity

# what a Kubernetes 1.37 API server answered for each of these in a container's limits
ANSWERED = {
    "1024Mi": "1Gi",
    "1000m": "1",
    "0.5": "500m",
    "1.5Gi": "1536Mi",
    "0.5Ki": "512",
    "1500": "1500",
    "1000": "1k",
    "1.25k": "1250",
    "128974848": "128974848",
    "2048Ki": "2Mi",
    "1024": "1024",
    "1Ti": "1Ti",
    "1000Gi": "1000Gi",
    "1.5": "1500m",
    "0.5Mi": "512Ki",
    "1000000Ki": "1000000Ki",
    "5000M": "5G",
}
SUFFIXES = ["", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "E6"]


@pytest.mark.parametrize("text", ANSWERED)
def test_is_spelled_as_the_api_server_answers(text: str) -> None:
    """The spelling is the one that a real API server keeps."""
    assert str(Quantity.parse("x", text)) == ANSWERED[text]


@given(number=st.integers(1, 10**6), suffix=st.sampled_from(SUFFIXES))
def test_its_spelling_is_the_same_amount_and_its_own_spelling(number: int, suffix: str) -> None:
    """Nothing is lost by the spelling, and spelling it again changes nothing."""
    quantity = Quantity.parse("x", f"{number}{suffix}")
    again = Quantity.parse("x", str(quantity))
    assert again.amount == quantity.amount
    assert str(again) == str(quantity)


@pytest.mark.parametrize(
    "text", ["", " ", "1 Gi", "Gi", "1gi", "1KiB", "0", "0Gi", "-1", "1e99", "10E", "nan", "inf", "\u0661", "1\n"]
)
def test_what_is_no_positive_quantity_is_refused(text: str) -> None:
    """What Kubernetes would refuse, or hold for nothing, is refused with what to write instead."""
    with pytest.raises(OptionError, match="^x: .*: write an? "):
        Quantity.parse("x", text)


def test_parts_of_a_byte_or_of_a_thousandth_cpu_are_refused() -> None:
    """The API server warns about them, or rounds them silently."""
    with pytest.raises(OptionError, match="whole number of bytes"):
        Quantity.of_bytes("x", "1.1Gi")
    with pytest.raises(OptionError, match="whole thousandths"):
        Quantity.of_cpu("x", "0.1m")
    assert Quantity.of_cpu("x", "100m").amount == Decimal("0.1")
