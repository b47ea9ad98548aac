"""Published BFCL answers through the tool-call check: each accepted, five mutations of each refused.

python benchmarks/bfcl_calls.py [--json]

Each row's answer is written with every argument that has a published value, with only those that may not be left out,
and once more for each other value that an argument may have; as OpenAI's JSON and as <tool_call> tags. The mutations
are made from the first. "accepted" counts rows of which every such answer passes; the rows that fail contradict their
own functions' parameters, and pass when only names and values are judged ("by values").
"""

from __future__ import annotations

import argparse
import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sfteval.checks import Answer, bind
from sfteval.checks.bfcl import bfcl_check, bfcl_tools

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bfcl"
FILES = ("simple_python", "multiple", "parallel", "parallel_multiple", "live_simple")
IRRELEVANT = "irrelevance"
MUTATIONS = ("wrong name", "missing argument", "wrong type", "extra call", "prose around it")
OTHER_TYPE = {str: 12345, int: "five", float: "five", bool: "perhaps", list: "one, two", dict: "an object"}

Calls = list[dict[str, Any]]


def read(name: str) -> list[dict[str, Any]]:
    with (DATA / f"BFCL_v4_{name}.json").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def published_value(values: list[Any]) -> Any:
    """Return the first accepted value; "" only where nothing else is accepted."""
    if not values:
        return []
    value = next((each for each in values if each != ""), "")
    if isinstance(value, dict):
        return {name: published_value(inner) for name, inner in value.items() if inner != [""]}
    if isinstance(value, list):
        return [published_value([each]) if isinstance(each, dict) else each for each in value]
    return value


def published_calls(truth: list[dict[str, Any]], *, optional: bool) -> Calls:
    """Return the calls of an answer row, with or without the arguments that may be left out."""
    return [
        {
            "name": name,
            "arguments": {
                argument: published_value(values)
                for argument, values in accepted.items()
                if (optional and values != [""]) or "" not in values
            },
        }
        for call in truth
        for name, accepted in call.items()
    ]


def published_answers(truth: list[dict[str, Any]]) -> Iterator[Calls]:
    """Yield the answers that a row's ground truth accepts, as the module says."""
    calls = published_calls(truth, optional=True)
    yield calls
    yield published_calls(truth, optional=False)
    for place, call in enumerate(truth):
        for name, values in next(iter(call.values())).items():
            for other in [each for each in values if each != ""][1:]:
                value = published_value([other])
                yield changed(
                    calls, place, lambda call, name=name, value=value: call["arguments"].update({name: value})
                )


def as_json(calls: Calls) -> str:
    written = [{"type": "function", "function": {**c, "arguments": json.dumps(c["arguments"])}} for c in calls]
    return json.dumps({"role": "assistant", "content": None, "tool_calls": written})


def as_tags(calls: Calls) -> str:
    return "\n".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in calls)


FORMS: tuple[Callable[[Calls], str], ...] = (as_json, as_tags)


def mutants(calls: Calls, truth: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (mutation, answer) in both forms; nothing where a row has no such argument."""
    wrong = {
        "wrong name": changed(calls, 0, lambda call: call.update(name=call["name"] + "_now")),
        "extra call": [*calls, calls[0]],
    }
    needed = (
        (place, name)
        for place, call in enumerate(truth)
        for name, values in next(iter(call.values())).items()
        if "" not in values
    )
    place, name = next(needed, (0, None))
    if name is not None:
        wrong["missing argument"] = changed(calls, place, lambda call: call["arguments"].pop(name))
        other = OTHER_TYPE[type(calls[place]["arguments"][name])]
        wrong["wrong type"] = changed(calls, place, lambda call: call["arguments"].update({name: other}))
    for form in FORMS:
        for mutation, made in wrong.items():
            yield mutation, form(made)
        yield "prose around it", f"I will look that up for you.\n{form(calls)}"
        yield "prose around it", f"{form(calls)}\nThese are the results."


def changed(calls: Calls, place: int, change: Callable[[dict[str, Any]], Any]) -> Calls:
    made = copy.deepcopy(calls)
    change(made[place])
    return made


def judge_file(name: str) -> dict[str, Any]:
    """Return rows, answers, the rows with refused answers and the reason, and mutants refused of all made."""
    truths = {row["id"]: row["ground_truth"] for row in read(f"{name}.answers")}
    rows = read(name)
    refused: dict[str, str] = {}
    by_values = answers = 0
    made, stopped = Counter(), Counter()
    for row in rows:
        truth = truths[row["id"]]
        check = bfcl_check(row["function"], truth)
        judge = bind({"calls": check}, DATA)
        published = [form(calls) for calls in published_answers(truth) for form in FORMS]
        answers += len(published)
        outcomes = [judge(Answer(each))["calls"] for each in published]
        wrong = [outcome.evidence for outcome in outcomes if outcome.score != 1.0]
        if wrong:
            refused[row["id"]] = wrong[0]
            del check["tools"]
            alone = bind({"calls": check}, DATA)
            by_values += all(alone(Answer(each))["calls"].score == 1.0 for each in published)
        calls = published_calls(truth, optional=True)
        for mutation, answer in mutants(calls, truth):
            made[mutation] += 1
            stopped[mutation] += judge(Answer(answer))["calls"].score == 0.0
    accepted = {"accepted": len(rows) - len(refused), "by values": len(rows) - len(refused) + by_values}
    counts = {"rows": len(rows), "answers": answers, **accepted}
    return {"file": name, **counts, "refused": refused, "made": made, "stopped": stopped}


def judge_irrelevant() -> dict[str, int]:
    """Return, of the rows where no function helps: answers in words accepted, calls of the row's tool refused."""
    judge = bind({"none": {"no_tool_calls": True}}, DATA)
    rows = read(IRRELEVANT)
    calls = [[{"name": bfcl_tools(row["function"])[0]["name"], "arguments": {}}] for row in rows]
    words = "None of the functions can do that."
    return {
        "rows": len(rows),
        "words accepted": sum(judge(Answer(words))["none"].score == 1.0 for _ in rows),
        "calls refused": sum(all(judge(Answer(f(each)))["none"].score == 0.0 for f in FORMS) for each in calls),
    }


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files, none = [judge_file(name) for name in FILES], judge_irrelevant()
    if options.json:
        print(json.dumps({"files": files, IRRELEVANT: none}))
        return
    columns = ("rows", "answers", "accepted", "by values")
    print(f"{'file':<18}" + "".join(f"{name:>10}" for name in columns) + "".join(f"{m:>17}" for m in MUTATIONS))
    for found in files:
        shares = [f"{found['stopped'][m]}/{found['made'][m]}" for m in MUTATIONS]
        counts = "".join(f"{found[name]:>10}" for name in columns)
        print(f"{found['file']:<18}{counts}" + "".join(f"{share:>17}" for share in shares))
    print(f"{IRRELEVANT:<18}" + ", ".join(f"{name} {count}" for name, count in none.items()))
    print("\nrows with an answer that contradicts the row's own functions, and what is said of it:")
    for found in files:
        for row, evidence in found["refused"].items():
            print(f"  {row}: {evidence}")


if __name__ == "__main__":
    main()
