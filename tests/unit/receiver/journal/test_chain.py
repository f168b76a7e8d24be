"""The chain over decisions: what a walk over it finds, whoever has rewritten what."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from receiver.decide.model import Decision, Recorded, stamp
from receiver.journal.chain import CHECKPOINT, GENESIS, row_hash, verify
from tests.unit.receiver.builders import at


def sealed(row: Recorded) -> Recorded:
    """The row with the hash that its own content has: what a forger does who knows how hashes are made."""
    return replace(row, hash=row_hash(row.prev_hash, row.seq, stamp(row.at), row.decision))


def chain(*decisions: Decision, first: int = 1, before: str = GENESIS) -> list[Recorded]:
    """Rows that follow each other, one a second."""
    rows: list[Recorded] = []
    for seq, decision in enumerate(decisions, first):
        prev_hash = rows[-1].hash if rows else before
        rows.append(sealed(Recorded(seq=seq, at=at(seq), decision=decision, prev_hash=prev_hash, hash="")))
    return rows


def said(*sentences: str) -> list[Decision]:
    """Decisions with these sentences."""
    return [Decision(kind="test", sentence=sentence) for sentence in sentences]


def found(rows: Sequence[Recorded]) -> tuple[int, int | None, str]:
    """Rows that fit, the first that does not, and why."""
    verdict = verify(rows)
    return verdict.rows, verdict.broken_at, verdict.why


def test_an_untouched_chain_is_whole() -> None:
    """Its head is the hash of the last row; without rows it is the beginning's."""
    rows = chain(*said("one", "two", "three"))
    assert (found(rows), verify(rows).head) == ((3, None, ""), rows[-1].hash)
    assert (found([]), verify([]).head) == ((0, None, ""), GENESIS)


def test_a_row_that_was_replaced_with_its_hash_is_found_by_the_next() -> None:
    """A forger who hashes the new content too has to rewrite every row after it."""
    rows = chain(*said("one", "two", "three"))
    rows[1] = sealed(replace(rows[1], decision=Decision(kind="test", sentence="nothing happened")))
    assert found(rows) == (2, 3, "it does not follow the row before it")


@pytest.mark.parametrize(
    "column", ["kind", "sentence", "delivery", "episode", "action", "trace_id"], ids=lambda column: column
)
def test_every_column_is_in_the_hash(column: str) -> None:
    """A row whose content alone was changed no longer fits its hash."""
    rows = chain(*said("one", "two"))
    rows[1] = replace(rows[1], decision=replace(rows[1].decision, **{column: "other"}))
    assert found(rows) == (1, 2, "its content was changed")
    rows[1] = replace(chain(*said("one", "two"))[1], at=at(60))
    assert found(rows) == (1, 2, "its content was changed")


def test_a_row_in_the_middle_cannot_go() -> None:
    """Its number is missing."""
    first, _, third = chain(*said("one", "two", "three"))
    assert found([first, third]) == (1, 3, "row 2 is missing")


def test_what_was_pruned_is_vouched_for_by_a_checkpoint() -> None:
    """The checkpoint names the hash of the last row that went; another hash, or no checkpoint, is a hole."""
    gone = chain(*said("one", "two"))[-1].hash
    voucher = Decision(kind=CHECKPOINT, sentence=f"Dropped decisions up to 2, whose hash was {gone}")
    assert found(chain(*said("three"), voucher, first=3, before=gone)) == (2, None, "")
    hole = (2, 3, "rows before it went without a trace")
    wrong = replace(voucher, sentence="Dropped decisions up to 2, whose hash was " + "f" * 64)
    assert found(chain(*said("three"), wrong, first=3, before=gone)) == hole
    assert found(chain(*said("three"), replace(voucher, kind="test"), first=3, before=gone)) == hole


def test_a_chain_that_claims_to_begin_anew_is_found() -> None:
    """The first row follows nothing."""
    rows = chain(*said("one", "two"), before="f" * 64)
    assert found(rows) == (0, 1, "it does not follow the row before it")
