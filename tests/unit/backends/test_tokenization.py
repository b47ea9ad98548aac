import datetime

import pytest
import tiny
from tiny import rewrite

from sfteval.backends.references import resolve
from sfteval.backends.tokenization import HubTokenization
from sfteval.errors import InputError, ModelError
from sfteval.records import Message

PAIRS = [
    ("What is the capital of France?", " Paris"),
    ("The quick  ", "brown"),
    ("The quick brown", " fox"),
    ("jumps over\n\n", "  12"),
    ("<|endoftext|>The", " dogs"),
    ("<s>The", " dogs"),
    ("Caf", "é 日本"),
    ("x", ""),
]


def user(text, role="user"):
    return Message(role=role, content=text)


def lm_eval_model(folder):
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    class Tokens(HFLM):
        def __init__(self):
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.add_bos_token = self.custom_prefix_token_id = None
            self.backend = "causal"

    return Tokens()


@pytest.mark.parametrize("bos", [None, "<s>"])
def test_encoding_is_lm_evals(tmp_path, bos):
    folder = tiny.llama(tmp_path / "m", text=tiny.tokenizer(bos=bos))
    ours, theirs = HubTokenization(resolve(str(folder))), lm_eval_model(folder)
    assert ours.prefix_token == theirs.prefix_token_id == (3 if bos else 0)
    for context, continuation in PAIRS:
        assert ours.encode_pair(context, continuation) == theirs._encode_pair(context, continuation)
        assert ours.encode(context) == theirs.tok_encode(context)
    assert (ours.encode("The")[0] == 3) is (bos is not None)


def test_empty_context_is_the_callers_business(home):
    with pytest.raises(ValueError, match="the request stage puts the prefix token there"):
        HubTokenization(resolve("base")).encode_pair("", "a")


def test_limits(home):
    text = HubTokenization(resolve("base"))
    assert (text.max_length, text.vocabulary) == (128, 320)


def test_decode_drops_special_tokens_and_keeps_spaces(home):
    text = HubTokenization(resolve("base"))
    for words in ("a  7 , b .", " He 's 12\n\n", "日本 🙂"):
        assert text.decode([1, *text.encode(words), 2]) == words


def test_render_and_its_ids(home):
    text = HubTokenization(resolve("base"))
    chat = text.render([user("Be brief.", "system"), user("Hi")])
    assert chat == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    ids = text.encode_rendered(chat)
    assert [i for i in ids if i < 3] == [1, 2, 1, 2, 1]
    assert ids == [1, *text.encode("system\nBe brief."), 2, *text.encode("\n"), 1, *text.encode("user\nHi"), 2,
                   *text.encode("\n"), 1, *text.encode("assistant\n")]  # fmt: skip


def test_rendered_text_gets_no_second_bos(tmp_path):
    folder = tiny.llama(tmp_path / "m", text=tiny.tokenizer(bos="<s>", template="<s>{{ messages[0].content }}"))
    text = HubTokenization(resolve(str(folder)))
    assert text.encode_rendered(text.render([user("Hi")])).count(3) == 1


@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_control_tokens_in_a_message_are_refused(home, role):
    text = HubTokenization(resolve("base"))
    with pytest.raises(InputError) as caught:
        text.render([user("Hi"), user("so <|im_end|> it ends", role)])
    assert str(caught.value) == (
        f"message 2 ({role}): found the control token <|im_end|> in the content 'so <|im_end|> it ends'; expected "
        "plain text. Take it out or spell it otherwise: it would steer the model instead of being read."
    )


def test_markup_of_the_template_is_the_assistants_own(tmp_path):
    words = tiny.tokenizer(template=tiny.CHATML + "{# <think> #}")
    words.add_tokens(["<think>"])
    text = HubTokenization(resolve(str(tiny.llama(tmp_path / "m", text=words))))
    assert "<think>hm" in text.render([user("Hi"), user("<think>hm", "assistant"), user("Go on")])
    with pytest.raises(InputError, match="found the control token <think>"):
        text.render([user("<think>")])


def test_no_template(home):
    (home / "base/chat_template.jinja").unlink()
    with pytest.raises(InputError, match="found a tokenizer without a chat template"):
        HubTokenization(resolve("base")).render([user("Hi")])


def test_borrowed_template(home):
    (home / "base/chat_template.jinja").unlink()
    text = HubTokenization(resolve("base"), template=tiny.CHATML)
    assert text.render([user("Hi")]).endswith("assistant\n")
    assert (text.template, text.end_of_turn, text.borrowed_stops) == (tiny.CHATML, {0, 2}, {2})


def test_own_template_wins(home):
    text = HubTokenization(resolve("base"), template="other")
    assert (text.template, text.borrowed_stops) == (tiny.CHATML, frozenset())


def test_template_that_refuses(home):
    (home / "base/chat_template.jinja").write_text("{{ raise_exception('no system role') }}")
    with pytest.raises(InputError, match=r"refuses the roles system, user \(no system role\)"):
        HubTokenization(resolve("base")).render([user("Be brief.", "system"), user("Hi")])


def test_template_cannot_reach_python(home):
    (home / "base/chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(InputError, match="access to attribute '__class__' of 'str' object is unsafe"):
        HubTokenization(resolve("base")).render([user("Hi")])


def test_template_with_a_date_renders_the_same_every_day(home):
    dated = "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    (home / "base/chat_template.jinja").write_text(dated + "{{ date_string }}")
    rendered = HubTokenization(resolve("base")).render([user("Hi")])
    assert rendered == "26 Jul 2024" != datetime.datetime.now(tz=datetime.UTC).strftime("%d %b %Y")


@pytest.mark.parametrize(
    ("template", "generation", "expected"),
    [
        (tiny.CHATML, None, {0, 2}),
        (tiny.CHATML, [1, 0], {0, 1, 2}),
        ("{% for m in messages %}[{{ m.role }}] {{ m.content }} <|im_end|>{% endfor %}", None, {0, 2}),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", None, {0}),
        ("{% for m in messages %}{{ raise_exception('no') }}{% endfor %}", None, {0}),
    ],
)
def test_end_of_turn(home, template, generation, expected):
    (home / "base/chat_template.jinja").write_text(template)
    if generation:
        rewrite(home / "base/generation_config.json", eos_token_id=generation)
    assert HubTokenization(resolve("base")).end_of_turn == expected


def test_more_ids_than_the_embedding_has_rows(home):
    words = tiny.tokenizer()
    words.add_tokens(["<new>", "<newer>"])
    words.save_pretrained(home / "base")
    with pytest.raises(ModelError) as caught:
        HubTokenization(resolve("base"))
    assert caught.value.faults[0].found == "a tokenizer with ids up to 321, and an embedding of 320 rows"


def test_tokenizer_that_cannot_be_loaded(home):
    (home / "base/tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"found a tokenizer that cannot be loaded \("):
        HubTokenization(resolve("base"))


def test_no_remote_code(home):
    rewrite(home / "base/config.json", model_type="brand_new", auto_map={"AutoConfig": "code.Config"})
    (home / "base/code.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="models that bring their own code are not run"):
        HubTokenization(resolve("base"))


def test_prefix_tuning_takes_positions(home):
    from peft import PrefixTuningConfig

    config = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=6)
    tiny.adapter(home / "prefix", home / "base", config)
    assert HubTokenization(resolve("prefix")).max_length == 122


def test_a_reply_is_what_the_model_would_write_after_its_prompt(tmp_path):
    text = HubTokenization(resolve(str(tiny.llama(tmp_path / "m"))))
    chat = [user("What is the capital of France?")]
    prompt, reply = text.encode_reply(chat, "It is Paris.", ends=False)
    assert prompt == text.encode_rendered(text.render(chat))
    assert text.decode(reply) == "It is Paris."
    whole = text._apply([{"role": "user", "content": chat[0].content}], add_generation_prompt=True) + "It is Paris."
    assert prompt + reply == text.encode_rendered(whole)
    assert text.encode_reply(chat, "It is Paris.", ends=True) == (
        prompt,
        [*reply, text.encode_rendered("<|im_end|>")[0]],
    )


def test_a_reply_with_a_control_token_is_refused(tmp_path):
    text = HubTokenization(resolve(str(tiny.llama(tmp_path / "m"))))
    with pytest.raises(InputError, match=r"a reply to be scored: found the control token <\|im_end\|> in the reply"):
        text.encode_reply([user("Hi")], "Paris<|im_end|>", ends=False)


def test_no_end_to_score_where_the_template_writes_none(tmp_path):
    plain = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    text = HubTokenization(resolve(str(tiny.llama(tmp_path / "m", text=tiny.tokenizer(template=plain)))))
    with pytest.raises(InputError, match="a chat template that ends no turn with a token"):
        text.encode_reply([user("Hi")], "Paris", ends=True)
