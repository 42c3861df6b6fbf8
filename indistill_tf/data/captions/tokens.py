"""Texts as rows of token ids, by byte pairs."""

import pathlib
import typing
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.files import replacing
from indistill_tf.hints import Path

if typing.TYPE_CHECKING:
    import tokenizers

START, END = "<|startoftext|>", "<|endoftext|>"
# The start, the end, and one token between them.
_SHORTEST = 3


class Tokenizer:
    """Byte pairs of Hugging Face's `tokenizers`, laid out for CLIP's towers.

    A row is the start of text, the text's tokens, the end of text, zeros. The
    end is the largest id there is, by which a text tower finds it, and a text
    that is too long loses tokens before its end, never the end.

    Read one with `from_file`, such as CLIP's own of 49,408 tokens, or make a
    small one of a set's captions with `from_captions`.

    Args:
        tokenizer: `tokenizers.Tokenizer` that knows `<|startoftext|>` and
            `<|endoftext|>`, the latter as its last token.

    Raises:
        UserError: if it does not.

    References:
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), sec. 2.4
        - [tokenizers](https://huggingface.co/docs/tokenizers)
    """

    def __init__(self, tokenizer: "tokenizers.Tokenizer"):
        self.vocabulary_size = tokenizer.get_vocab_size()
        self._start, self._end = map(tokenizer.token_to_id, (START, END))
        if self._start is None or self._end != self.vocabulary_size - 1:
            raise UserError(
                f"A text tower needs a tokenizer with {START}, and {END} as "
                f"its last token. Received: ids {self._start} and {self._end} "
                f"of {self.vocabulary_size} tokens. Choose CLIP's "
                "tokenizer.json, or train one on the captions."
            )
        # Rows are laid out here, whatever the file says of lengths.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, path: Path) -> typing.Self:
        """Reads a tokenizer.

        Args:
            path: a `tokenizer.json` file.

        Raises:
            UserError: if `tokenizers` is not installed, the file is missing or
                damaged, or it has no start and end of text.
        """
        tokenizers = _library()
        try:
            if not pathlib.Path(path).is_file():
                raise FileNotFoundError("there is no such file")
            text = pathlib.Path(path).read_text(encoding="utf-8")
            tokenizer = tokenizers.Tokenizer.from_str(text)
        # The library raises bare exceptions.
        except Exception as error:
            raise UserError(
                f"{path} is no readable tokenizer.json "
                f"({str(error).splitlines()[0]}). Copy it again."
            ) from error
        return cls(tokenizer)

    @classmethod
    def from_captions(
        cls, captions: Iterable[str], vocabulary_size: int = 1000
    ) -> typing.Self:
        """Trains a tokenizer: lower case, pairs of bytes within words.

        Args:
            captions: iterable of strings. Their order does not matter.
            vocabulary_size: int, the most tokens there may be; captions of few
                words give fewer, and the 256 bytes, start and end are always
                there. Defaults to 1000.

        Raises:
            UserError: if `tokenizers` is not installed.
        """
        tokenizers = _library()
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.normalizer = tokenizers.normalizers.Sequence(
            [tokenizers.normalizers.NFC(), tokenizers.normalizers.Lowercase()]
        )
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
        tokenizer.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocabulary_size - 2,
            # All bytes, so that no word is without tokens.
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(sorted(set(captions)), trainer)
        # Last, so that the end of text is the largest id.
        tokenizer.add_special_tokens([START, END])
        return cls(tokenizer)

    def __call__(self, texts: Sequence[str], context_length: int) -> np.ndarray:
        """Returns the token ids of texts.

        Args:
            texts: sequence of N strings.
            context_length: int, T, of which start and end take two.

        Returns:
            int32 array `[N, T]`.

        Raises:
            UserError: if T is below 3.
        """
        if context_length < _SHORTEST:
            raise UserError(
                f"Texts need a context of {_SHORTEST} tokens or more. "
                f"Received: `context_length={context_length}`"
            )
        rows = np.zeros((len(texts), context_length), "int32")
        encodings = self._tokenizer.encode_batch(
            list(texts), add_special_tokens=False
        )
        for row, encoding in zip(rows, encodings, strict=True):
            ids = [self._start, *encoding.ids[: context_length - 2], self._end]
            row[: len(ids)] = ids
        return rows

    def decode(self, rows: np.ndarray) -> list[str]:
        """Returns the texts of token ids.

        Args:
            rows: int array `[N, T]`.
        """
        texts = []
        for row in np.asarray(rows):
            length = int(np.argmax(row))
            ids = [int(token) for token in row[:length] if token != self._start]
            texts.append(self._tokenizer.decode(ids).strip())
        return texts

    def save(self, path: Path) -> None:
        """Writes a `tokenizer.json` file.

        Args:
            path: the file.
        """
        with replacing(path) as temporary:
            self._tokenizer.save(str(temporary))


def _library():
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.normalizers
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise UserError(
            "Texts need the package `tokenizers`: "
            'pip install "indistill_tf[clip]".'
        ) from error
    return tokenizers
