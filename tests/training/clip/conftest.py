import pytest

from indistill_tf import data
from indistill_tf.training import PairTask


@pytest.fixture(scope="package")
def task():
    """Few captioned images, and a tokenizer of their captions."""
    captions = data.load_captions(
        train_split="train[:40]", test_split="test[:20]"
    )
    tokenizer = data.Tokenizer.from_captions(captions.train.captions, 300)
    return PairTask(captions, tokenizer, context_length=8)
