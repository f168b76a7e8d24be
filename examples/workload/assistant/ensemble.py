"""The recommendation engine: collaborative 40 %, content 40 %, persona affinity 20 %.

The collaborative part is EASE (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019). The content part
compares a film's genres and decade with those of the films that the user likes. The persona part says how much more the
user's persona likes a film than everybody does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.workload.assistant.ratings import LIKED_FROM, Ratings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEIGHTS = {"collaborative": 0.4, "content": 0.4, "persona": 0.2}
LIKES_AT_LEAST = 5
"""A film that fewer users like is not recommended, and a user with fewer likes is no test user."""

RIDGE = 200.0
PERSONAS = 8
ROUNDS = 30
DECADE_WEIGHT = 0.7
PRIOR = 5.0
"""A persona's likes are mixed with so many likes of everybody."""


@dataclass(frozen=True, kw_only=True)
class Likes:
    """Likes of known films as a matrix of users and films. The last like of a test user is held out."""

    films: Ints
    """The position in `Ratings` of each film of the matrix."""
    liked: Floats
    seen: NDArray[np.bool_]
    held_out: Ints
    """By user: the film that was held out, or -1."""

    @property
    def test_users(self) -> Ints:
        """The users with a film held out."""
        return np.flatnonzero(self.held_out >= 0)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The parts of a user's scores, each with mean 0 and variance 1 over all films."""

    collaborative: Floats
    content: Floats
    persona: Floats

    @property
    def total(self) -> Floats:
        """The weighted sum."""
        return sum((weight * getattr(self, name) for name, weight in WEIGHTS.items()), np.zeros(()))


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A trained engine. Nothing in it changes after `train`, so any number of requests may use it at once."""

    likes: Likes
    popularity: Floats
    item_weights: Floats
    features: Floats
    average: Floats
    persona_of: Ints
    affinity: Floats
    persona_names: tuple[str, ...]

    def scores(self, user: int) -> Scores:
        """The scores of all films for a known user."""
        mine = np.flatnonzero(self.likes.liked[user])
        profile = self.features[mine].mean(axis=0) if len(mine) else self.average
        return Scores(
            collaborative=_standard(self.item_weights[mine].sum(axis=0)),
            content=_standard(self.features @ (profile - self.average)),
            persona=_standard(self.affinity[self.persona_of[user]]),
        )

    def of_persona(self, persona: int) -> Floats:
        """The scores of all films for a user who is not known: the persona's affinity, then popularity."""
        return _standard(self.affinity[persona]) + _standard(np.log1p(self.popularity))

    def top(self, user: int, count: int) -> Ints:
        """The user's best films that the user has not rated yet, as places in the matrix."""
        total = np.where(self.likes.seen[user], -np.inf, self.scores(user).total)
        if (held_out := self.likes.held_out[user]) >= 0:
            total[held_out] = -np.inf
        return best(total, count)


def best(scores: Floats, count: int) -> Ints:
    """The places of the best scores, the best first."""
    count = min(count, len(scores))
    places = np.argpartition(-scores, count - 1)[:count]
    return places[np.argsort(-scores[places], kind="stable")]


def train(ratings: Ratings) -> Ensemble:
    """Train on all likes but those held out."""
    likes = _likes(ratings)
    features = _features(ratings, likes.films)
    popularity = likes.liked.sum(axis=0)
    average = popularity @ features / popularity.sum()
    profiles = likes.liked @ features / np.maximum(likes.liked.sum(axis=1, keepdims=True), 1)
    persona_of = _clusters(profiles)
    affinity = _affinity(likes, persona_of)
    return Ensemble(
        likes=likes,
        popularity=popularity,
        item_weights=_ease(likes.liked),
        features=features,
        average=average,
        persona_of=persona_of,
        affinity=affinity,
        persona_names=_names(ratings, likes, persona_of),
    )


def mixed_up(good: Ensemble) -> Ensemble:
    """The engine as a faulty release has it: films were numbered anew, and the trained weights were not.

    Every answer is well formed and comes in time, but recommends the wrong films.
    """
    wrong = np.random.default_rng(1).permutation(len(good.likes.films))
    return Ensemble(
        likes=good.likes,
        popularity=good.popularity,
        item_weights=good.item_weights[:, wrong],
        features=good.features[wrong],
        average=good.average,
        persona_of=good.persona_of,
        affinity=good.affinity[:, wrong],
        persona_names=good.persona_names,
    )


def _likes(ratings: Ratings) -> Likes:
    likes = ratings.stars >= LIKED_FROM
    films = np.flatnonzero(np.bincount(ratings.film[likes], minlength=ratings.films) >= LIKES_AT_LEAST)
    place = np.full(ratings.films, -1)
    place[films] = np.arange(len(films))
    known = place[ratings.film] >= 0
    seen = np.zeros((ratings.users, len(films)), dtype=bool)
    seen[ratings.user[known], place[ratings.film[known]]] = True
    liked, last = np.zeros(seen.shape), np.full(ratings.users, -1)
    for one in np.lexsort((ratings.film, ratings.at)):
        if likes[one] and known[one]:
            liked[ratings.user[one], place[ratings.film[one]]] = 1
            last[ratings.user[one]] = place[ratings.film[one]]
    held_out = np.where(liked.sum(axis=1) > LIKES_AT_LEAST, last, -1)
    test = np.flatnonzero(held_out >= 0)
    liked[test, held_out[test]] = 0
    return Likes(films=films, liked=liked, seen=seen, held_out=held_out)


def _ease(liked: Floats) -> Floats:
    inverse = np.linalg.inv(liked.T @ liked + RIDGE * np.eye(liked.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return np.asarray(weights)


def _features(ratings: Ratings, films: Ints) -> Floats:
    """Genres, the rare ones heavier, and decades, as rows of length 1."""
    names = sorted({name for genres in ratings.genres for name in genres})
    has = np.array([[name in ratings.genres[film] for name in names] for film in films], dtype=float)
    rarity = np.log(len(films) / (has.sum(axis=0) + 1))
    decades = np.eye(10)[np.clip((ratings.years[films] - 1920) // 10, 0, 9)]
    return _unit(np.hstack([_unit(has * rarity), DECADE_WEIGHT * decades]))


def _clusters(profiles: Floats) -> Ints:
    """The persona of each user: k-means over profiles, from seeded starts."""
    centres = profiles[np.random.default_rng(0).choice(len(profiles), PERSONAS, replace=False)]
    nearest = np.zeros(len(profiles), dtype=np.int64)
    for _ in range(ROUNDS):
        nearest = ((profiles[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        members = [profiles[nearest == number] for number in range(PERSONAS)]
        centres = np.stack(
            [mine.mean(axis=0) if len(mine) else old for mine, old in zip(members, centres, strict=True)]
        )
    return nearest


def _affinity(likes: Likes, persona_of: Ints) -> Floats:
    """By persona and film: the logarithm of how much more often the persona likes the film than everybody."""
    everybody = likes.liked.mean(axis=0)
    rows = []
    for number in range(PERSONAS):
        mine = likes.liked[persona_of == number]
        rate = (mine.sum(axis=0) + PRIOR * everybody) / (len(mine) + PRIOR)
        rows.append(np.log(rate / (everybody + 1e-3) + 1e-3))
    return np.stack(rows)


def _names(ratings: Ratings, likes: Likes, persona_of: Ints) -> tuple[str, ...]:
    """Each persona is called by the genre that it likes most beyond everybody's share."""
    names = sorted({name for genres in ratings.genres for name in genres})
    has = np.array([[name in ratings.genres[film] for name in names] for film in likes.films], dtype=float)
    share = (likes.liked.sum(axis=0) @ has) / likes.liked.sum()
    found = []
    for number in range(PERSONAS):
        mine = likes.liked[persona_of == number].sum(axis=0)
        lift = (mine @ has + 1) / (max(mine.sum(), 1) * share + 1)
        found.append(f"{names[int(lift.argmax())]} lover {number + 1}")
    return tuple(found)


def _standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9))
