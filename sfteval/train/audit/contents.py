"""What stands in the texts: languages, patterns of personal data, control tokens of other model families.

Comes in: texts. Goes out: counts. Personal data is counted and placed, never shown. The patterns are PII-*like*: an
address or a number of that form, checked by its check digit where it has one.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PLACES = 3
LANGUAGE_ROWS = 100
_DETECTED = 200

CONTROL = re.compile(
    r"<\|[a-zA-Z0-9_]{2,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<[｜][^<>\n]{1,40}[｜]>|"
    r"###\s?(?:Instruction|Response|Human|Assistant):"
)
"""Texts that steer some chat model: in a content they are a rendered chat, not a conversation."""


def _luhn(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [d if place % 2 == 0 else d * 2 - 9 * (d > 4) for place, d in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    plain = re.sub(r"\s", "", text).upper()
    digits = "".join(str(int(char, 36)) for char in plain[4:] + plain[:4])
    return int(digits) % 97 == 1


def _always(text: str) -> bool:
    return True


PATTERNS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "email": (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b"), _always),
    "phone": (
        re.compile(r"(?<![\w.])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}|\(\d{3}\) ?\d{3}-\d{4})(?!\w)"),
        _always,
    ),
    "ip_address": (
        re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"),
        _always,
    ),
    "card_number": (re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)"), _luhn),
    "iban": (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _iban),
    "us_ssn": (re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"), _always),
    "secret_key": (re.compile(r"\b(?:sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,})\b"), _always),
}
# None of the patterns can match without one of these.
_WORTH_A_LOOK = re.compile(r"\d|@|sk-")


@dataclass(slots=True)
class Tally:
    """How often something was found, in how many rows, and the first places."""

    matches: int = 0
    rows: int = 0
    places: list[str] = field(default_factory=list)

    def add(self, matches: int, where: str) -> None:
        """Count one row."""
        self.matches += matches
        self.rows += 1
        if len(self.places) < PLACES:
            self.places.append(where)


@dataclass(slots=True)
class Contents:
    """Counts over all rows seen."""

    personal: dict[str, Tally] = field(default_factory=dict)
    control: dict[str, Tally] = field(default_factory=dict)
    _sampled: list[tuple[str, str]] = field(default_factory=list)

    def see(self, key: str, where: str, text: str) -> None:
        """Count one row."""
        if _WORTH_A_LOOK.search(text):
            for name, (pattern, valid) in PATTERNS.items():
                matches = sum(valid(match.group()) for match in pattern.finditer(text))
                if matches:
                    self.personal.setdefault(name, Tally()).add(matches, where)
        if "<" in text or "[" in text or "###" in text:
            for token, count in Counter(CONTROL.findall(text)).items():
                self.control.setdefault(token, Tally()).add(count, where)
        self._sampled.append((key, text[:_DETECTED]))
        if len(self._sampled) >= 2 * LANGUAGE_ROWS:
            self._thin()

    def _thin(self) -> None:
        """Keep the rows with the smallest keys: a random sample that depends on content alone."""
        self._sampled = sorted(self._sampled)[:LANGUAGE_ROWS]

    def languages(self) -> tuple[dict[str, int], int]:
        """Return rows per language (ISO 639-1; "unknown"), commonest first, and of how many rows."""
        self._thin()
        counts = Counter(_languages([text for _, text in self._sampled]))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), len(self._sampled)


def _languages(texts: Sequence[str]) -> list[str]:
    import langdetect
    from langdetect.detector_factory import DetectorFactory

    before, DetectorFactory.seed = DetectorFactory.seed, 0
    try:
        return [_language(langdetect.detect, text, langdetect.LangDetectException) for text in texts]
    finally:
        DetectorFactory.seed = before


def _language(detect: Callable[[str], str], text: str, undecided: type[Exception]) -> str:
    try:
        return detect(text)
    except undecided:
        return "unknown"
