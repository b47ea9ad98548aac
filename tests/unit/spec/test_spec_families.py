"""Family gates gather the single gates of one skill."""

from pathlib import Path

from sfteval.checks import CHECK_TABLE
from sfteval.records import Families
from sfteval.spec import load_families, load_suite

SUITE = """\
suite: {name}
skill: {skill}
lm_eval: {{tasks: [{tasks}]}}
gates:
  - {{check: acc, no_regression: {{against: base}}}}
  - {{check: acc, no_regression: {{against: previous}}}}
  - {{check: acc, at_least: 0.1}}
"""


def test_members_and_gate(tmp_path: Path) -> None:
    suites = []
    for name, skill, tasks in [("a", "forgetting", "t1, t2"), ("b", "forgetting", "t3"), ("c", "style", "t4")]:
        path = tmp_path / f"{name}.suite.yaml"
        path.write_text(SUITE.format(name=name, skill=skill, tasks=tasks))
        suites.append(load_suite(path, root=tmp_path, checks=CHECK_TABLE))
    path = tmp_path / "families.yaml"
    path.write_text("# c\nfamily:\n  - name: forgetting\n    no_regression: {against: base, margin: 0.01}\n")
    loaded = load_families(path, root=tmp_path, suites=suites)
    (gate,) = loaded.gates
    assert (gate.id, gate.path, gate.line) == ("forgetting-no_regression-against-base", "families.yaml", 3)
    assert (gate.suite, gate.task, gate.check, gate.threshold) == ("", "", "forgetting", 0.01)
    assert (gate.proof, gate.against, gate.alpha) == ("required", "base", 0.05)
    assert [(member.suite, member.task, member.against) for member in gate.members] == [
        ("a", "t1", "base"),
        ("a", "t2", "base"),
        ("b", "t3", "base"),
    ]
    assert isinstance(loaded.suite, Families)


def test_one_family_as_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "a.suite.yaml"
    path.write_text(SUITE.format(name="a", skill="forgetting", tasks="t1"))
    suite = load_suite(path, root=tmp_path, checks=CHECK_TABLE)
    families = tmp_path / "families.yaml"
    families.write_text("family: {name: forgetting, proof: none, no_regression: {against: previous}}\n")
    (gate,) = load_families(families, root=tmp_path, suites=[suite]).gates
    assert (gate.id, gate.proof, gate.threshold) == ("forgetting-no_regression-against-previous", "none", 0.0)
