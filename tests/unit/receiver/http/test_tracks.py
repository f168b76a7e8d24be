"""Both releases of a rollout side by side: shares of the requests and figures, or nothing where nobody can tell."""

from decimal import Decimal
from typing import Any

from receiver.http.tracks import side_by_side
from receiver.sources.asking import SourceError
from receiver.sources.prometheus import Prometheus, Sample
from tests.unit.receiver.http.page.test_page_rollouts import rollout

GATES = [
    {"id": "errors", "kind": "ratio", "bad": 'bad{v="$canary"}', "total": 'all{v="$canary"}'},
    {"id": "good", "kind": "ratio", "bad": 'bad{v="$canary"}', "total": 'all{v="$canary"}', "op": ">="},
    {"id": "p95", "kind": "quantile", "observed": 'p95{v="$canary"}', "buckets": 'b{v="$canary"}'},
    {"id": "up", "kind": "query", "query": 'up{v="$canary"}', "op": ">="},
    {"id": "queue", "kind": "query", "query": "queue"},
    {"id": "synthetic", "kind": "push"},
]


class Answers(Prometheus):
    """Answers from a table of values; other questions have no answer."""

    def __init__(self, table: dict[str, list[str]]) -> None:
        self.table = table

    async def samples(self, query: str, *, at_s: float | None = None) -> tuple[Sample, ...]:
        """The samples of a query, as often as the table says."""
        assert at_s is None
        if query not in self.table:
            raise SourceError("Prometheus does not answer")
        return tuple(Sample(labels={}, value=Decimal(value), at_s=0.0) for value in self.table[query])


async def tracks(prometheus: Prometheus | None, **canary: Any) -> dict[str, dict[str, Any]]:
    """The answer for a rollout of v2 beside v1."""
    return await side_by_side({"canary": {"gates": GATES, **canary}}, rollout("bake", stable="v1"), prometheus)


async def test_each_release_has_its_share_and_its_figures() -> None:
    """The worst sample counts; a gate that names no release, and pushed evidence, belong to neither side."""
    found = await tracks(
        Answers(
            {
                'bad{v="v2"}': ["3"],
                'all{v="v2"}': ["100"],
                'bad{v="v1"}': ["9"],
                'all{v="v1"}': ["900"],
                'p95{v="v2"}': ["0.4", "0.7"],
                'p95{v="v1"}': ["NaN"],
                'up{v="v2"}': ["1", "0"],
                'up{v="v1"}': [],
            }
        )
    )
    assert found == {
        "canary": {
            "name": "v2",
            "requests_percentage": 10,
            "gates": {"errors": 0.03, "good": 0.97, "p95": 0.7, "up": 0},
        },
        "stable": {
            "name": "v1",
            "requests_percentage": 90,
            "gates": {"errors": 0.01, "good": 0.99, "p95": None, "up": None},
        },
    }


async def test_tracks_have_the_labels_of_the_spec() -> None:
    """`tracks:` of the spec says what `$canary` and `$stable` stand for."""
    table = {'all{v="treatment"}': ["1"], 'all{v="control"}': ["3"]}
    found = await tracks(Answers(table), tracks={"canary": "treatment", "stable": "control"})
    assert [(one["name"], one["requests_percentage"]) for one in found.values()] == [("treatment", 25), ("control", 75)]


async def test_what_nobody_can_tell_is_none() -> None:
    """Without a Prometheus, with one that does not answer, and without a single request."""
    nothing = dict.fromkeys(("errors", "good", "p95", "up"))
    for prometheus in (None, Answers({}), Answers({'all{v="v2"}': ["0"], 'all{v="v1"}': ["0"]})):
        found = await tracks(prometheus)
        assert [one["requests_percentage"] for one in found.values()] == [None, None]
        assert [one["gates"] for one in found.values()] == [nothing, nothing]
