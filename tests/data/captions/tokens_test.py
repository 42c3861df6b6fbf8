import builtins
import json

import numpy as np
import pytest

from indistill_tf.data import Tokenizer
from indistill_tf.errors import UserError

CAPTIONS = ["a photo of a dark boot", "a small T-shirt"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_captions(CAPTIONS, 400)


def test_rows(tokenizer):
    start, end = tokenizer.vocabulary_size - 2, tokenizer.vocabulary_size - 1
    rows = tokenizer(["a dark boot", "a", ""], 7)
    assert rows.dtype == np.int32 and rows.shape == (3, 7)
    # Three words that the captions have are three tokens.
    assert rows[0, [0, 4]].tolist() == [start, end]
    assert rows[1, [0, 2]].tolist() == [start, end]
    assert rows[2, :2].tolist() == [start, end]
    assert rows[0, 1] == rows[1, 1]
    assert rows[:, 5:].sum() == 0
    assert rows.max() == end


def test_a_long_text_keeps_its_end(tokenizer):
    (row,) = tokenizer(["a dark dark dark boot"], 4)
    (whole,) = tokenizer(["a dark"], 4)
    np.testing.assert_array_equal(row, whole)
    assert row[-1] == tokenizer.vocabulary_size - 1


def test_any_text_comes_back(tokenizer):
    texts = ["zürich, 日本 !", "<|endoftext|s> 0?"]
    assert tokenizer.decode(tokenizer(texts, 50)) == texts
    assert tokenizer.decode(tokenizer(["A Dark BOOT"], 9)) == ["a dark boot"]


def test_order_of_captions_does_not_matter(tokenizer):
    other = Tokenizer.from_captions(CAPTIONS[::-1] * 2, 400)
    rows = [each(CAPTIONS, 12) for each in (tokenizer, other)]
    np.testing.assert_array_equal(*rows)


def test_file(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    read = Tokenizer.from_file(path)
    np.testing.assert_array_equal(read(CAPTIONS, 12), tokenizer(CAPTIONS, 12))


def test_a_file_laid_out_as_clips(tmp_path):
    tokens = ["a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]
    special = [
        dict(id=i, content=tokens[i], single_word=False, lstrip=False)
        | dict(rstrip=False, normalized=False, special=True)
        for i in (2, 3)
    ]
    content = {
        "version": "1.0",
        "truncation": {
            **dict(max_length=2, strategy="LongestFirst", stride=0),
            "direction": "Right",
        },
        "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "end_of_word_suffix": "</w>",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [],
        },
    }
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    rows = Tokenizer.from_file(path)(["A b", "b b b"], 5)
    # Neither the file's length nor its post-processing counts.
    assert rows.tolist() == [[2, 0, 1, 3, 0], [2, 1, 1, 1, 3]]
    content["model"]["vocab"]["c</w>"] = 4
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="as its last token.*ids 2 and 3 of 5"):
        Tokenizer.from_file(path)


def test_damaged_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match="is no readable tokenizer.json"):
        Tokenizer.from_file(path)
    path.write_text("{")
    with pytest.raises(UserError, match="is no readable tokenizer.json"):
        Tokenizer.from_file(path)


def test_short_context(tokenizer):
    with pytest.raises(UserError, match="context_length=2"):
        tokenizer(CAPTIONS, 2)


def test_without_the_package(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("tokenizers"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r'pip install "indistill_tf\[clip\]"'):
        Tokenizer.from_captions(CAPTIONS)
