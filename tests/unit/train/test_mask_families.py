"""The mask engine on exact ids for the chat templates of real families.

The expected text of each family is written by hand, what is learned between ⟦ and ⟧. Ids: one per byte, and the
family's special tokens. Pad, end of text and end of turn are one token wherever the family allows it.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from sfteval.train.masks import IGNORED, MaskError, encode
from sfteval.train.rows import Turn
from sfteval.train.template import chat_template

OWN = Path(__file__).parents[3] / "fixtures" / "chat_templates"
CHAT = (Turn("user", "Hi é?"), Turn("assistant", "A☃ 漢"), Turn("user", "Ok?"), Turn("assistant", "Yo 👩‍🚀"))
SYSTEM = Turn("system", "Be brief")
QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
SMOL = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def chatml(system, first="", last=""):
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return (
        f"{head}<|im_start|>user\nHi é?<|im_end|>\n<|im_start|>assistant\n⟦{first}A☃ 漢<|im_end|>⟧\n"
        f"<|im_start|>user\nOk?<|im_end|>\n<|im_start|>assistant\n⟦{last}Yo 👩‍🚀<|im_end|>⟧\n"
    )


def llama3(role, text, learned=False):
    said = f"⟦{text}<|eot_id|>⟧" if learned else f"{text}<|eot_id|>"
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{said}"


LLAMA3 = llama3("user", "Hi é?") + llama3("assistant", "A☃ 漢", True) + llama3("user", "Ok?")
LLAMA3 += llama3("assistant", "Yo 👩‍🚀", True)
PHI = "<|user|>\nHi é?<|end|>\n<|assistant|>\n⟦A☃ 漢<|end|>⟧\n<|user|>\nOk?<|end|>\n<|assistant|>\n⟦Yo 👩‍🚀<|end|>⟧\n"
COHERE = "<|START_OF_TURN_TOKEN|><|{}_TOKEN|>"
FAMILIES = {
    # name: (eos, bos, other special tokens, system turn, expected)
    "smollm2": ("<|im_end|>", "<s>", [], False, chatml(SMOL)),
    "smollm2 with system": ("<|im_end|>", "<s>", [], True, chatml("Be brief")),
    "qwen2_5": ("<|im_end|>", "<s>", [], False, chatml(QWEN)),
    "qwen3": ("<|im_end|>", "<s>", [], False, chatml("", last="<think>\n\n</think>\n\n")),
    "llama2": (
        "</s>",
        "<s>",
        [],
        True,
        "<s>[INST] <<SYS>>\nBe brief\n<</SYS>>\n\nHi é? [/INST]⟦ A☃ 漢 </s>⟧<s>[INST] Ok? [/INST]⟦ Yo 👩‍🚀 </s>⟧",
    ),
    "llama3": ("<|eot_id|>", "<|begin_of_text|>", [], False, "<|begin_of_text|>" + LLAMA3),
    "mistral": ("</s>", "<s>", [], False, "<s>[INST] Hi é? [/INST]⟦ A☃ 漢</s>⟧[INST] Ok? [/INST]⟦ Yo 👩‍🚀</s>⟧"),
    "gemma": (
        "<eos>",
        "<bos>",
        [],
        False,
        "<bos><start_of_turn>user\nHi é?<end_of_turn>\n<start_of_turn>model\n⟦A☃ 漢<end_of_turn>⟧\n"
        "<start_of_turn>user\nOk?<end_of_turn>\n<start_of_turn>model\n⟦Yo 👩‍🚀<end_of_turn>⟧\n",
    ),
    "phi3": ("<|endoftext|>", "<s>", ["<|user|>", "<|assistant|>"], False, PHI + "<|endoftext|>"),
    "deepseek_chat": (
        "<｜end▁of▁sentence｜>",
        "<｜begin▁of▁sentence｜>",
        ["<｜User｜>", "<｜Assistant｜>"],
        True,
        "<｜begin▁of▁sentence｜>Be brief<｜User｜>Hi é?<｜Assistant｜>⟦A☃ 漢<｜end▁of▁sentence｜>⟧"
        "<｜User｜>Ok?<｜Assistant｜>⟦Yo 👩‍🚀<｜end▁of▁sentence｜>⟧",
    ),
    "zephyr": (
        "</s>",
        "<s>",
        [],
        True,
        "<|system|>\nBe brief</s>\n<|user|>\nHi é?</s>\n<|assistant|>\n⟦A☃ 漢</s>⟧\n"
        "<|user|>\nOk?</s>\n<|assistant|>\n⟦Yo 👩‍🚀</s>⟧\n",
    ),
    "vicuna": (
        "</s>",
        "<s>",
        [],
        True,
        "Be brief USER: Hi é? ASSISTANT:⟦ A☃ 漢</s>⟧USER: Ok? ASSISTANT:⟦ Yo 👩‍🚀</s>⟧",
    ),
    "drops_system": ("<|im_end|>", "<s>", [], False, chatml("")),
}


@pytest.fixture
def family(make_tokenizer):
    def make(name, eos, bos="<s>", special=()):
        path = OWN / f"{name}.jinja"
        path = path if path.is_file() else files("trl").joinpath("chat_templates", f"{name}.jinja")
        tokenizer = make_tokenizer(path.read_text(encoding="utf-8"), eos_token=eos, pad_token=eos, bos_token=bos)
        tokenizer.add_tokens(list(special), special_tokens=True)
        return chat_template(tokenizer, name)

    return make


def expected_of(text, template, ids_of):
    ids, labels, learning = [], [], False
    tokens = sorted(template.tokenizer.get_added_vocab(), key=len, reverse=True)
    for piece in re.split("(" + "|".join(map(re.escape, ["⟦", "⟧", *tokens])) + ")", text):
        if piece in ("⟦", "⟧"):
            learning = piece == "⟦"
            continue
        more = [template.tokenizer.convert_tokens_to_ids(piece)] if piece in tokens else ids_of(piece)
        ids += more
        labels += more if learning else [IGNORED] * len(more)
    return tuple(ids), tuple(labels)


@pytest.mark.parametrize("name", FAMILIES)
def test_exact_ids_and_labels(family, ids_of, name):
    eos, bos, special, system, text = FAMILIES[name]
    template = family(name.split()[0], eos, bos, special)
    encoded = encode((SYSTEM, *CHAT) if system else CHAT, template)
    ids, labels = expected_of(text, template, ids_of)
    assert template.decode(encoded.ids) == text.replace("⟦", "").replace("⟧", "")
    assert encoded.ids == ids
    assert encoded.labels == labels


@pytest.mark.parametrize("name", ["gemma", "mistral", "drops_system"])
def test_a_system_turn_that_a_family_cannot_say_is_refused(family, name):
    eos, bos, special, _, _ = FAMILIES[name]
    with pytest.raises(MaskError, match=r"^the chat template (refuses it|drops the system turn)"):
        encode((SYSTEM, *CHAT), family(name, eos, bos, special))


def test_a_deepseek_prompt_that_opens_a_thought_which_training_lacks_is_refused(family):
    eos, bos, special, _, _ = FAMILIES["deepseek_chat"]
    with pytest.raises(MaskError, match=r"^message 1: the chat template is not prefix-stable: .* '<think>\\n' where"):
        encode(CHAT, family("deepseekv3", eos, bos, special))


THOUGHT = Turn("assistant", "A☃", '{"reasoning_content": "Hm."}')


def test_qwen3_learns_the_thought_of_the_last_answer(family, ids_of):
    template = family("qwen3", "<|im_end|>")
    text = "<|im_start|>user\nHi é?<|im_end|>\n<|im_start|>assistant\n⟦<think>\nHm.\n</think>\n\nA☃<|im_end|>⟧\n"
    encoded = encode((CHAT[0], THOUGHT), template)
    assert (encoded.ids, encoded.labels) == expected_of(text, template, ids_of)


def test_qwen3_drops_earlier_thoughts_and_the_row_is_refused_unless_only_the_last_answer_is_learned(family):
    template = family("qwen3", "<|im_end|>")
    turns = (CHAT[0], THOUGHT, CHAT[2], THOUGHT)
    with pytest.raises(MaskError, match=r"^the chat template drops the reasoning of the answer 'A☃'$"):
        encode(turns, template)
    last = encode(turns, template, "last_assistant")
    learned = template.decode([label for label in last.labels if label != IGNORED])
    assert learned == "<think>\nHm.\n</think>\n\nA☃<|im_end|>"


WEATHER = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}}}]
CALL = Turn(
    "assistant",
    "",
    '{"tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln"}}}]}',
)
CALLED = (Turn("user", "Rain?"), CALL, Turn("tool", "yes"), Turn("assistant", "Yes."))
JSON = '<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>'


@pytest.mark.parametrize(
    ("name", "eos", "learned"),
    [
        ("qwen2_5", "<|im_end|>", [f"{JSON}<|im_end|>", "Yes.<|im_end|>"]),
        (
            "llama3_1",
            "<|eot_id|>",
            ['{"name": "weather", "parameters": {"city": "Köln"}}<|eot_id|>', "Yes.<|eot_id|>"],
        ),
    ],
)
def test_tool_calls_are_learned_and_results_are_not(family, name, eos, learned):
    template = family(name, eos)
    encoded = encode(CALLED, template, tools=WEATHER)
    assert [template.decode(encoded.ids[start:end]) for start, end in encoded.spans] == learned
    spans = [list(encoded.labels[start:end]) for start, end in encoded.spans]
    assert spans == [list(encoded.ids[start:end]) for start, end in encoded.spans]
    assert sum(label != IGNORED for label in encoded.labels) == sum(map(len, spans))


def test_a_family_without_tools_refuses_them(family):
    with pytest.raises(MaskError, match=r"^the chat template drops the"):
        encode(CALLED, family("zephyr", "</s>"), tools=WEATHER)
