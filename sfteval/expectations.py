"""`sfteval.expect(reply)`: every check as an assertion, with what was found when it fails. Rank 4.

```python
sfteval.expect(reply).json_schema("invoice.schema.json").ends_turn().max_words(120)
```

Comes in: a reply (or text). Goes out: itself, so that checks chain; an `AssertionError` names the check, its evidence
and the answer. The methods are the kinds of `sfteval checks`, users' own ones included: the kind's main field comes
first, its other fields by name.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sfteval.checks import CHECK_TABLE, Answer, bind
from sfteval.errors import Fault, InputError
from sfteval.pipeline.live import Reply
from sfteval.yamlfile import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = 400
NAME = "check"


class Expectation:
    """What is expected of one reply."""

    def __init__(self, answer: Answer, folder: Path) -> None:
        """Take the answer, and the folder that schema files are read from."""
        self._answer = answer
        self._folder = folder

    def __getattr__(self, kind: str) -> Callable[..., Expectation]:
        """Return the assertion of a kind of check. Raises AttributeError for unknown kinds, with the near miss."""
        __tracebackhide__ = True
        if kind.startswith("_") or kind not in CHECK_TABLE.kinds:
            near = did_you_mean(kind, CHECK_TABLE.names())
            msg = f"there is no check {kind!r}; `sfteval checks` lists them all. {near}".strip()
            raise AttributeError(msg)

        def assert_check(value: Any = True, **fields: Any) -> Expectation:
            __tracebackhide__ = True
            check = {kind: value, **fields}
            outcome = self._judge(check)
            if outcome.score is None:
                raise AssertionError(_message(check, "could not judge", outcome.evidence, self._answer))
            if outcome.score < 1.0:
                raise AssertionError(_message(check, f"score {outcome.score:g}", outcome.evidence, self._answer))
            return self

        return assert_check

    def _judge(self, check: Mapping[str, Any]) -> Any:
        try:
            judge = bind({NAME: json.loads(json.dumps(check))}, self._folder)
        except (TypeError, ValueError, ValidationError) as error:
            raise InputError(Fault(_shown(check), str(error), "values that YAML can hold")) from None
        return judge(self._answer)[NAME]


def expect(reply: Reply | str, *, reference: Any = None, vars: Mapping[str, Any] | None = None) -> Expectation:
    """Return what assertions on a reply are made with.

    Args:
        reply: A model's reply, or text.
        reference: What reference checks compare with.
        vars: What checks that read a row's `vars` find there.
    """
    caller = inspect.stack()[1].filename
    folder = Path(caller).parent if Path(caller).exists() else Path.cwd()
    if isinstance(reply, str):
        return Expectation(Answer(reply, reference=reference, vars=vars or {}), folder)
    answer = Answer(reply.text, reply.finish_reason, reply.messages, reference, vars or {}, reply.output_tokens)
    return Expectation(answer, folder)


def _message(check: Mapping[str, Any], verdict: str, evidence: str, answer: Answer) -> str:
    lines = [f"{_shown(check)}: {verdict}: {evidence}"]
    if answer.messages:
        lines.append(f"  asked:    {_clip(answer.messages[-1].content)}")
    return "\n".join([*lines, f"  answered: {_clip(answer.text)}"])


def _shown(check: Mapping[str, Any]) -> str:
    (kind, value), *others = check.items()
    first = [] if value is True else [repr(value)]
    return f"{kind}({', '.join([*first, *(f'{name}={field!r}' for name, field in others)])})"


def _clip(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
