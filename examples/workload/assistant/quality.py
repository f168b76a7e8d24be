"""Top-2 accuracy: how often the film that a test user liked next is among the two best of ten.

The nine others are films of equal popularity that the user has not rated. Among films drawn evenly, popularity alone
finds the right one often, so that figure says little; `table` prints both.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from examples.workload.assistant.ensemble import Ensemble, Floats, Ints

OTHERS = 9
TARGET = 0.45
Z_95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Question:
    """One test user, and ten films of which the first is the one that the user liked."""

    user: int
    films: Ints


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Hits among questions, with Wilson's interval of 95 %."""

    hits: int
    asked: int

    @property
    def share(self) -> float:
        """The accuracy."""
        return self.hits / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """The bounds of 95 %."""
        n, p, z2 = self.asked, self.share, Z_95**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = Z_95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return middle - half, middle + half


def questions(model: Ensemble, *, seed: int, equally_popular: bool = True) -> list[Question]:
    """One question for each test user; the same seed gives the same questions."""
    draw = np.random.default_rng(seed)
    found = []
    for user in model.likes.test_users:
        unseen = np.flatnonzero(~model.likes.seen[user])
        right = int(model.likes.held_out[user])
        if equally_popular:
            apart = np.abs(model.popularity[unseen] - model.popularity[right])
            others = unseen[np.lexsort((draw.random(len(unseen)), apart))[:OTHERS]]
        else:
            others = draw.choice(unseen, OTHERS, replace=False)
        found.append(Question(user=int(user), films=np.concatenate([[right], others])))
    return found


def hit(question: Question, scores: Floats) -> bool:
    """Whether at most one of the others scores as high as the right film, or higher."""
    ten = scores[question.films]
    return int((ten[1:] >= ten[0]).sum()) <= 1


def accuracy(asked: list[Question], scores_of: Callable[[int], Floats]) -> Accuracy:
    """Ask all questions."""
    return Accuracy(hits=sum(hit(one, scores_of(one.user)) for one in asked), asked=len(asked))


def rows(model: Ensemble, *, seed: int = 1, equally_popular: bool = True) -> dict[str, Accuracy]:
    """The accuracy of the ensemble and of what it is compared with."""
    asked = questions(model, seed=seed, equally_popular=equally_popular)
    noise = np.random.default_rng(seed).random(len(model.popularity)) * 1e-6
    ways: dict[str, Callable[[int], Floats]] = {
        "ensemble": lambda user: model.scores(user).total,
        "collaborative alone": lambda user: model.scores(user).collaborative,
        "content alone": lambda user: model.scores(user).content,
        "persona alone": lambda user: model.scores(user).persona,
        "popularity": lambda _user: model.popularity + noise,
    }
    return {name: accuracy(asked, way) for name, way in ways.items()}


def table(model: Ensemble, source: str) -> str:
    """The figures for people, as Markdown."""
    lines = [
        f"Ratings: {source}. {len(model.likes.test_users)} test users, {len(model.likes.films)} films.",
        "",
        "| who ranks | among films of equal popularity | among films drawn evenly |",
        "| --- | --- | --- |",
    ]
    even = rows(model, equally_popular=False)
    for name, found in rows(model).items():
        low, high = found.interval
        lines.append(f"| {name} | {found.share:.1%} ({low:.1%} to {high:.1%}) | {even[name].share:.1%} |")
    return "\n".join(lines)
