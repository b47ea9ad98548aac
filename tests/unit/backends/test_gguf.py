import struct

import pytest

from sfteval.backends.gguf_header import read_gguf
from sfteval.backends.identity import identify
from sfteval.backends.references import Kind, resolve
from sfteval.backends.tokenizer_files import repair_pre_tokenizer
from sfteval.errors import ModelError


@pytest.fixture
def gguf(tmp_path, request):
    """A small valid file, written by the `gguf` package."""
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_chat_template("T")
    writer.add_file_type(request.param if hasattr(request, "param") else 0)
    writer.add_token_list(["a", "bc", "déf"])
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_tensor("x", np.ones((3, 32), dtype=np.float32))
    writer.add_tensor("y", np.ones((2, 32), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "m.gguf"


def fault(path):
    with pytest.raises(ModelError) as caught:
        resolve(str(path))
    return caught.value.faults[0]


def test_metadata(gguf):
    metadata = read_gguf(gguf)
    assert metadata["general.architecture"] == "llama"
    assert metadata["tokenizer.chat_template"] == "T"
    assert (metadata["tokenizer.ggml.tokens"], metadata["some.numbers"]) == (None, None)
    found = resolve(str(gguf))
    assert (found.kind, found.path, found.weights, found.tokenizer) == (Kind.GGUF, gguf, (gguf,), gguf)


def test_cut_off_in_the_tensors(gguf):
    data = gguf.read_bytes()
    needed = len(data)
    assert read_gguf(gguf)["general.architecture"] == "llama"
    gguf.write_bytes(data[: needed - 1])
    one = fault(gguf)
    assert one.found == f"{needed - 1} bytes (cut off)"
    assert one.expected == f"{needed} bytes, as its header says"


def test_cut_off_anywhere(gguf):
    data = gguf.read_bytes()
    for size in range(0, len(data) - 32, 7):
        gguf.write_bytes(data[:size])
        assert fault(gguf).where == str(gguf)


def test_not_gguf(gguf):
    gguf.write_bytes(b"PK\x03\x04 and more")
    assert str(fault(gguf)).startswith(f"{gguf}: found b'PK\\x03\\x04' as its first bytes; expected a GGUF file")


def test_unknown_version(gguf):
    gguf.write_bytes(b"GGUF" + struct.pack("<I", 9) + b"\0" * 16)
    assert fault(gguf).found == "an unknown GGUF version"


def test_absurd_counts_end_at_once(gguf):
    gguf.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60))
    assert fault(gguf).found.endswith("a broken or cut off header")


def test_digits_are_split_one_by_one_where_the_vocabulary_was_learned_so():
    import tiny

    words = tiny.tokenizer()
    for kind, pieces in ((None, ["a", "Ġ", "Ġ12"]), ("smollm", ["a", "ĠĠ", "1", "2"])):
        repair_pre_tokenizer(words, kind)
        assert [piece for piece, _ in words.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  12")] == pieces


@pytest.mark.parametrize(
    ("gguf", "numerics"), [(0, ""), (2, "/Q4_0"), (15, "/Q4_K_M"), (999, "/type-999")], indirect=["gguf"]
)
def test_numerics_say_what_the_weights_are_stored_in(gguf, numerics):
    assert identify(resolve(str(gguf))).numerics == f"float32/engine-1{numerics}"
