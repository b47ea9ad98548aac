"""A prompt depends on its task, its document and the seed: not on limits, order or what else is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_lm_eval import block, write_rows, yaml_file

from sfteval.errors import TaskError
from sfteval.records import ChatAsk, ChatScoreAsk, Item, Message, Response
from sfteval.tasks import grade, load_tasks


def items(folder: Path, *tasks: str, **fields: object) -> dict[str, Item]:
    (loaded,) = load_tasks("s", block(*tasks, **fields), folder=folder)
    return {item.sample_id: item for item in loaded.items}


def reverse(path: Path) -> None:
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))


@pytest.mark.parametrize("task", ["animals", "everything"])
def test_a_limit_takes_the_first_documents_and_changes_no_prompt(folder: Path, task: str) -> None:
    few, many = items(folder, task, num_fewshot=3, limit=5), items(folder, task, num_fewshot=3, limit=20)
    assert len(many) == 4 * len(few)
    assert {sample: item.asks for sample, item in few.items()} == {sample: many[sample].asks for sample in few}
    assert {sample: item.key for sample, item in few.items()} == {sample: many[sample].key for sample in few}


def test_reversed_documents_have_the_same_prompts_and_keys(folder: Path) -> None:
    before = items(folder, "animals", num_fewshot=3)
    reverse(folder / "tasks/animals.jsonl")
    after = items(folder, "animals", num_fewshot=3)
    assert list(after) == list(reversed(before))
    assert {s: (i.asks, i.key) for s, i in after.items()} == {s: (i.asks, i.key) for s, i in before.items()}


def test_documents_without_ids_keep_their_prompts_when_the_order_changes(folder: Path) -> None:
    before = items(folder, "sums")
    reverse(folder / "tasks/sums.jsonl")
    after = items(folder, "sums")
    assert list(before) == list(after) == [str(index) for index in range(15)]
    assert [item.asks for item in after.values()] == [item.asks for item in reversed(before.values())]


def test_lm_evals_own_draw_does_depend_on_order(folder: Path) -> None:
    before = items(folder, "animals", num_fewshot=3, fewshot_draw="lm_eval")
    reverse(folder / "tasks/animals.jsonl")
    after = items(folder, "animals", num_fewshot=3, fewshot_draw="lm_eval")
    assert sum(before[sample].asks != after[sample].asks for sample in before) >= 15


def test_documents_get_different_examples_and_the_seed_changes_them(folder: Path) -> None:
    first, second = items(folder, "animals", num_fewshot=3), items(folder, "animals", num_fewshot=3, seed=7)
    examples = [item.asks[0].context.rsplit("Question: ", 1)[0] for item in first.values()]
    assert len(set(examples)) == 20
    assert all(first[sample].asks != second[sample].asks for sample in first)


def test_first_n_examples_are_the_same_for_every_document(folder: Path) -> None:
    path = folder / "tasks/animals.yaml"
    path.write_text(path.read_text() + "fewshot_config: {sampler: first_n}\n")
    contexts = [item.asks[0].context for item in items(folder, "animals", num_fewshot=2).values()]
    shots = "Question: Where is t0?\nAnswer: here\n\nQuestion: Where is t1?\nAnswer: t1\n\n"
    assert contexts == [f"{shots}Question: Which animals {index}?\nAnswer:" for index in range(20)]


def test_a_document_is_never_its_own_example(folder: Path) -> None:
    path = folder / "tasks/animals.yaml"
    path.write_text(path.read_text().replace("fewshot_split: train", "fewshot_split: test"))
    for item in items(folder, "animals", num_fewshot=18).values():
        question = item.document.doc["question"]
        assert item.asks[0].context.count(question + "\n") == 1


def test_ids_keys_and_reference_of_a_single_task(folder: Path) -> None:
    loaded = items(folder, "animals", num_fewshot=0)
    item = loaded["animals-4"]
    assert (item.suite, item.task, item.cluster, item.repeat, item.tags) == ("s", "animals", "animals-4", 0, {})
    assert item.reference == "rock"
    assert [ask.continuation for ask in item.asks] == [" animals4", " rock", " it is"]
    assert item.asks[0].context == "Question: Which animals 4?\nAnswer:"


def test_ids_that_repeat_are_not_used(folder: Path) -> None:
    path = folder / "tasks/animals.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write_rows(path, [*rows[:-1], rows[-1] | {"id": "animals-0"}])
    assert list(items(folder, "animals", limit=3)) == ["0", "1", "2"]


def test_a_group_pools_its_leaves_under_prefixed_ids(folder: Path) -> None:
    (loaded,) = load_tasks("s", block("everything", num_fewshot=0, limit=2), folder=folder)
    assert loaded.tasks == ("animals", "plants")
    assert [i.sample_id for i in loaded.items] == [
        "animals/animals-0",
        "animals/animals-1",
        "plants/plants-0",
        "plants/plants-1",
    ]
    assert [i.tags for i in loaded.items[1:3]] == [{"task": "animals"}, {"task": "plants"}]
    assert {i.task for i in loaded.items} == {"everything"}
    assert list(loaded.metrics) == ["acc", "acc_norm"]
    assert "everything: metric acc_bytes is left out: not every task in it has it" in loaded.warnings


def test_a_tag_pools_its_tasks_and_each_listed_name_is_one_task(folder: Path) -> None:
    tag, single = load_tasks("s", block("living", "plants", num_fewshot=0), folder=folder)
    assert (tag.name, tag.tasks, len(tag.items)) == ("living", ("animals", "plants"), 40)
    assert (single.name, single.tasks, len(single.items)) == ("plants", ("plants",), 20)
    assert single.version == "plants=2.0,lm_eval=0.4.13"
    assert not {i.key for i in tag.items} & {i.key for i in single.items}


def test_a_tasks_own_zero_shots_stand_with_a_warning(folder: Path) -> None:
    path = folder / "tasks/plants.yaml"
    path.write_text(path.read_text() + "num_fewshot: 0\n")
    (loaded,) = load_tasks("s", block("plants", num_fewshot=5), folder=folder)
    assert loaded.warnings == ("plants sets num_fewshot: 0; the suite's 5 has no effect, as in lm-eval",)
    assert loaded.items[0].asks[0].context == "Question: Which plants 0?\nAnswer:"


def test_mutual_information_asks_for_the_unconditional_choices_too(folder: Path) -> None:
    path = folder / "tasks/plants.yaml"
    path.write_text(path.read_text().replace("acc_bytes", "acc_mutual_info"))
    (item,) = items(folder, "plants", limit=1).values()
    assert [ask.context == "" for ask in item.asks] == [False] * 3 + [True] * 3


def test_sampled_repeats_are_items_of_one_cluster_and_votes_are_left_out(folder: Path) -> None:
    path = folder / "tasks/sums.yaml"
    text = (
        path.read_text()
        .replace("do_sample: false", "do_sample: true, temperature: 0.5")
        .replace("flexible-extract", "maj")
    )
    vote = "{function: take_first_k, k: 3}, {function: majority_vote}, {function: take_first}]"
    head, _, tail = text.rpartition("{function: take_first}]")
    path.write_text(head + vote + tail + "\nrepeats: 3\n")
    (loaded,) = load_tasks("s", block("sums", limit=2), folder=folder)
    assert [(i.sample_id, i.repeat, i.cluster) for i in loaded.items] == [
        (str(d), r, str(d)) for d in range(2) for r in range(3)
    ]
    assert len({i.key for i in loaded.items}) == 6
    assert list(loaded.metrics) == ["exact_match"]
    assert "sums: filter maj is left out: it votes over all 3 repeats, and here each repeat is a sample of its own" in (
        loaded.warnings
    )


def test_greedy_repeats_are_asked_once(folder: Path) -> None:
    path = folder / "tasks/sums.yaml"
    path.write_text(path.read_text() + "\nrepeats: 3\n")
    (loaded,) = load_tasks("s", block("sums", limit=2), folder=folder)
    assert [i.repeat for i in loaded.items] == [0, 0]
    assert "sums: repeats: 3 of a greedy task are asked once" in loaded.warnings


def test_a_chat_template_makes_turns_of_the_examples(folder: Path) -> None:
    (item,) = items(folder, "sums", num_fewshot=1, limit=1, apply_chat_template=True).values()
    (ask,) = item.asks
    assert isinstance(ask, ChatAsk)
    assert [message.role for message in ask.messages] == ["system", "user", "assistant", "user"]
    assert ask.messages[0] == Message(role="system", content="Add up.\n\n")
    assert ask.messages[-1] == Message(role="user", content="Q: 0+0?\nA:")
    assert ask.generation.max_tokens == 32


def test_a_chat_template_for_scored_answers(folder: Path) -> None:
    chat = block("animals", num_fewshot=1, limit=1, apply_chat_template=True, system_instruction="Be brief.")
    (loaded,) = load_tasks("s", chat, folder=folder)
    (item,) = loaded.items
    assert all(isinstance(ask, ChatScoreAsk) for ask in item.asks)
    assert [message.role for message in item.asks[0].messages] == ["system", "user", "assistant", "user"]
    assert item.asks[0].messages[0].content == "Be brief."
    assert item.asks[0].messages[-1].content == "Question: Which animals 0?\nAnswer:"
    # As lm-eval: no space before an answer that begins an assistant's turn.
    assert [ask.continuation for ask in item.asks] == ["animals0", "rock", "it is"]


def test_a_chat_prompt_with_an_answer_prefix_is_refused(folder: Path) -> None:
    path = folder / "tasks/sums.yaml"
    path.write_text(path.read_text() + "\ngen_prefix: 'Well,'\n")
    with pytest.raises(TaskError, match="answer starts with the task's gen_prefix"):
        load_tasks("s", block("sums", apply_chat_template=True), folder=folder)
    path = folder / "tasks/animals.yaml"
    path.write_text(path.read_text() + "\ngen_prefix: 'Well,'\n")
    with pytest.raises(TaskError, match="answer starts with the task's gen_prefix"):
        load_tasks("s", block("animals", apply_chat_template=True), folder=folder)


def test_random_process_docs_give_the_same_documents_whatever_came_before(folder: Path) -> None:
    import random

    (folder / "tasks/shuffle.py").write_text(
        "import random\ndef docs(ds):\n    return ds.select(random.sample(range(len(ds)), len(ds)))\n"
    )
    path = folder / "tasks/plants.yaml"
    path.write_text(path.read_text() + "process_docs: !function shuffle.docs\n")
    random.seed(5)
    expected = random.Random(5).random()
    alone = list(items(folder, "plants", num_fewshot=0))
    assert random.random() == expected
    _, after = load_tasks("s", block("animals", "plants", num_fewshot=0), folder=folder)
    assert [item.sample_id for item in after.items] == alone != sorted(alone)


def test_a_task_that_is_a_python_class(folder: Path) -> None:
    (folder / "tasks/classy.py").write_text(
        "from lm_eval.api.task import ConfigurableTask\n"
        "class Classy(ConfigurableTask):\n"
        "    def __init__(self, config=None):\n"
        "        super().__init__(config={k: v for k, v in config.items() if k != 'class'})\n"
        "    def process_results(self, doc, results):\n"
        "        return {'acc': results[0].strip() == doc['answer']}\n"
    )
    text = (
        (folder / "tasks/sums.yaml").read_text().replace("task: sums", "task: classy\nclass: !function classy.Classy")
    )
    text = text.replace("{metric: bleu, aggregation: bleu", "{metric: acc, aggregation: mean")
    (folder / "tasks/classy.yaml").write_text(text.split("filter_list:")[0])
    (loaded,) = load_tasks("s", block("classy", limit=1), folder=folder)
    assert grade(loaded.items[0], [Response("", text=" 0")]) == {"acc": 1.0}
    assert grade(loaded.items[0], [Response("", text=" 1")]) == {"acc": 0.0}


def test_inline_tasks_of_a_group_find_their_local_data(folder: Path) -> None:
    yaml_file(
        folder / "tasks",
        "inline",
        """
        group: inline
        task:
          - task: tiny_inline
            dataset_path: json
            dataset_kwargs: {data_files: {test: prose.jsonl}}
            test_split: test
            output_type: loglikelihood_rolling
            doc_to_target: "{{page}}"
            doc_to_text: ""
            metric_list: [{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}]
        """,
    )
    (loaded,) = load_tasks("s", block("inline"), folder=folder)
    assert (loaded.tasks, len(loaded.items)) == (("inline::tiny_inline",), 8)
