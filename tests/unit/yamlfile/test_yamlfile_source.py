"""YAML 1.2 to JSON's values, with the position of each."""

import pytest

from sfteval.errors import InputError
from sfteval.yamlfile import Mark, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("0o17", 15),
        ("-0x1F", -31),
        ("017", 17),
        ("1e-3", 0.001),
        ("2024-01-02", "2024-01-02"),
        ("12:30:45", "12:30:45"),
        ("'3'", "3"),
        ("", None),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}\n", "f").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_positions_of_keys_and_values() -> None:
    document = parse_yaml("a:\n  - b: 1\n    c: [x, y]\n", "f")
    assert document.values["a", 0, "c", 1] == Mark(3, 12)
    assert document.keys["a", 0, "c"] == Mark(3, 5)
    assert document.mark(("a", 0, "missing")) == Mark(2, 5)


def test_an_alias_is_a_copy_that_counts() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\n", "f").data == {"a": [1, 2], "b": [1, 2]}
    bomb = "a: &a [x]\n" + "".join(
        f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(InputError, match="aliases \\(or values\\) that expand too far; expected at most 100000 values"):
        parse_yaml(bomb, "f")


def test_all_faults_of_one_pass() -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml("a: 1\na: 2\nb: .inf\n3: c\nd: !x y\n? [e]\n: f\n", "f")
    assert [(fault.line, fault.found) for fault in caught.value.faults] == [
        (2, "the key 'a' twice (first in line 1)"),
        (3, ".inf, which is no finite number"),
        (4, "the key 3, which is not text"),
        (5, "the tag !x"),
        (6, "a key that is not text"),
    ]
