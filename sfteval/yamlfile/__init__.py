"""Files that people write: YAML with positions and strict models in, records or every fault with its line out. Rank 1.

Comes in: a path (`read_yaml`), then a strict pydantic model for the whole or a part of it (`validate`). Goes out: the
record; or faults that name file, line, column, what was found, what was expected, and the near miss. What is written
there (suites, training configs) is the stages' business: they hand in their models and their own words.
"""

from sfteval.yamlfile.joining import joined
from sfteval.yamlfile.jsonl import read_jsonl
from sfteval.yamlfile.located import FieldPath, Located, Mark, dotted, shown
from sfteval.yamlfile.source import encodable, parse_yaml, read_yaml
from sfteval.yamlfile.suggestions import did_you_mean, one_of
from sfteval.yamlfile.validation import validate

__all__ = [
    "FieldPath",
    "Located",
    "Mark",
    "did_you_mean",
    "dotted",
    "encodable",
    "joined",
    "one_of",
    "parse_yaml",
    "read_jsonl",
    "read_yaml",
    "shown",
    "validate",
]
