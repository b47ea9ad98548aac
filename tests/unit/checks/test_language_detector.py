"""The quick detector of languages gives langdetect's own probabilities, to the last bit."""

import pytest
from langdetect.detector import Detector
from langdetect.lang_detect_exception import LangDetectException

from sfteval.checks.language_detector import QuickDetector
from sfteval.checks.languages import _detectors

TEXTS = [
    "The bank lends money to firms, and the firms pay it back with interest.",
    "ALL CAPS IN A HEADLINE. Then a Normal sentence, McDonald and NASA in it.",
    "Die Bank verleiht Geld an Firmen, und die Firmen zahlen es mit Zinsen zurück.",
    "La banque prête de l'argent aux entreprises; elles le rendent avec intérêts.",
    "Банк даёт деньги фирмам, and they pay it back.",
    "ПРИВЕТ, как дела?",
    "银行把钱借给公司。 hello",
    "銀行は会社にお金を貸します。カタカナ",
    "은행은 회사에 돈을 빌려줍니다",
    "Ngân hàng cho các công ty vay tiền, ê\u0301",
    "البنك یقرض المال للشركات",
    "Bancă și țară, șosea",
    "See https://example.org/a?b=c or write to me@example.org now",
    "a  b    c\n\n\td " * 300,
    "x" * 11_000 + " und so weiter",
    "1234 !?",
    "",
]


def probabilities(detector: Detector, text: str) -> list[tuple[str, float]] | None:
    detector.append(text)
    try:
        return [(each.lang, each.prob) for each in detector.get_probabilities()]
    except LangDetectException:
        return None


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_equal_probabilities(text: str) -> None:
    wanted = probabilities(_detectors().create(), text)
    assert probabilities(QuickDetector(_detectors()), text) == wanted
    assert (wanted is None) == (not any(letter.isalpha() for letter in text))
