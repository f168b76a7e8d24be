"""What a command sees of the environment."""

import json

import pytest

from receiver.run.run_environment import child_environment, labels_json

OWN = {"PATH": "/usr/bin", "HOME": "/root", "LANG": "C.UTF-8", "TZ": "UTC", "AWS_SECRET_ACCESS_KEY": "s3cret"}


def test_only_the_allow_list_is_inherited() -> None:
    """Of the receiver's own environment, four variables and nothing else reach a command."""
    expected = {"PATH": "/usr/bin", "HOME": "/root", "LANG": "C.UTF-8", "TZ": "UTC"}
    assert child_environment({}, {}, own=OWN) == expected


def test_a_path_is_always_there() -> None:
    """A receiver started without PATH still gives its commands one."""
    expected = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    assert child_environment({}, {}, own={}) == expected


def test_facts_are_prefixed_and_win_over_the_action() -> None:
    """A policy's own environment may set anything but a fact."""
    seen = child_environment(
        {"alert": "FailureRateHigh"},
        {"MODE": "fast", "PATH": "/opt/bin", "FREEZELINE_FACT_ALERT": "Other"},
        own={},
    )
    assert seen == {"PATH": "/opt/bin", "MODE": "fast", "FREEZELINE_FACT_ALERT": "FailureRateHigh"}


@pytest.mark.parametrize(
    "value,seen",
    [
        ("a\0b", "ab"),
        ("line\nnext\r\n", "linenext"),
        ("\x1b[31mred", "[31mred"),
        ("\x7f\x85\u2028\u2029", ""),
        ("\ud800lone", "lone"),
        ("$(rm -rf /); `id` \"'&|", "$(rm -rf /); `id` \"'&|"),
        ("ü漢🙂", "ü漢🙂"),
    ],
    ids=["NUL", "line ends", "escape", "other controls", "surrogate", "shell text stays text", "Unicode stays"],
)
def test_values_are_inert(value: str, seen: str) -> None:
    """Control characters are removed from a fact; everything else is data and stays as it is."""
    assert child_environment({"LABEL": value}, {}, own={})["FREEZELINE_FACT_LABEL"] == seen


def test_values_are_cut_at_four_kibibytes_between_characters() -> None:
    """A long value is cut to 4096 bytes or fewer, and never within a character."""
    seen = child_environment({"LABEL": "a" + "ü" * 4000}, {}, own={})["FREEZELINE_FACT_LABEL"]
    assert seen == "a" + "ü" * 2047


@pytest.mark.parametrize("name", ["", "A B", "A=B", "A\0", "1A", "Ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """A variable's name is never taken from outside unchecked."""
    with pytest.raises(ValueError, match="not a name"):
        child_environment({}, {name: "x"}, own={})


def test_labels_that_do_not_fit_are_left_out_whole() -> None:
    """Labels as JSON stay valid JSON, however long a label is."""
    text = labels_json({"b": "x" * 5000, "a": "1", "c": '"\n'})
    assert json.loads(text) == {"a": "1", "c": '"\n'}
