"""Tiny tokenizers, trained in milliseconds on sentences made up here: the two families that open models use.

`byte_level_tokenizer` behaves as GPT-2's, Llama 3's and Qwen's do: a space belongs to the word after it and nothing is
put in front of a text. `metaspace_tokenizer` behaves as Llama 2's and Mistral's (SentencePiece) do: a text gets a
leading space, and characters that the vocabulary lacks become bytes.
"""

from __future__ import annotations

import json
import re
from functools import cache

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordPiece
from transformers import PreTrainedTokenizerFast

UNK, BOS, EOS, PAD = "<unk>", "<s>", "</s>", "<pad>"
CLS, SEP = "[CLS]", "[SEP]"

CORPUS = [
    "the red kite flew over the old mill and the children ran after it",
    "two and two is four, three and three is six, and four and four is eight.",
    "please tell me where the parcel is. it is at the station, thank you.",
    "a small boat sailed out of the harbour before the rain came down",
    "what colour is the door? the door is green. who painted the door? my aunt did.",
    "Question: how many days are in a week? Answer: seven days.",
] * 4

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '[' + message['role'] + ']\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '[assistant]\n' }}{% endif %}"
)
"""A template that writes the BOS itself, so that adding another one would show."""


@cache
def _byte_level_json(vocab_size: int) -> str:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[UNK, BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return str(tokenizer.to_str())


@cache
def _metaspace_json(legacy: bool, vocab_size: int) -> str:
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - 256, show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    learned = json.loads(trained.to_str())["model"]
    special = [UNK, BOS, EOS, PAD]
    pieces = special + [f"<0x{byte:02X}>" for byte in range(256)] + list(learned["vocab"])
    tokenizer = Tokenizer(
        BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=[tuple(pair) for pair in learned["merges"]],
            unk_token=UNK,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    if legacy:  # every stretch of text gets the space, also the one after a special token
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return str(tokenizer.to_str())


def _wrap(tokenizer: Tokenizer, bos: bool, eos: bool, pad: bool, chat: bool) -> PreTrainedTokenizerFast:
    tokenizer.add_special_tokens([UNK, BOS, EOS, PAD])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    names = {"unk_token": UNK} | ({"bos_token": BOS} if bos or chat else {})
    names |= ({"eos_token": EOS} if eos else {}) | ({"pad_token": PAD} if pad else {})
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    if chat:
        wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def byte_level_tokenizer(
    *, bos: bool = False, eos: bool = True, pad: bool = True, chat: bool = False, vocab_size: int = 400
) -> PreTrainedTokenizerFast:
    """A new byte-level BPE tokenizer (GPT-2's family); `bos`: it puts the BOS before each text."""
    return _wrap(Tokenizer.from_str(_byte_level_json(vocab_size)), bos, eos, pad, chat)


def metaspace_tokenizer(
    *,
    legacy: bool = False,
    bos: bool = True,
    eos: bool = True,
    pad: bool = True,
    chat: bool = False,
    vocab_size: int = 500,
) -> PreTrainedTokenizerFast:
    """A new BPE tokenizer with SentencePiece's leading space; `legacy`: after special tokens, too (Llama 1's)."""
    return _wrap(Tokenizer.from_str(_metaspace_json(legacy, vocab_size)), bos, eos, pad, chat)


def target_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer as T5's: SentencePiece's leading space, and EOS behind each text."""
    tokenizer = Tokenizer.from_str(_metaspace_json(False, 500))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, tokenizer.token_to_id(EOS))]
    )
    tokenizer.add_special_tokens([UNK, EOS, PAD])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=UNK, eos_token=EOS, pad_token=PAD)


def encoder_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer as BERT's: a class token before each text, a separator behind it, neither BOS nor EOS."""
    tokenizer = Tokenizer.from_str(_byte_level_json(400))
    tokenizer.add_special_tokens([UNK, PAD, CLS, SEP])
    frame = [(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B:1 {SEP}:1", special_tokens=frame
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=UNK, pad_token=PAD, cls_token=CLS, sep_token=SEP)


@cache
def _wordpiece_json() -> str:
    """Words of the corpus, and letters for all others: not trained, since a trained one differs from process to process."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789#.,?![]<>/:"
    words = sorted({word for line in CORPUS for word in re.findall("[a-z]{2,}", line.lower())})
    special = ["[PAD]", "[UNK]", CLS, SEP, "[MASK]"]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *words]
    tokenizer = Tokenizer(WordPiece(vocab={piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(special)
    frame = [(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B:1 {SEP}:1", special_tokens=frame
    )
    tokenizer.decoder = decoders.WordPiece()
    return str(tokenizer.to_str())


def wordpiece_tokenizer() -> PreTrainedTokenizerFast:
    """As BERT's: lower case, word pieces, [CLS] first [SEP] second [SEP], the second text of type 1."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_wordpiece_json()), unk_token="[UNK]", pad_token="[PAD]", cls_token=CLS,
        sep_token=SEP, mask_token="[MASK]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


@cache
def _roberta_json() -> str:
    """RoBERTa's order of special tokens: its padding id is 1, and its positions count from behind that."""
    learned = json.loads(_byte_level_json(400))["model"]
    special = [BOS, PAD, EOS, UNK]
    pieces = special + [piece for piece in learned["vocab"] if piece not in special]
    vocab = {piece: i for i, piece in enumerate([*pieces, "<mask>"])}
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=[tuple(pair) for pair in learned["merges"]]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([*special, "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing((EOS, vocab[EOS]), (BOS, vocab[BOS]), add_prefix_space=False)
    return str(tokenizer.to_str())


def roberta_tokenizer() -> PreTrainedTokenizerFast:
    """As RoBERTa's and Longformer's: bytes, <s> first </s></s> second </s>, all of type 0; BOS is the class token."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_roberta_json()), unk_token=UNK, bos_token=BOS, eos_token=EOS, pad_token=PAD,
        cls_token=BOS, sep_token=EOS, mask_token="<mask>",
    )  # fmt: skip
