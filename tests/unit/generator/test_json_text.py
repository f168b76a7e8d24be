"""Our JSON is the library's, byte for byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=VALUES, indent=st.integers(1, 4))
def test_any_value_is_written_as_the_library_writes_it(value: object, indent: int) -> None:
    """Texts with any character, numbers, nesting, empty lists and mappings."""
    assert json_text.text(value, indent) == json.dumps(value, indent=indent, ensure_ascii=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"bytes"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    """Instead of `NaN`, which only some readers take."""
    with pytest.raises(TypeError, match="no JSON"):
        json_text.text({"a": [value]})
