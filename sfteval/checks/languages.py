"""The language of a text, by `langdetect` as the published IFEval checker uses it, but seeded.

Comes in: text. Goes out: an ISO 639-1 code, or None when the text has no letters to tell from. `langdetect` draws
n-grams at random; here every call starts from seed 0, with profiles in the order of their names, so that a text has
one answer everywhere. Its profiles come with the package: nothing is downloaded.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any, Literal

from sfteval.checks.punkt_sentences import LONGEST, REMEMBERED, TooLongError

Language = Literal[
    "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "gu", "he", "hi",
    "hr", "hu", "id", "it", "ja", "kn", "ko", "lt", "lv", "mk", "ml", "mr", "ne", "nl", "no", "pa", "pl", "pt", "ro",
    "ru", "sk", "sl", "so", "sq", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "zh-cn", "zh-tw",
]  # fmt: skip
LIKELY = 0.1


@functools.cache
def _detectors() -> Any:
    from langdetect.detector_factory import DetectorFactory

    factory = DetectorFactory()
    folder = resources.files("langdetect") / "profiles"
    profiles = sorted(folder.iterdir(), key=lambda file: file.name)
    factory.load_json_profile([file.read_text(encoding="utf-8") for file in profiles if file.name[0] not in "._"])
    factory.set_seed(0)
    return factory


def language_of(text: str) -> str | None:
    """Return the most likely language, "unknown" when none is likely, None when the text has nothing to tell from.

    Raises:
        TooLongError: the text is longer than `LONGEST` characters.
    """
    ranked = _ranked(text)
    return None if ranked is None else next((name for name, _ in ranked), "unknown")


def likely_languages(text: str) -> tuple[str, ...]:
    """Return the languages that have a tenth of the probability or more, likeliest first; () without letters.

    Raises:
        TooLongError: the text is longer than `LONGEST` characters.
    """
    return tuple(name for name, probability in _ranked(text) or () if probability >= LIKELY)


def _ranked(text: str) -> tuple[tuple[str, float], ...] | None:
    if len(text) > LONGEST:
        msg = f"longer than {LONGEST} characters"
        raise TooLongError(msg)
    return _detected(text)


@functools.lru_cache(maxsize=REMEMBERED)
def _detected(text: str) -> tuple[tuple[str, float], ...] | None:
    """Return languages with their probabilities, likeliest first; None when the text has nothing to tell from."""
    from langdetect.lang_detect_exception import LangDetectException

    from sfteval.checks.language_detector import QuickDetector

    detector = QuickDetector(_detectors())
    detector.append(text)
    try:
        return tuple((str(each.lang), float(each.prob)) for each in detector.get_probabilities())
    except LangDetectException:
        return None
