"""Numbers with their units, as people read them."""

from decimal import Decimal

import pytest

from receiver.figures import figure


@pytest.mark.parametrize(
    "value,unit,text",
    [
        ("0.0475", "seconds", "47.5 ms"),
        ("0.047512345", "seconds", "47.51 ms"),
        ("0", "seconds", "0 s"),
        ("1", "seconds", "1 s"),
        ("1.25", "seconds", "1.25 s"),
        ("300", "seconds", "5 min"),
        ("47.5", "milliseconds", "47.5 ms"),
        ("2500", "milliseconds", "2.5 s"),
        ("0.023", "ratio", "2.3 %"),
        ("0.005004", "ratio", "0.5004 %"),
        ("0", "ratio", "0 %"),
        ("1", "ratio", "100 %"),
        ("1.5", "", "1.5"),
        ("12345678", "", "1.23457e+07"),
        ("NaN", "ratio", "nan %"),
    ],
)
def test_a_figure_has_its_unit(value: str, unit: str, text: str) -> None:
    """From the policy's decimals, and from the texts in an engine's database."""
    assert figure(Decimal(value), unit) == figure(value, unit) == text
