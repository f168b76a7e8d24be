"""JSON files are laid out as Python's own `json` lays them out."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.text import json_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))  # a lone surrogate has no bytes in UTF-8
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner) | st.tuples(inner, inner))


@given(VALUES)
def test_the_layout_is_the_standard_librarys(value: object) -> None:
    """Byte for byte: numbers such as 1e-06 and empty collections included."""
    assert json_text.text(value) == json.dumps(value, indent=2, ensure_ascii=False)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_without_a_json_form_is_refused(value: float) -> None:
    """Grafana and the receiver read no NaN."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text.text([value])


def test_a_type_without_a_json_form_is_refused() -> None:
    """A Decimal is not written as a text."""
    with pytest.raises(TypeError, match="Decimal has no JSON form"):
        json_text.text({"value": Decimal(1)})
