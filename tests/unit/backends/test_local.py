import shutil
import warnings

import pytest
import tiny
from tiny import rewrite

from sfteval.backends import WeightsPool, open_backend
from sfteval.errors import ModelError
from sfteval.records import Generate, Generation, Message, Score

PROMPT = (5, 9, 200, 31, 77, 12)
ASKED = [Score("s", PROMPT, (44, 8)), Score("t", PROMPT, (9,)), Score("u", (0,), (5, 6, 7))]


def answers(backend, requests=ASKED):
    got = []
    backend.respond(requests, got.extend)
    assert sorted(r.key for r in got) == sorted(r.key for r in requests)
    assert [r.failure for r in got] == [None] * len(got)
    return {response.key: response for response in got}


def likelihoods(backend):
    return {key: response.loglikelihood for key, response in answers(backend).items()}


def expected(model):
    """The same scores from the model's own forward."""
    import torch

    out = {}
    with torch.no_grad():
        for request in ASKED:
            ids = torch.tensor([request.prefix + request.continuation])
            logprobs = model(input_ids=ids).logits[0].log_softmax(-1)
            logprobs = logprobs[-len(request.continuation) - 1 : -1]  # virtual tokens have rows of their own in front
            out[request.key] = sum(logprobs[i, token].item() for i, token in enumerate(request.continuation))
    return out


def reference_model(base, adapter=None):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    if adapter is None:
        return model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft 0.21 asks transformers 5.23 for a deprecated attribute
        return PeftModel.from_pretrained(model, adapter).eval()


def test_full_checkpoint_scores_as_transformers(home):
    backend = open_backend("base")
    assert likelihoods(backend) == pytest.approx(expected(reference_model("base")), rel=1e-4)


def test_opening_loads_no_weights(home):
    pool = WeightsPool()
    backend = open_backend("base", weights=pool)
    assert (pool.loads, backend.stats) == (0, None)
    backend.respond([], lambda batch: pytest.fail("nothing was asked"))
    assert pool.loads == 0
    answers(backend)
    assert (pool.loads, backend.stats.requests) == (1, 3)


@pytest.mark.parametrize("order", [("base", "lora", "base", "lora"), ("lora", "base", "lora")])
def test_adapter_and_base_share_one_model_exactly(home, order):
    apart = {name: likelihoods(open_backend(name)) for name in ("base", "lora")}
    assert apart["base"] != pytest.approx(apart["lora"], rel=1e-2)
    assert apart["lora"] == pytest.approx(expected(reference_model("base", "lora")), rel=1e-4)
    pool = WeightsPool()
    together = {name: open_backend(name, weights=pool) for name in ("base", "lora")}
    for name in order:
        assert likelihoods(together[name]) == apart[name]
    assert pool.loads == 1


def test_any_number_of_adapters_share_one_base(home):
    tiny.adapter(home / "second", home / "base", tiny.lora(r=2), seed=5)
    tiny.adapter(home / "third", home / "base", tiny.lora(use_dora=True, target_modules=["q_proj"]), seed=6)
    apart = {name: likelihoods(open_backend(name)) for name in ("base", "lora", "second", "third")}
    pool = WeightsPool()
    backends = {name: open_backend(name, weights=pool) for name in apart}
    for name in ("lora", "second", "base", "third", "lora", "second", "base", "third"):
        assert likelihoods(backends[name]) == apart[name]
    assert apart["third"] == pytest.approx(expected(reference_model("base", "third")), rel=1e-4)
    assert len({scores["s"] for scores in apart.values()}) == 4
    assert pool.loads == 1


@pytest.mark.parametrize("kind", ["ia3", "prompt", "pissa"])
@pytest.mark.filterwarnings("ignore:.*is run without the prefix tree:RuntimeWarning")
def test_an_adapter_that_does_not_fit_beside_the_others_gets_weights_of_its_own(home, kind):
    made = tiny.lora(init_lora_weights="pissa", target_modules=["q_proj"]) if kind == "pissa" else method(kind)
    tiny.adapter(home / "other", home / "base", made)
    apart = {name: likelihoods(open_backend(name)) for name in ("base", "lora", "other")}
    pool = WeightsPool()
    backends = {name: open_backend(name, weights=pool) for name in apart}
    for name in ("lora", "other", "base", "lora", "other"):
        assert likelihoods(backends[name]) == apart[name]
    # PiSSA changes the base's weights, which is seen afterwards only: those are given up and read again.
    assert pool.loads == (3 if kind == "pissa" else 2)


def test_a_broken_further_adapter_leaves_no_trace_on_the_others(home):
    from safetensors.torch import load_file, save_file

    tiny.adapter(home / "second", home / "base", tiny.lora(r=2), seed=5)
    tensors = load_file("second/adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, "second/adapter_model.safetensors", metadata={"format": "pt"})
    pool = WeightsPool()
    candidate, broken = (open_backend(name, weights=pool) for name in ("lora", "second"))
    before = likelihoods(candidate)
    with pytest.raises(ModelError, match="Found missing adapter keys"):
        likelihoods(broken)
    assert likelihoods(candidate) == before


def test_adapter_with_trained_biases_does_not_share(home):
    tiny.llama(home / "biased", attention_bias=True)
    tiny.adapter(home / "bias", home / "biased", tiny.lora(bias="all"))
    pool = WeightsPool()
    candidate, base = (open_backend(name, weights=pool) for name in ("bias", "biased"))
    likelihoods(candidate)
    assert likelihoods(base) == pytest.approx(expected(reference_model("biased")), rel=1e-4)
    assert likelihoods(candidate) == pytest.approx(expected(reference_model("biased", "bias")), rel=1e-4)
    assert pool.loads == 2


def test_prefix_tuning(home):
    from peft import PrefixTuningConfig

    tiny.adapter(home / "prefix", home / "base", PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    pool = WeightsPool()
    candidate, base = (open_backend(name, weights=pool) for name in ("prefix", "base"))
    with pytest.warns(RuntimeWarning, match="its adapter puts virtual tokens before the prompt"):
        found = likelihoods(candidate)
    assert found == pytest.approx(expected(reference_model("base", "prefix")), rel=1e-4)
    assert likelihoods(base) == pytest.approx(expected(reference_model("base")), rel=1e-4)
    assert pool.loads == 1


def method(name):
    import peft

    makers = {
        "dora": lambda: tiny.lora(use_dora=True),
        "rslora": lambda: tiny.lora(use_rslora=True),
        "saved_head": lambda: tiny.lora(target_modules=["q_proj"], modules_to_save=["lm_head"]),
        "tokens": lambda: tiny.lora(trainable_token_indices=[5, 9]),
        "adalora": lambda: peft.AdaLoraConfig(
            task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], total_step=10
        ),
        "ia3": lambda: peft.IA3Config(task_type="CAUSAL_LM"),
        "prompt": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
        "p_tuning": lambda: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    }
    return makers[name]()


@pytest.mark.filterwarnings("ignore:.*is run without the prefix tree:RuntimeWarning")
@pytest.mark.parametrize("name", ["dora", "rslora", "saved_head", "tokens", "adalora", "ia3", "prompt", "p_tuning"])
def test_every_method_shares_its_base(home, name):
    tiny.adapter(home / name, home / "base", method(name))
    plain = likelihoods(open_backend("base"))
    pool = WeightsPool()
    candidate, base = (open_backend(reference, weights=pool) for reference in (name, "base"))
    wanted = expected(reference_model("base", name))
    assert wanted != pytest.approx(plain, rel=1e-3)
    assert likelihoods(candidate) == pytest.approx(wanted, rel=1e-4)
    assert likelihoods(base) == plain
    assert likelihoods(candidate) == pytest.approx(wanted, rel=1e-4)
    assert pool.loads == 1


def test_adapter_with_new_tokens(home):
    """As TRL saves one that added chat tokens: a longer tokenizer, embedding and head inside the adapter."""
    words = tiny.tokenizer()
    words.add_tokens(["<new>", "<newer>"], special_tokens=True)
    config = tiny.lora(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])
    tiny.adapter(home / "longer", home / "base", config, rows=322)
    words.save_pretrained(home / "longer")
    pool = WeightsPool()
    candidate, base = (open_backend(name, weights=pool) for name in ("longer", "base"))
    assert (candidate.text.vocabulary, base.text.vocabulary) == (322, 320)
    assert answers(candidate, [Score("n", (5, 321), (320, 7))])["n"].loglikelihood < 0
    assert likelihoods(base) == likelihoods(open_backend("base"))
    assert pool.loads == 2


def test_generation_stops_at_the_end_of_turn(home):
    backend = open_backend("base")
    prompt = tuple(backend.text.encode_rendered(backend.text.render([Message(role="user", content="Hi")])))
    request = Generate("g", prompt, Generation(max_tokens=6))
    response = answers(backend, [request])["g"]
    model = reference_model("base")
    import torch

    out = model.generate(torch.tensor([prompt]), max_new_tokens=6, do_sample=False, eos_token_id=[0, 2], pad_token_id=0)
    assert response.text == backend.text.decode(out[0, len(prompt) :].tolist())


def test_weights_in_half_precision_are_computed_in_fp32(home):
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree("base", "half")
    AutoModelForCausalLM.from_pretrained("base", dtype=torch.bfloat16).save_pretrained("half")
    pool = WeightsPool()
    backend = open_backend("half", weights=pool)
    with pool.using(backend.reference, backend.identity) as model:
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_closing_frees_private_weights_and_leaves_shared_ones(home):
    pool = WeightsPool()
    shared, private = open_backend("base", weights=pool), open_backend("base")
    answers(shared)
    answers(private)
    shared.close()
    private.close()
    assert (len(pool._held), len(private.weights._held)) == (1, 0)
    answers(shared)
    assert pool.loads == 1
    pool.close()
    answers(shared)
    assert pool.loads == 2


def test_borrowed_stops_are_part_of_the_identity(home):
    (home / "base/chat_template.jinja").unlink()
    assert open_backend("base").identity.numerics == "float32/engine-1"
    assert open_backend("base", template=tiny.CHATML).identity.numerics == "float32/engine-1/stops:2"


def test_missing_parameters_are_refused(home):
    from safetensors.torch import load_file, save_file

    tensors = load_file("base/model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, "base/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        answers(open_backend("base"))
    assert caught.value.faults[0].found == "no fitting weights for 1 parameters: model.norm.weight"


def test_wrong_shapes_are_refused(home):
    rewrite(home / "base/config.json", intermediate_size=64)
    with pytest.raises(ModelError) as caught:
        answers(open_backend("base"))
    assert caught.value.faults[0].where == str(home / "base")


def test_quantized_checkpoints_are_refused(home):
    rewrite(home / "base/config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    with pytest.raises(ModelError, match=r"found quantized weights \(quantization_config\)"):
        answers(open_backend("base"))


def test_adapter_for_another_model_is_refused(home):
    tiny.llama(home / "wide", hidden_size=64)
    rewrite(home / "lora/adapter_config.json", base_model_name_or_path="../wide")
    with pytest.raises(ModelError, match="found adapter files that cannot be loaded"):
        answers(open_backend("lora"))


def test_adapter_with_missing_weights_is_refused(home):
    from safetensors.torch import load_file, save_file

    tensors = load_file("lora/adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, "lora/adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="Found missing adapter keys"):
        answers(open_backend("lora"))


def test_a_broken_adapter_leaves_no_trace_on_the_base(home):
    from safetensors.torch import load_file, save_file

    plain = likelihoods(open_backend("base"))
    tensors = load_file("lora/adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, "lora/adapter_model.safetensors", metadata={"format": "pt"})
    pool = WeightsPool()
    candidate, base = (open_backend(name, weights=pool) for name in ("lora", "base"))
    assert likelihoods(base) == plain
    for _ in range(2):
        with pytest.raises(ModelError, match="Found missing adapter keys"):
            answers(candidate)
    assert likelihoods(base) == plain


def test_loading_writes_nothing_to_the_screen(home, capfd):
    answers(open_backend("lora"))
    assert capfd.readouterr() == ("", "")


def test_out_of_memory_is_said(home, monkeypatch):
    from transformers import AutoModelForCausalLM

    def refuse(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", refuse)
    with pytest.raises(ModelError, match="found too little memory") as caught:
        answers(open_backend("base"))
    assert caught.value.faults[0].do == "Free memory or take a smaller model."
