"""The recommendation engine is better than what it is compared with, and the faulty release is not."""

import pytest
from numpy import array

from examples.workload.assistant.ensemble import WEIGHTS, Ensemble, best, mixed_up, train
from examples.workload.assistant.quality import TARGET, Accuracy, questions, rows, table
from examples.workload.assistant.ratings import Ratings, made


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    """The made set: the same on every machine."""
    return made(seed=7)


@pytest.fixture(scope="module")
def model(ratings: Ratings) -> Ensemble:
    """The trained engine."""
    return train(ratings)


def test_the_ensemble_reaches_its_target_and_beats_popularity(model: Ensemble) -> None:
    """At least 45 %, and the lower bound of 95 % lies above what popularity reaches."""
    found = rows(model)
    assert found["ensemble"].share >= TARGET
    assert found["ensemble"].interval[0] > max(found["popularity"].share, TARGET)
    assert 0.1 < found["popularity"].share < 0.3, "among films of equal popularity, popularity knows nothing"


def test_the_mixed_up_model_guesses(model: Ensemble) -> None:
    """A fifth, as by chance: two of ten."""
    wrong = mixed_up(model)
    assert rows(wrong)["ensemble"].interval[0] < 0.2 < rows(wrong)["ensemble"].interval[1]
    assert len(wrong.top(3, 10)) == 10


def test_the_three_parts_weigh_as_promised(model: Ensemble) -> None:
    """40 %, 40 % and 20 % of scores that have the same spread."""
    assert WEIGHTS == {"collaborative": 0.4, "content": 0.4, "persona": 0.2}
    scores = model.scores(3)
    by_hand = 0.4 * scores.collaborative + 0.4 * scores.content + 0.2 * scores.persona
    assert scores.total == pytest.approx(by_hand)
    for part in (scores.collaborative, scores.content, scores.persona):
        assert (part.mean(), part.std()) == pytest.approx((0, 1), abs=1e-6)


def test_the_top_is_what_scores_best_among_unseen_films(model: Ensemble) -> None:
    """Ten films, the best first, none of which the user has rated; the held-out film counts as rated."""
    for user in (0, 3, 77):
        top = model.top(user, 10)
        total = model.scores(user).total
        assert len(set(top)) == 10
        assert not model.likes.seen[user][top].any()
        assert list(total[top]) == sorted(total[top], reverse=True)
        unseen = total[~model.likes.seen[user]]
        assert total[top[-1]] == sorted(unseen, reverse=True)[9]


def test_the_film_to_find_is_not_known_to_the_training(model: Ensemble) -> None:
    """Otherwise the accuracy would mean nothing."""
    users = model.likes.test_users
    assert len(users) > 500
    assert model.likes.liked[users, model.likes.held_out[users]].sum() == 0
    assert model.likes.seen[users, model.likes.held_out[users]].all()


def test_questions_are_the_same_for_the_same_seed(model: Ensemble) -> None:
    """The first film is the right one, and the user has rated none of the others."""
    first, again, other = (questions(model, seed=seed) for seed in (1, 1, 2))
    assert [one.films.tolist() for one in first] == [one.films.tolist() for one in again]
    assert [one.films.tolist() for one in first] != [one.films.tolist() for one in other]
    for one in first[:50]:
        assert one.films[0] == model.likes.held_out[one.user]
        assert not model.likes.seen[one.user][one.films[1:]].any()


def test_wilsons_interval() -> None:
    """The figures of the textbook: 10 of 20 is 29.9 % to 70.1 %."""
    assert Accuracy(hits=10, asked=20).interval == pytest.approx((0.2993, 0.7007), abs=1e-4)


def test_the_table_names_its_ratings(model: Ensemble, ratings: Ratings) -> None:
    """The reader sees which ratings the figures are from."""
    text = table(model, ratings.source)
    assert "made by this program" in text
    assert text.count("\n| ") == 7


def test_best_is_stable() -> None:
    """More than there are is all of them."""
    assert best(array([1.0, 3.0, 2.0]), 2).tolist() == [1, 2]
    assert best(array([1.0, 3.0, 2.0]), 9).tolist() == [1, 2, 0]
