"""Pydantic's errors in our words, at their places, for any strict model."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from sfteval.records import Strict
from sfteval.yamlfile import parse_yaml, validate
from sfteval.yamlfile.model_fields import known_fields


class Round(Strict):
    shape: Literal["round"] = "round"
    radius: Annotated[float, Field(gt=0)]


class Square(Strict):
    shape: Literal["square"] = "square"
    side: int


class Tin(Strict):
    size: int = 1


class Box(Strict):
    items: tuple[Annotated[Round | Square, Field(discriminator="shape")], ...] = ()
    lid: Literal["open", "shut"] | Tin = "shut"

    @model_validator(mode="after")
    def _lid_fits(self) -> Box:
        if self.lid == "open" and not self.items:
            msg = "an open box holds something"
            raise ValueError(msg)
        return self


def faults_of(text, **words):
    faults = []
    assert validate(Box, parse_yaml(text, "box.yaml"), (), faults, **words) is None
    return [str(fault) for fault in faults]


def test_a_record_comes_out():
    faults = []
    document = parse_yaml("boxes:\n  - items: [{shape: square, side: 2}]\n", "box.yaml")
    assert validate(Box, document, ("boxes", 0), faults) == Box(items=(Square(side=2),))
    assert faults == []


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            "{shape: roud, radius: 1}",
            "1:17: found 'roud' in items[0].shape; expected 'round' or 'square'. Did you mean 'round'?",
        ),
        ("{radius: 1}", "1:9: found no 'shape' in items[0]; expected the field 'shape'"),
        ("{shape: square, sid: 1, side: 1}", None),
        ("{shape: round, radius: 0}", "1:32: found 0 in items[0].radius; expected a number above 0"),
    ],
)
def test_a_tagged_union_is_spoken_of_by_its_field(item, message):
    unknown = "1:25: found unknown key 'sid' in items[0]; expected one of shape, side. Did you mean 'side'?"
    assert faults_of(f"items: [{item}]\n") == [f"box.yaml:{message or unknown}"]


@pytest.mark.parametrize(
    ("lid", "message"),
    [
        ("opn", "1:6: found 'opn' in lid; expected 'open' or 'shut'. Did you mean 'open'?"),
        ("3", "1:6: found 3 in lid; expected 'open' or 'shut' or a mapping"),
        ("{size: big}", "1:13: found 'big' in lid.size; expected a whole number"),
    ],
)
def test_a_word_or_a_mapping(lid, message):
    assert faults_of(f"lid: {lid}\n") == [f"box.yaml:{message}"]


def test_what_a_model_refuses_is_said_in_the_callers_words():
    assert faults_of("lid: open\n") == [
        "box.yaml:1:1: found a combination that does not fit; expected an open box holds something"
    ]
    assert faults_of("lid: open\n", refused=lambda detail: ("an empty box", detail["type"])) == [
        "box.yaml:1:1: found an empty box; expected value_error"
    ]


def test_fields_known_inside_a_union():
    assert known_fields(Box, ("items", 0, "square")) == ("shape", "side")
    assert known_fields(Box, ("items", 0)) == ("shape", "radius", "shape", "side")
    assert known_fields(Box, ("lid", "Tin")) == ("size",)
    assert known_fields(Tin, ("size",)) == ()
