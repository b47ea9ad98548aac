"""Prompts of a task's documents: few-shot examples drawn and contexts built by lm-eval's own code.

Comes in: a built `Task`, its documents and the block's settings. Goes out: lm-eval `Instance`s per document.

Two draws. `per_document` seeds the sampler anew for every document from (task, document id, seed), so that sharding,
limits, order and resume cannot change a prompt. `lm_eval` seeds it once per task and walks the documents in order, as
`simple_evaluate` does on one rank with `fewshot_random_seed=seed`; published numbers are made that way. Samplers
without chance (`first_n`) give the same examples either way.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from sfteval.keys import content_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task

    from sfteval.records import LmEvalBlock

# What `simple_evaluate` seeds python's and numpy's global generators with (lm_eval/defaults.py).
_PYTHON_SEED, _NUMPY_SEED = 0, 1234
ID_FIELDS = ("id", "question_id", "sample_id", "doc_id", "uid", "qid", "_id", "key")


def seed_globals(block: LmEvalBlock, task: str) -> None:
    """Seed the global generators that some tasks' `process_docs` shuffle with. The caller restores them."""
    import numpy as np

    if block.fewshot_draw == "lm_eval":
        random.seed(_PYTHON_SEED)
        np.random.seed(_NUMPY_SEED)
    else:
        seed = _seed("documents", task, block.seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)


def document_ids(documents: Sequence[Any]) -> list[str]:
    """Return one id per document: the first of `ID_FIELDS` that is unique text or numbers, else the index.

    All documents of the split are looked at, whatever the limit, so that a limit cannot change an id.
    """
    for name in ID_FIELDS:
        values = _column(documents, name)
        texts = [str(v) for v in values if isinstance(v, (str, int)) and not isinstance(v, bool) and str(v).strip()]
        if len(texts) == len(documents) == len(set(texts)):
            return texts
    return [str(index) for index in range(len(documents))]


def _column(documents: Sequence[Any], name: str) -> list[Any]:
    columns = getattr(documents, "column_names", None)
    if columns is not None:  # a datasets.Dataset: one column is read far faster than all rows
        return list(documents[name]) if name in columns else []  # type: ignore[call-overload]
    return [doc.get(name) if isinstance(doc, dict) else None for doc in documents]


def set_shots(task: Task, block: LmEvalBlock) -> str | None:
    """Set the number of few-shot examples by lm-eval's rule; return a warning if the task's own 0 stands."""
    own = task.get_config("num_fewshot")
    if block.num_fewshot is None:
        if own is None:
            task.set_config("num_fewshot", 0)
    elif own == 0:
        if block.num_fewshot:
            return f"{task.task_name} sets num_fewshot: 0; the suite's {block.num_fewshot} has no effect, as in lm-eval"
    else:
        task.set_config("num_fewshot", block.num_fewshot)
    return None


def draw(
    task: Task, documents: Sequence[Any], ids: Sequence[str], block: LmEvalBlock
) -> Iterator[tuple[Any, list[Instance]]]:
    """Yield each document up to the limit with its instances, in order."""
    task.set_fewshot_seed(block.seed)
    authored = ids != [str(index) for index in range(len(ids))]
    for index in range(len(documents) if block.limit is None else min(block.limit, len(documents))):
        doc = documents[index]
        if block.fewshot_draw == "per_document":
            # Without the author's ids the content stands in: an index would change with the file's order.
            identity = ids[index] if authored else _content(doc)
            task.set_fewshot_seed(_seed(task.task_name, identity, block.seed))
        yield doc, _instances(task, doc, index, block)


def _content(doc: Any) -> str:
    try:
        return content_key(doc)
    except TypeError:  # dates and other values that JSON has no form for
        return repr(doc)


def _seed(*parts: Any) -> int:
    return int(content_key("fewshot", *parts)[:16], 16)


def _instances(task: Task, doc: Any, index: int, block: LmEvalBlock) -> list[Instance]:
    chat = {"apply_chat_template": True, "chat_template": _Conversation} if block.apply_chat_template else {}
    context = task.fewshot_context(
        doc,
        num_fewshot=task.config.num_fewshot or 0,
        system_instruction=block.system_instruction,
        apply_chat_template=block.apply_chat_template,
        fewshot_as_multiturn=block.apply_chat_template,
        chat_template=chat.get("chat_template"),
        gen_prefix=task.doc_to_prefix(doc),
    )
    metadata = (task.config.task, index, task.config.repeats)
    made = task.construct_requests(
        doc=doc,
        ctx=context,
        metadata=metadata,
        apply_chat_template=block.apply_chat_template,
        chat_template=chat.get("chat_template"),
    )
    return made if isinstance(made, list) else [made]


class _Conversation(tuple[Any, ...]):
    """What stands in for lm-eval's chat template: keeps the messages as they are; the model's template comes later."""

    complete: bool

    def __new__(cls, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> _Conversation:
        """Keep messages; `complete` is False when the answer must start with a given prefix."""
        made = super().__new__(cls, messages)
        made.complete = add_generation_prompt
        return made
