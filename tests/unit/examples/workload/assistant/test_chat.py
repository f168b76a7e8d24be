"""The chat reads messages, remembers what was settled, and does not suggest a film twice."""

import pytest

from examples.workload.assistant.chat import Asked, Engine, Memory, remember
from examples.workload.assistant.ensemble import train
from examples.workload.assistant.ratings import Ratings, made
from examples.workload.assistant.sessions import Message


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    """The made set."""
    return made(seed=7)


@pytest.fixture(scope="module")
def engine(ratings: Ratings) -> Engine:
    """An engine over the made set."""
    return Engine(train(ratings), ratings)


def test_reading_a_message(engine: Engine) -> None:
    """Genre, years, and the wish for more."""
    assert engine.read("Another comedy from before 1980, please") == Asked(
        genre="Comedy", before=1980, after=0, more=True, why=False
    )
    assert engine.read("Some Sci-Fi since 1999") == Asked(genre="Sci-Fi", before=0, after=1999, more=False, why=False)
    assert engine.read("Why that?").why


def turn(engine: Engine, text: str, so_far: list[Message], user: int = 3) -> Message:
    """One turn; both messages are appended to the session."""
    asked, memory = engine.read(text), remember(so_far)
    answer = engine.answer(asked, memory, user, engine.route(user, asked.genre or memory.genre))
    said = Message(role="user", text=text, at=0, user=user, genre=asked.genre, before=asked.before, after=asked.after)
    so_far += [said, answer]
    return answer


def test_a_conversation_remembers(engine: Engine, ratings: Ratings) -> None:
    """Genre and years of earlier messages hold, and no film comes twice."""
    messages: list[Message] = []
    first = turn(engine, "a comedy before 1980", messages)
    second = turn(engine, "more", messages)
    third = turn(engine, "another one", messages)
    films = [*first.films, *second.films, *third.films]
    assert len(films) == len(set(films)) == 9
    assert all("Comedy" in ratings.genres[film] and ratings.years[film] < 1980 for film in films)
    assert turn(engine, "why?", messages).text.startswith(ratings.titles[third.films[0]])


def test_films_run_out(engine: Engine) -> None:
    """Where nothing is left, the answer says so."""
    messages: list[Message] = []
    assert turn(engine, "comedy before 1901", messages).text == "I know no other Comedy of these years."


def test_later_messages_win() -> None:
    """The memory is a fold over the messages."""
    messages = [
        Message(role="user", text="", at=0, user=4, genre="Drama", before=1990),
        Message(role="assistant", text="", at=0, films=(1, 2)),
        Message(role="user", text="", at=0, genre="Comedy"),
        Message(role="assistant", text="", at=0, films=(3,)),
    ]
    assert remember(messages) == Memory(user=4, genre="Comedy", before=1990, films=(1, 2, 3), last=(3,))


def test_an_unknown_user_gets_an_answer_too(engine: Engine) -> None:
    """By persona and popularity."""
    messages: list[Message] = []
    assert len(turn(engine, "a western", messages, user=-1).films) == 3
    assert "than others do" in turn(engine, "why?", messages, user=-1).text
