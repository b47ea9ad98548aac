"""Suite files to records: strict YAML in, `SuiteFile` or every fault with its line out. Rank 2."""

from sfteval.spec.checktable import CheckFault, CheckTable
from sfteval.spec.families import load_families
from sfteval.spec.schema import suite_schema
from sfteval.spec.suites import load_suite, load_suites, require_distinct
from sfteval.yamlfile import FieldPath

__all__ = [
    "CheckFault",
    "CheckTable",
    "FieldPath",
    "load_families",
    "load_suite",
    "load_suites",
    "require_distinct",
    "suite_schema",
]
