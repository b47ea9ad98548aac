import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import tiny
from tiny import rewrite

from sfteval.backends import cache
from sfteval.backends.cache import cache_dir, file_hash
from sfteval.backends.identity import NUMERICS, identify
from sfteval.backends.references import resolve
from sfteval.keys import model_fingerprint


def age(path):
    """Make a file old enough for its hash to be cached."""
    old = path.stat().st_mtime - 60
    os.utime(path, (old, old))


def test_names_and_places_do_not_matter(home):
    shutil.copytree(home / "base", home / "elsewhere")
    one, other = identify(resolve("base")), identify(resolve("elsewhere"))
    assert (one.reference, other.reference) == ("base", "elsewhere")
    assert model_fingerprint(one) == model_fingerprint(other)
    assert one.numerics == NUMERICS == "float32/engine-1"
    assert one.template == hashlib.sha256(tiny.CHATML.encode()).hexdigest()


def test_weights_and_settings_matter(home):
    before = identify(resolve("base"))
    file = home / "base/model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    changed = identify(resolve("base"))
    assert changed.weights != before.weights
    assert changed.tokenizer == before.tokenizer
    rewrite(home / "base/config.json", rms_norm_eps=0.5)
    assert identify(resolve("base")).weights != changed.weights


def test_volatile_settings_do_not_matter(home):
    before = identify(resolve("base"))
    rewrite(home / "base/config.json", transformers_version="9", _name_or_path="x", dtype="bfloat16")
    rewrite(home / "base/tokenizer_config.json", name_or_path="x", is_local=False)
    assert identify(resolve("base")) == before


def test_end_of_turn_settings_matter(home):
    before = identify(resolve("base"))
    rewrite(home / "base/generation_config.json", eos_token_id=[0, 2])
    assert identify(resolve("base")).weights != before.weights


def test_adapter_has_its_base_weights_and_its_own_hash(home):
    base, adapted = identify(resolve("base")), identify(resolve("lora"))
    assert adapted.weights == base.weights
    assert base.adapter == ""
    assert len(adapted.adapter) == 64
    assert adapted.tokenizer == base.tokenizer


def test_adapter_settings_matter_but_not_where_its_base_is(home):
    before = identify(resolve("lora"))
    path = home / "lora/adapter_config.json"
    modules = json.loads(path.read_text())["target_modules"]
    rewrite(path, base_model_name_or_path=str(home / "base"), target_modules=modules[::-1], inference_mode=False)
    assert identify(resolve("lora")) == before
    rewrite(path, lora_alpha=99)
    assert identify(resolve("lora")).adapter != before.adapter


def test_shards_are_all_hashed(home):
    tiny.llama(home / "sharded", shard="20KB")
    before = identify(resolve("sharded")).weights
    last = resolve("sharded").weights[-1]
    data = bytearray(last.read_bytes())
    data[-1] ^= 1
    last.write_bytes(data)
    assert identify(resolve("sharded")).weights != before


def test_template_in_the_tokenizer_configuration(home):
    (home / "base/chat_template.jinja").unlink()
    assert identify(resolve("base")).template == ""
    borrowed = identify(resolve("base"), template="T")
    assert borrowed.template == hashlib.sha256(b"T").hexdigest()
    rewrite(home / "base/tokenizer_config.json", chat_template="U")
    assert identify(resolve("base"), template="T").template == hashlib.sha256(b"U").hexdigest()
    named = [{"name": "rag", "template": "R"}, {"name": "default", "template": "D"}]
    rewrite(home / "base/tokenizer_config.json", chat_template=named)
    assert identify(resolve("base")).template == hashlib.sha256(b"D").hexdigest()


def test_file_hash_is_read_from_the_cache_until_the_file_changes(tmp_path, own_cache, monkeypatch):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    age(file)
    computed = []
    monkeypatch.setattr(
        cache, "file_key", lambda path: computed.append(path) or hashlib.sha256(path.read_bytes()).hexdigest()
    )
    monkeypatch.setattr(cache, "SETTLED_NS", 0)
    assert file_hash(file) == file_hash(file) == hashlib.sha256(b"one").hexdigest()
    assert len(computed) == 1
    stamp = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert file_hash(file) == hashlib.sha256(b"two").hexdigest()
    assert len(computed) == 2


def test_a_file_that_was_just_written_is_not_cached(tmp_path, own_cache):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert file_hash(file) == hashlib.sha256(b"one").hexdigest()
    assert not (own_cache / "hashes").exists()


def test_broken_cache_entries_and_a_cache_that_cannot_be_written(tmp_path, own_cache, monkeypatch):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    age(file)
    file_hash(file)
    (entry,) = (own_cache / "hashes").iterdir()
    for text in ("", "[]", '{"stamp": [], "sha256": "0"}', '{"stamp":'):
        entry.write_text(text)
        assert file_hash(file) == hashlib.sha256(b"one").hexdigest()
    (tmp_path / "file").touch()
    monkeypatch.setenv("SFTEVAL_CACHE", str(tmp_path / "file"))
    assert file_hash(file) == hashlib.sha256(b"one").hexdigest()


def test_many_writers_leave_whole_entries_and_no_rubbish(tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_NS", 0)
    files = [tmp_path / f"{number}" for number in range(8)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(file_hash, files * 20))
    assert found == [hashlib.sha256(bytes([number])).hexdigest() for number in range(8)] * 20
    entries = list((own_cache / "hashes").iterdir())
    assert {entry.suffix for entry in entries} == {".json"}
    assert sorted(json.loads(e.read_text())["path"] for e in entries) == sorted(map(str, files))


def test_cache_folder(monkeypatch):
    monkeypatch.delenv("SFTEVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert str(cache_dir()) == "/xdg/sfteval"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(cache_dir()) == "/home/me/.cache/sfteval"
