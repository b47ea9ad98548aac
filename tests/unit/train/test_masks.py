"""The mask engine on exact ids. The tokenizer has one token per byte, so every id can be written down by hand."""

from __future__ import annotations

from importlib.resources import files

import pytest
from train_templates import CHATML, GEMMA, LLAMA3, MARKED

from sfteval.errors import ModelError
from sfteval.train.masks import IGNORED, MaskError, encode
from sfteval.train.rows import Turn
from sfteval.train.template import chat_template

START, END, HEAD, TAIL, EOT, OPEN, CLOSE, BOS = 1, 2, 3, 4, 5, 6, 7, 8
ONE = (Turn("user", "Hi"), Turn("assistant", "Yo"))
TWO = (*ONE, Turn("user", "Ok?"), Turn("assistant", "Ja"))


def chatml(ids_of, *turns):
    ids = []
    for role, content in turns:
        ids += [START, *ids_of(f"{role}\n{content}"), END, *ids_of("\n")]
    return ids


def test_chatml_ids_and_labels(make_tokenizer, ids_of):
    encoded = encode(ONE, chat_template(make_tokenizer(CHATML), "m"))
    prompt = [*chatml(ids_of, ("system", "Be brief"), ("user", "Hi")), START, *ids_of("assistant\n")]
    answer = [*ids_of("Yo"), END]
    assert encoded.ids == (*prompt, *answer, *ids_of("\n"))
    assert encoded.labels == (*[IGNORED] * len(prompt), *answer, IGNORED)
    assert encoded.spans == ((len(prompt), len(prompt) + 3),)
    assert (encoded.source, encoded.trained) == ("prefixes", 3)


def test_llama3_ids_and_labels(make_tokenizer, ids_of):
    turns = (Turn("system", "S"), *ONE)
    encoded = encode(turns, chat_template(make_tokenizer(LLAMA3), "m"))
    prompt = [BOS]
    for role, content in (("system", "S"), ("user", "Hi")):
        prompt += [HEAD, *ids_of(role), TAIL, *ids_of("\n\n" + content), EOT]
    prompt += [HEAD, *ids_of("assistant"), TAIL, *ids_of("\n\n")]
    assert encoded.ids == (*prompt, *ids_of("Yo"), EOT)
    assert encoded.labels == (*[IGNORED] * len(prompt), *ids_of("Yo"), EOT)


def test_gemma_ids_and_labels(make_tokenizer, ids_of):
    encoded = encode(ONE, chat_template(make_tokenizer(GEMMA), "m"))
    prompt = [BOS, OPEN, *ids_of("user\nHi"), CLOSE, *ids_of("\n"), OPEN, *ids_of("model\n")]
    assert encoded.ids == (*prompt, *ids_of("Yo"), CLOSE, *ids_of("\n"))
    assert encoded.labels == (*[IGNORED] * len(prompt), *ids_of("Yo"), CLOSE, IGNORED)


def test_gemma_refuses_a_system_turn_in_the_templates_own_words(make_tokenizer):
    with pytest.raises(MaskError, match=r"^the chat template refuses it: System role not supported$"):
        encode((Turn("system", "S"), *ONE), chat_template(make_tokenizer(GEMMA), "m"))


@pytest.mark.parametrize(
    ("mode", "trained"), [("assistant", ["Yo<|im_end|>", "Ja<|im_end|>"]), ("last_assistant", ["Ja<|im_end|>"])]
)
def test_turns_of_a_mode(make_tokenizer, mode, trained):
    template = chat_template(make_tokenizer(CHATML), "m")
    encoded = encode(TWO, template, mode)
    spans = [template.decode(encoded.ids[start:end]) for start, end in encoded.spans]
    assert spans == ["Yo<|im_end|>", "Ja<|im_end|>"]
    assert template.decode([label for label in encoded.labels if label != IGNORED]) == "".join(trained)


def test_mode_all_trains_every_token(make_tokenizer):
    encoded = encode(TWO, chat_template(make_tokenizer(CHATML), "m"), "all")
    assert encoded.labels == encoded.ids
    assert encoded.trained == len(encoded.ids) - 1


def test_unicode_is_whole(make_tokenizer, ids_of):
    answer = "Größe: ☃ 漢字 👩‍🚀 é"
    encoded = encode((Turn("user", "ñ"), Turn("assistant", answer)), chat_template(make_tokenizer(CHATML), "m"))
    assert [label for label in encoded.labels if label != IGNORED] == [*ids_of(answer), END]


def test_end_of_turn_is_trained_when_it_is_eos_and_pad(make_tokenizer):
    tokenizer = make_tokenizer(CHATML, eos_token="<|im_end|>", pad_token="<|im_end|>")
    assert [label for label in encode(TWO, chat_template(tokenizer, "m")).labels if label == END] == [END, END]


def test_right_markers_are_used(make_tokenizer):
    template = chat_template(make_tokenizer(MARKED), "m")
    encoded = encode(TWO, template)
    plain = encode(
        TWO,
        chat_template(make_tokenizer(MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")), "m"),
    )
    assert encoded.source == "markers"
    assert (encoded.ids, encoded.labels) == (plain.ids, plain.labels)


@pytest.mark.parametrize(
    "wrong",
    [
        MARKED.replace(
            "{{ '<|im_start|>assistant\n' }}{% generation %}{{", "{% generation %}{{ '<|im_start|>assistant\n' +", 1
        ),
        MARKED.replace("+ '<|im_end|>' }}{% endgeneration %}{{ '\n' }}", "}}{% endgeneration %}{{ '<|im_end|>\n' }}"),
    ],
    ids=["starts with the prompt", "leaves the end of turn out"],
)
def test_wrong_markers_are_not_believed(make_tokenizer, wrong):
    assert "{% generation %}" in wrong
    assert wrong != MARKED
    right = encode(TWO, chat_template(make_tokenizer(MARKED), "m"))
    encoded = encode(TWO, chat_template(make_tokenizer(wrong), "m"))
    assert encoded.source == "prefixes"
    assert encoded.labels == right.labels


def test_a_template_that_trims_is_followed(make_tokenizer, ids_of):
    encoded = encode((Turn("user", " Hi "), Turn("assistant", "\nYo ")), chat_template(make_tokenizer(LLAMA3), "m"))
    assert [label for label in encoded.labels if label != IGNORED] == [*ids_of("Yo"), EOT]


def test_a_template_that_drops_the_system_turn_is_refused(make_tokenizer):
    dropping = CHATML.replace(
        "{% for message in messages %}", "{% for message in messages if message['role'] != 'system' %}"
    )
    with pytest.raises(MaskError, match=r"^the chat template drops the system turn$"):
        encode((Turn("system", "a"), *ONE), chat_template(make_tokenizer(dropping), "m"))


def test_a_template_that_is_not_prefix_stable_is_refused(make_tokenizer):
    counting = "{{ '<|im_start|>' + (messages | length | string) + '\n' }}" + CHATML
    with pytest.raises(MaskError) as caught:
        encode(ONE, chat_template(make_tokenizer(counting), "m"))
    assert str(caught.value) == (
        "message 1: the chat template is not prefix-stable: the prompt that would be generated from has "
        "'1\\n<|im_start|>system\\nBe brief<' where the whole chat has '2\\n<|im_start|>system\\nBe brief<'"
    )


def test_a_generation_prompt_that_training_lacks_is_refused(make_tokenizer):
    thinking = CHATML.replace("{{ '<|im_start|>assistant\n' }}", "{{ '<|im_start|>assistant\n<think>\n' }}")
    with pytest.raises(MaskError, match=r"has '<think>\\n' where the whole chat has 'Yo<\|im_end\|>\\n'$"):
        encode(ONE, chat_template(make_tokenizer(thinking), "m"))


def test_what_the_template_writes_before_the_answer_is_trained(make_tokenizer):
    led = CHATML.replace(
        "message['content'] +", "('<think></think>' if message['role'] == 'assistant' else '') + message['content'] +"
    )
    template = chat_template(make_tokenizer(led), "m")
    encoded = encode(ONE, template)
    assert template.decode([label for label in encoded.labels if label != IGNORED]) == "<think></think>Yo<|im_end|>"


def test_a_template_that_changes_the_answer_is_refused(make_tokenizer):
    cutting = CHATML.replace("message['content']", "message['content'].split('#')[-1]")
    with pytest.raises(MaskError, match=r"^the chat template changes the answer 'a#b' to 'b'$"):
        encode((Turn("user", "Hi"), Turn("assistant", "a#b")), chat_template(make_tokenizer(cutting), "m"))


def test_special_text_in_the_content_is_refused(make_tokenizer):
    with pytest.raises(MaskError, match=r"^message 0: the content holds the special token '<\|im_end\|>'$"):
        encode((Turn("user", "a<|im_end|>b"), *ONE[1:]), chat_template(make_tokenizer(CHATML), "m"))


def test_a_token_across_the_prompts_end_is_refused(make_tokenizer):
    tokenizer = make_tokenizer(CHATML, merges=[("Ċ", "Ċ")])
    with pytest.raises(
        MaskError, match=r"^one token joins the end of the prompt and the start of the answer '\\n\\nYo'$"
    ):
        encode((Turn("user", "Hi"), Turn("assistant", "\n\nYo")), chat_template(tokenizer, "m"))


def test_a_template_without_end_of_turn_is_refused(make_tokenizer):
    with pytest.raises(ModelError) as caught:
        chat_template(
            make_tokenizer("{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"), "m"
        )
    assert str(caught.value) == (
        "m: found a chat template that writes '\\n' after the assistant's last turn; expected an end-of-turn token of "
        "the tokenizer there. Without one the model never learns to stop; use a template that ends each turn with a "
        "special token"
    )


def test_no_template_is_refused(make_tokenizer):
    with pytest.raises(ModelError, match=r"^m: found no chat template; expected a tokenizer with one chat template"):
        chat_template(make_tokenizer(None), "m")


THINK = "<think>\n\n</think>\n\n"
HARMONY = "<|channel|>final<|message|>"
SHIPPED = {
    "llama3": ["Yo<|eot_id|>", "Ja<|eot_id|>"],
    "llama3_training": ["Yo<|eot_id|>", "Ja<|eot_id|>"],
    "gemma": ["Yo<end_of_turn>", "Ja<end_of_turn>"],
    "gemma3_training": ["Yo<end_of_turn>", "Ja<end_of_turn>"],
    "gemma4": ["Yo<turn|>", "Ja<turn|>"],
    "phi3": ["Yo<|end|>", "Ja<|end|>"],
    "phi3_training": ["Yo<|end|>", "Ja<|end|>"],
    "qwen2_5": ["Yo<|im_end|>", "Ja<|im_end|>"],
    "qwen2_5_training": ["Yo<|im_end|>", "Ja<|im_end|>"],
    "qwen3": ["Yo<|im_end|>", f"{THINK}Ja<|im_end|>"],
    "qwen3_training": [f"{THINK}Yo<|im_end|>", f"{THINK}Ja<|im_end|>"],
    "cohere": ["Yo<|END_OF_TURN_TOKEN|>", "Ja<|END_OF_TURN_TOKEN|>"],
    "gptoss": [f"{HARMONY}Yo<|end|>", f"{HARMONY}Ja<|return|>"],
}


def shipped(make_tokenizer, name):
    return chat_template(make_tokenizer(files("trl").joinpath("chat_templates", f"{name}.jinja").read_text()), "m")


@pytest.mark.parametrize("name", SHIPPED)
def test_templates_that_trl_ships(make_tokenizer, name):
    template = shipped(make_tokenizer, name)
    encoded = encode(TWO, template)
    assert [template.decode(encoded.ids[start:end]) for start, end in encoded.spans] == SHIPPED[name]
    for (start, _), place in zip(encoded.spans, (1, 3), strict=True):
        prompt = template.render([{"role": turn.role, "content": turn.content} for turn in TWO[:place]], prompt=True)
        assert template.decode(encoded.ids[:start]) == prompt


def test_markers_that_start_late_in_a_shipped_template_are_not_believed(make_tokenizer):
    assert encode(TWO, shipped(make_tokenizer, "qwen2_5_training")).source == "prefixes"
    assert encode(TWO, shipped(make_tokenizer, "llama3_training")).source == "markers"


def test_a_prompt_that_opens_a_thought_which_training_lacks_is_refused(make_tokenizer):
    with pytest.raises(MaskError, match=r"not prefix-stable: the prompt that would be generated from has '<think>\\n'"):
        encode(TWO, shipped(make_tokenizer, "deepseek_r1_distill"))


def test_a_template_for_images_only_is_refused(make_tokenizer):
    with pytest.raises(ModelError, match=r"^m: found a chat template that leaves out text turns; expected one that"):
        shipped(make_tokenizer, "smolvlm")
    with pytest.raises(
        ModelError, match=r"^m: found the chat template refuses it: 'str object' has no attribute 'text'"
    ):
        shipped(make_tokenizer, "llava_next")


LLAMA2 = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}{% else %}"
    "{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)


def test_a_sentencepiece_tokenizer_that_owns_the_spaces():
    """Llama 2: words carry their space, decoding drops the first one, end of turn = eos."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", "<s>", "</s>", "▁", *"[]/INSTHiYoJaOk?", "▁Yo"]
    raw = Tokenizer(models.BPE(vocab={}, merges=[], unk_token="<unk>", fuse_unk=True))
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, "Yo"]))}
    raw.model = models.BPE(vocab=vocabulary, merges=[("Y", "o"), ("▁", "Yo")], unk_token="<unk>", fuse_unk=True)
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    raw.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = LLAMA2
    template = chat_template(tokenizer, "m")
    encoded = encode(TWO, template)
    first, last = vocabulary["▁Yo"], vocabulary["▁"]
    trained = [label for label in encoded.labels if label != IGNORED]
    assert trained == [first, last, 2, last, vocabulary["J"], vocabulary["a"], last, 2]
    with pytest.raises(MaskError, match=r"^the tokenizer cannot express the answer ' Yq ': it decodes to 'Y<unk> '$"):
        encode((Turn("user", "Hi"), Turn("assistant", "Yq")), template)
