"""The multi-turn engine: reads a message with the session's memory, chooses a persona, and composes an answer.

The engine has no language model. What a vendor's model would do is done by rules, and the health page says so.
"""

import re
from dataclasses import dataclass

import numpy as np

from examples.workload.assistant.ensemble import Ensemble, best
from examples.workload.assistant.ratings import Ratings
from examples.workload.assistant.sessions import Message

SUGGESTED = 3
TITLE_MAX = 60
"""Characters. Titles are cut, so that a message stays below a kilobyte."""

_YEARS = re.compile(r"\b(before|after|since)\s+((?:19|20)\d\d)\b")
_MORE = re.compile(r"\b(more|another|others?|else|next|again)\b")
_WHY = re.compile(r"\b(why|how come|reason)\b")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What earlier messages of the session have settled."""

    user: int = -1
    genre: str = ""
    before: int = 0
    after: int = 0
    films: tuple[int, ...] = ()
    """Everything suggested so far."""
    last: tuple[int, ...] = ()
    """What the last answer suggested."""


def remember(messages: list[Message]) -> Memory:
    """Fold the messages of a session into its memory: later messages win."""
    user, genre, before, after = -1, "", 0, 0
    films: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    for one in messages:
        user = one.user if one.user >= 0 else user
        genre, before, after = one.genre or genre, one.before or before, one.after or after
        films += one.films
        last = one.films or last
    return Memory(user=user, genre=genre, before=before, after=after, films=films, last=last)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a message asks for."""

    genre: str
    before: int
    after: int
    more: bool
    why: bool


class Engine:
    """Answers messages. Films are named by their place in `Ratings`."""

    def __init__(self, model: Ensemble, ratings: Ratings) -> None:
        self._model = model
        self._ratings = ratings
        names = sorted({name for genres in ratings.genres for name in genres})
        self._genres = {name.lower(): name for name in names}
        self._years = ratings.years[model.likes.films]
        self._has = {
            name: np.array([name in ratings.genres[film] for film in model.likes.films], dtype=bool) for name in names
        }
        self._place = {int(film): place for place, film in enumerate(model.likes.films)}

    def read(self, text: str) -> Asked:
        """Read a message."""
        lower = text.lower()
        words = set(re.findall(r"[a-z][a-z-]+", lower))
        genre = next((name for key, name in self._genres.items() if key in words or key in lower.split()), "")
        years = {str(word): int(year) for word, year in _YEARS.findall(lower)}
        return Asked(
            genre=genre,
            before=years.get("before", 0),
            after=years.get("after", years.get("since", 0)),
            more=bool(_MORE.search(lower)),
            why=bool(_WHY.search(lower)),
        )

    def route(self, user: int, genre: str) -> int:
        """The persona that answers: the one named by the genre, else the user's own, else the first."""
        if genre:
            named = [number for number, name in enumerate(self._model.persona_names) if name.startswith(genre)]
            if named:
                return named[0]
        return int(self._model.persona_of[user]) if 0 <= user < len(self._model.persona_of) else 0

    def answer(self, asked: Asked, memory: Memory, user: int, persona: int) -> Message:
        """Compose the answer. The caller sets its time."""
        if asked.why and memory.last:
            return Message(role="assistant", at=0, text=self._why(memory, user, persona))
        wanted = Asked(
            genre=asked.genre or memory.genre,
            before=asked.before or memory.before,
            after=asked.after or memory.after,
            more=asked.more,
            why=False,
        )
        films = self._films(wanted, user, persona, memory.films if asked.more else ())
        if not films:
            return Message(role="assistant", at=0, text=f"I know no other {wanted.genre or 'film'} of these years.")
        titles = ", ".join(f"{self._title(film)} ({self._ratings.years[film]})" for film in films)
        kind = f"{wanted.genre} films" if wanted.genre else "films"
        begin = "More" if wanted.more else f"From a {self._model.persona_names[persona]}:"
        return Message(role="assistant", at=0, text=f"{begin} {kind}: {titles}", films=films)

    def _films(self, wanted: Asked, user: int, persona: int, without: tuple[int, ...]) -> tuple[int, ...]:
        known = 0 <= user < len(self._model.persona_of)
        scores = (self._model.scores(user).total if known else self._model.of_persona(persona)).copy()
        allowed = np.ones(len(scores), dtype=bool)
        if wanted.genre:
            allowed &= self._has[wanted.genre]
        if wanted.before:
            allowed &= self._years < wanted.before
        if wanted.after:
            allowed &= self._years >= wanted.after
        if known:
            allowed &= ~self._model.likes.seen[user]
        allowed[[self._place[film] for film in without if film in self._place]] = False
        scores[~allowed] = -np.inf
        return tuple(int(self._model.likes.films[place]) for place in best(scores, SUGGESTED) if allowed[place])

    def _why(self, memory: Memory, user: int, persona: int) -> str:
        film = memory.last[0]
        title, place = self._title(film), self._place[film]
        if 0 <= user < len(self._model.persona_of):
            scores = self._model.scores(user)
            parts = {
                "people who like what you like": scores.collaborative[place],
                "the genres and years that you like": scores.content[place],
                f"your persona ({self._model.persona_names[persona]})": scores.persona[place],
            }
            return f"{title}: most of all because of {max(parts, key=lambda name: parts[name])}."
        return f"{title}: {self._model.persona_names[persona]}s like the film more than others do."

    def _title(self, film: int) -> str:
        return self._ratings.titles[film][:TITLE_MAX]
