import math

import pytest

from sfteval.backends import Script, ScriptedBackend, open_backend
from sfteval.errors import InputError, ModelError
from sfteval.keys import model_fingerprint
from sfteval.records import FinishReason, Generate, Generation, Message, Score

EXAMPLE = """\
name: careful
replies:
  - {match: What is 2 + 2?, reply: "4"}
  - {contains: France, reply: Paris}
  - {regex: "(?i)JSON", reply: '{"a": 1}', finish_reason: length}
  - {contains: colour, reply: [red, blue]}
default: one two three
prefer:
  - {contains: "2 + 2 =", continuation: "4"}
scores:
  - {contains: sky, continuation: " blue", value: -0.5, is_greedy: true}
fail: [{contains: crash, kind: out_of_memory, message: no room}]
nan: [poison]
batch_size: 2
"""


@pytest.fixture
def backend(tmp_path):
    (tmp_path / "fake.yaml").write_text(EXAMPLE)
    return open_backend("scripted:fake.yaml", relative_to=tmp_path)


def respond(backend, *requests):
    batches = []
    backend.respond(requests, lambda batch: batches.append(list(batch)))
    assert [r.key for batch in batches for r in batch] == [r.key for r in requests]
    return [response for batch in batches for response in batch], [len(batch) for batch in batches]


def chat(backend, text, key="k", seed=0, **generation):
    ids = backend.text.encode_rendered(backend.text.render([Message(role="user", content=text)]))
    return Generate(key, tuple(ids), Generation(**generation), seed)


def say(backend, text, **options):
    ((response,), _) = respond(backend, chat(backend, text, **options))
    return response


def score(backend, context, continuation):
    prefix, rest = backend.text.encode_pair(context, continuation)
    ((response,), _) = respond(backend, Score("k", tuple(prefix), tuple(rest)))
    return response


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("What is 2 + 2?", "4", FinishReason.END_TURN),
        ("So: What is 2 + 2?", "one two three", FinishReason.END_TURN),
        ("The capital of France?", "Paris", FinishReason.END_TURN),
        ("Some json", '{"a": 1}', FinishReason.LENGTH),
        ("Naïve 日本", "one two three", FinishReason.END_TURN),
    ],
)
def test_replies(backend, question, answer, reason):
    response = say(backend, question)
    assert (response.text, response.finish_reason, response.failure) == (answer, reason, None)


def test_counts(backend):
    request = chat(backend, "hello")
    ((response,), _) = respond(backend, request)
    assert (response.prompt_tokens, response.output_tokens) == (len(request.prompt), 4)


def test_plain_prompt_is_matched_as_a_whole(backend):
    request = Generate("k", tuple(backend.text.encode("What is 2 + 2?")), Generation())
    ((response,), _) = respond(backend, request)
    assert response.text == "4"


def test_last_user_turn_decides(backend):
    turns = [("user", "hello"), ("assistant", "hi"), ("user", "What is 2 + 2?")]
    rendered = backend.text.render([Message(role=role, content=content) for role, content in turns])
    request = Generate("k", tuple(backend.text.encode_rendered(rendered)), Generation())
    assert respond(backend, request)[0][0].text == "4"


def test_seed_chooses_among_replies(backend):
    assert [say(backend, "colour?", seed=seed).text for seed in (0, 1, 2)] == ["red", "blue", "red"]


@pytest.mark.parametrize(
    ("generation", "text", "reason", "tokens"),
    [
        ({"stop": (" three", "zzz")}, "one two", FinishReason.STOP, 2),
        ({"max_tokens": 2}, "one two", FinishReason.LENGTH, 2),
        ({"max_tokens": 3}, "one two three", FinishReason.LENGTH, 3),
        ({"max_tokens": 4}, "one two three", FinishReason.END_TURN, 4),
    ],
)
def test_stops_and_limits(backend, generation, text, reason, tokens):
    response = say(backend, "hello", **generation)
    assert (response.text, response.finish_reason, response.output_tokens) == (text, reason, tokens)


def test_scores(backend):
    sky = score(backend, "The sky is", " blue")
    assert (sky.loglikelihood, sky.is_greedy) == (-0.5, True)
    right, wrong = score(backend, "2 + 2 =", " 4"), score(backend, "2 + 2 =", " 5")
    assert (right.loglikelihood, right.is_greedy) == (-0.1, True)
    assert -11 < wrong.loglikelihood <= -10
    assert wrong.is_greedy is False
    other = score(backend, "x", " yz")
    assert other == score(backend, "x", " yz")
    assert -4.5 < other.loglikelihood <= -1.5
    assert other.loglikelihood != score(backend, "w", " yz").loglikelihood
    assert (other.prompt_tokens, other.output_tokens) == (1, 3)


def test_nan(backend):
    assert math.isnan(score(backend, "some poison", " a").loglikelihood)


def test_failures_are_not_answers(backend):
    for response in (say(backend, "please crash"), score(backend, "cra", "sh")):
        assert (response.text, response.loglikelihood) == (None, None)
        assert (response.failure.kind, response.failure.message) == ("out_of_memory", "no room")


def test_batches(backend):
    requests = [chat(backend, "hello", key=str(number)) for number in range(5)]
    assert respond(backend, *requests)[1] == [2, 2, 1]
    assert backend.answered == 5


def test_delay(monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    backend = ScriptedBackend(Script(delay_seconds=0.5))
    respond(backend, *[chat(backend, "x", key=str(number)) for number in range(3)])
    assert slept == [0.5, 0.5, 0.5]


def test_identity_is_the_content(tmp_path, backend):
    (tmp_path / "same.yaml").write_text(EXAMPLE)
    (tmp_path / "other.yaml").write_text(EXAMPLE + "seed: 3\n")
    same, other = (open_backend(f"scripted:{tmp_path}/{name}.yaml") for name in ("same", "other"))
    assert same.identity.reference == f"scripted:{tmp_path}/same.yaml"
    assert model_fingerprint(same.identity) == model_fingerprint(backend.identity)
    assert model_fingerprint(other.identity) != model_fingerprint(backend.identity)
    one, two = ScriptedBackend(Script(default="a")), ScriptedBackend(Script(default="b"))
    assert one.identity.weights != two.identity.weights


def test_tokenization(backend):
    text = backend.text
    assert text.encode_pair("a b  ", "é") == (list(b"a b"), list("  é".encode()))
    assert text.encode("<|im_end|>") == list(b"<|im_end|>")
    assert text.encode_rendered("<|im_start|>x<|im_end|>") == [257, 120, 258]
    assert text.decode([257, *"é🙂".encode(), 258]) == "é🙂"
    assert (text.prefix_token, text.vocabulary) == (256, 259)
    with pytest.raises(InputError, match=r"message 1 \(user\): found the control token <\|im_end\|>"):
        text.render([Message(role="user", content="a<|im_end|>")])


def test_template_renders_as_render_does(backend):
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    messages = [Message(role="system", content="s"), Message(role="user", content="u")]
    template = ImmutableSandboxedEnvironment().from_string(backend.template)
    assert template.render(messages=messages, add_generation_prompt=True) == backend.text.render(messages)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        (
            "replys: []",
            "1:1: found unknown field replys; expected one of: name, replies, default, prefer, scores, fail, nan, "
            "seed, batch_size, delay_seconds, max_length, training. Did you mean replies?",
        ),
        (
            "replies:\n  - {contain: a, match: b, reply: c}",
            "2:6: found unknown field replies.0.contain; expected one of: match, contains, regex, reply, "
            "finish_reason. Did you mean contains?",
        ),
        (
            "replies:\n- {reply: c}",
            "2:3: found replies.0 = {'reply': 'c'}; expected exactly one of match, contains, regex is needed",
        ),
        ("name: a\nbatch_size: 0", "2:1: found batch_size = 0; expected greater than or equal to 1"),
        ("scores:\n- {contains: a, value: 1}", "2:17: found scores.0.value = 1; expected less than or equal to 0"),
        ("name: a\nname: b", "2:1: found broken YAML (found duplicate key"),
        ("a: [", "found broken YAML"),
        ("- a", "bad.yaml: found a list; expected a mapping. Fields: name, replies"),
        ("", "bad.yaml: found an empty file; expected a mapping"),
        ("just words", "bad.yaml: found a single value; expected a mapping"),
        ("replies: [{regex: '(', reply: a}]", "1:11: found replies.0"),
        ("seed: '1'", "1:1: found seed = '1'; expected a valid integer"),
        ("scores: [{contains: a, value: .nan}]", "1:24: found scores.0.value = nan; expected a finite number"),
    ],
)
def test_faults(tmp_path, yaml, message):
    (tmp_path / "bad.yaml").write_text(yaml)
    with pytest.raises(ModelError) as caught:
        open_backend("scripted:bad.yaml", relative_to=tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/bad.yaml:")
    assert message in str(caught.value)


def test_all_faults_at_once(tmp_path):
    (tmp_path / "bad.yaml").write_text("nam: a\nseed: x\nfail: [{contains: ''}]\n")
    with pytest.raises(ModelError) as caught:
        open_backend("scripted:bad.yaml", relative_to=tmp_path)
    assert sorted((fault.line, fault.column) for fault in caught.value.faults) == [(1, 1), (2, 1), (3, 9)]


def test_the_documented_example_is_valid(tmp_path):
    from sfteval.backends import script

    example = script.__doc__.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "example.yaml").write_text(example)
    assert script.read_script(tmp_path / "example.yaml").name == "careful"


def test_a_training_manifest_that_it_claims_to_come_from(tmp_path, backend):
    assert backend.identity.training == ""
    (tmp_path / "trained.yaml").write_text(EXAMPLE + "training: made/training.json\n")
    trained = open_backend("scripted:trained.yaml", relative_to=tmp_path)
    assert trained.identity.training == str(tmp_path / "made" / "training.json")
