"""Who rated which film how: MovieLens where it was fetched, else a made set of the same shape."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LIKED_FROM = 4.0
"""A rating of four stars and more means that the user likes the film."""

MADE_GENRES = (
    "Action",
    "Animation",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Horror",
    "Musical",
    "Romance",
    "Sci-Fi",
    "Western",
)
MADE_USERS, MADE_FILMS, MADE_TASTES = 600, 500, 8


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """Ratings as parallel arrays: positions of user and film, stars, and seconds. `source` says where they are from."""

    source: str
    titles: tuple[str, ...]
    years: NDArray[np.int64]
    genres: tuple[tuple[str, ...], ...]
    user: NDArray[np.int64]
    film: NDArray[np.int64]
    stars: NDArray[np.float64]
    at: NDArray[np.int64]

    @property
    def users(self) -> int:
        """How many users there are."""
        return int(self.user.max()) + 1

    @property
    def films(self) -> int:
        """How many films there are."""
        return len(self.titles)


def load(path: Path | None) -> Ratings:
    """MovieLens from the file that `devtools.movielens` wrote; without a file, the made set."""
    return made(seed=7) if path is None else _movielens(path)


def _movielens(path: Path) -> Ratings:
    with np.load(path) as file:
        return Ratings(
            source="MovieLens latest-small",
            titles=tuple(map(str, file["titles"])),
            years=file["years"].astype(np.int64),
            genres=tuple(tuple(str(text).split("|")) for text in file["genres"]),
            user=file["user"].astype(np.int64),
            film=file["film"].astype(np.int64),
            stars=file["stars"].astype(np.float64),
            at=file["at"].astype(np.int64),
        )


def made(*, seed: int) -> Ratings:
    """A made set: users share tastes, a taste prefers genres and some films, and few films are seen by many.

    The same seed gives the same set on every machine.
    """
    draw = np.random.default_rng(seed)
    has = np.zeros((MADE_FILMS, len(MADE_GENRES)))
    for film in range(MADE_FILMS):
        has[film, draw.choice(len(MADE_GENRES), size=int(draw.integers(1, 4)), replace=False)] = 1
    popularity = 1 / (np.arange(MADE_FILMS) + 10.0)
    taste_of_genres = draw.normal(0, 0.9, (MADE_TASTES, len(MADE_GENRES)))
    taste_of_films = draw.normal(0, 0.7, (MADE_TASTES, MADE_FILMS))
    appeal = taste_of_genres @ has.T + taste_of_films
    user: list[int] = []
    rated: list[int] = []
    stars: list[float] = []
    at: list[int] = []
    for number in range(MADE_USERS):
        taste = appeal[number % MADE_TASTES] + draw.normal(0, 0.8, MADE_FILMS)
        wish = popularity * np.exp(taste)
        seen = draw.choice(MADE_FILMS, size=int(draw.integers(20, 70)), replace=False, p=wish / wish.sum())
        user += [number] * len(seen)
        rated += seen.tolist()
        stars += np.clip(np.round(3.5 + 0.5 * taste[seen] + draw.normal(0, 0.5, len(seen)), 1), 0.5, 5).tolist()
        at += (1_700_000_000 + draw.permutation(len(seen))).tolist()
    return Ratings(
        source="made by this program (no MovieLens was fetched)",
        titles=tuple(f"Film {number + 1}" for number in range(MADE_FILMS)),
        years=draw.integers(1950, 2020, MADE_FILMS),
        genres=tuple(tuple(MADE_GENRES[place] for place in np.flatnonzero(row)) for row in has),
        user=np.array(user),
        film=np.array(rated),
        stars=np.array(stars),
        at=np.array(at),
    )
