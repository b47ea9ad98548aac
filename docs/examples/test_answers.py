"""Ordinary tests: pytest test_answers.py --candidate MODEL --base MODEL."""

import sfteval


def test_the_answer_is_json_and_ends(candidate):
    reply = candidate.chat(
        [{"role": "user", "content": 'Name one EU currency as JSON: {"currency": ...}'}], max_tokens=48
    )
    sfteval.expect(reply).json().ends_turn()


def test_a_definition_is_short(candidate):
    reply = candidate.chat([{"role": "user", "content": "Define 'duration' of a bond in one sentence."}], max_tokens=96)
    sfteval.expect(reply).not_empty().max_words(60)


def test_knows_no_less_than_base(candidate, base):
    question, answer = "The central bank of the euro area is the European Central", " Bank"
    assert candidate.score(question, answer).value > base.score(question, answer).value - 1.0
