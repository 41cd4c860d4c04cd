"""Encoders as cross-encoders on prompt and answer: seven families with the tokenizers that they have, full and with LoRA."""

from __future__ import annotations

import inspect
import json
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from accordant.data.template import Template, encode_all
from accordant.models.checkpoint import save_checkpoint
from accordant.models.critic import CriticConfig, load_critic
from accordant.models.load import ModelConfig, load_scalar
from accordant.models.scalar import ScalarModel, token_types
from accordant.ops.batching import pad_rows
from accordant.rewards.scoring import score_tokens
from accordant.types import Message, Pair, Source, UserError
from builders import CLS, SEP, roberta_tokenizer, wordpiece_tokenizer
from tiny import CONTEXT, ENCODERS, language_model, scalar_model, tiny_encoder

BYTES = ("roberta", "longformer")
TYPED = ("bert", "albert")
PARTS = [
    ("what colour is the door?", "the door is green."),
    ("two and two is", "four, and three and three is six, and four and four is eight."),
    ("please", "no"),
    ("a text that spells [SEP] and </s>", "and [CLS] too"),
]


@cache
def tokenizer_of(family: str) -> PreTrainedTokenizerFast:
    return roberta_tokenizer() if family in BYTES else wordpiece_tokenizer()


def loaded(family: str, folder: Path, kind: str = "base", lora: bool = False) -> ScalarModel:
    extra = {"num_labels": 1} if kind == "classifier" else {}
    tiny_encoder(folder, tokenizer_of(family), family, kind, **extra)
    model = scalar_model(folder, lora={"rank": 2} if lora else None)
    model.module.eval()
    return model


def rows_of(model: ScalarModel) -> list[tuple[int, ...]]:
    template = Template(model.tokenizer, model.context)
    return [template.encode_scored(prompt, answer, True).ids for prompt, answer in PARTS]


def logits(model: ScalarModel, rows: list[tuple[int, ...]], more: int = 0) -> Tensor:
    """All rows in one padded batch, `more` columns wider than the longest."""
    ids = pad_rows([*rows, (0,) * (max(map(len, rows)) + more)], model.tokenizer.pad_token_id)[:-1]
    mask = pad_rows([[True] * len(row) for row in [*rows, (0,) * ids.shape[1]]], False, dtype=torch.bool)[:-1]
    ids[~mask] = model.tokenizer.pad_token_id
    return model.logits(ids, mask)


def by_transformers(folder: Path) -> Tensor:
    """The scores of the checkpoint by its own tokenizer, on two texts, one row at a time, and its own forward."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    known = inspect.signature(model.forward).parameters
    out = []
    for prompt, answer in PARTS:
        encoded = tokenizer(prompt, answer, split_special_tokens=True, return_tensors="pt", return_token_type_ids=True)
        with torch.no_grad():
            out.append(model(**{name: value for name, value in encoded.items() if name in known}).logits)
    return torch.cat(out)


@pytest.mark.parametrize("kind", ["masked", "classifier"])
@pytest.mark.parametrize("family", ENCODERS)
def test_training_saving_and_reading_again(family: str, kind: str, tmp_path: Path) -> None:
    """With LoRA, from a masked language model (a fresh head) and from a classifier: what was trained is what is read again.

    By plain transformers, which has neither our padding nor our token types.
    """
    model = loaded(family, tmp_path / "start", kind, lora=True)
    optimiser = torch.optim.Adam([p for p in model.module.parameters() if p.requires_grad], 1e-2)
    first = logits(model, rows_of(model)).detach()
    for _ in range(3):
        logits(model, rows_of(model)).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    trained = logits(model, rows_of(model)).detach()
    assert (trained - first).abs().max() > 1e-1
    save_checkpoint(tmp_path / "end", model.module, model.tokenizer, {})
    torch.testing.assert_close(by_transformers(tmp_path / "end"), trained, atol=2e-5, rtol=2e-5)
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("start", "end"))
    heads = [name for name in after if "classifier" in name and name.endswith("weight")]
    assert heads
    assert all(name not in before or not torch.equal(before[name], after[name]) for name in heads)


@pytest.mark.parametrize("family", ENCODERS)
def test_what_is_new_is_trained_in_full_and_is_seeded(family: str, tmp_path: Path) -> None:
    """A head and a pooler that the checkpoint lacks: under LoRA as well, where all else but the adapters is frozen."""
    tiny_encoder(tmp_path, tokenizer_of(family), family, "masked")
    known = set(load_file(tmp_path / "model.safetensors"))
    cfg = ModelConfig(path=str(tmp_path), precision="float32", lora={"rank": 2})
    one, again, other = (load_scalar(cfg, tokenizer_of(family).pad_token_id, seed=seed) for seed in (0, 0, 1))
    fresh = 0
    for (name, a), b, c in zip(one.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
        plain = name.removeprefix("base_model.model.").replace("modules_to_save.default.", "").replace("original_module.", "")
        if "lora_" in name or plain in known or "original_module" in name or "base_layer" in name:
            continue
        if plain.split(".", 1)[0] in ("classifier", "pre_classifier", "pooler", "head") or ".pooler." in plain:
            fresh += 1
            assert a.requires_grad, name
            assert a.dim() < 2 or not torch.equal(a, c), f"{name} does not follow the seed"
    assert fresh >= 2
    frozen = [n for n, p in one.named_parameters() if "pooler" in n and not p.requires_grad and "original_module" not in n]
    assert not frozen


@pytest.mark.parametrize("family", ENCODERS)
def test_padding_changes_nothing(family: str, tmp_path: Path) -> None:
    """Nor does the company of other rows; Longformer pads to its window besides."""
    model = loaded(family, tmp_path, "classifier")
    rows = rows_of(model)
    with torch.no_grad():
        alone = torch.cat([logits(model, [row]) for row in rows])
        torch.testing.assert_close(logits(model, rows), alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(logits(model, rows, more=5), alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(by_transformers(tmp_path), alone, atol=1e-5, rtol=1e-5)
    assert alone.std() > 0.05  # rows that all score alike would pass


@pytest.mark.parametrize("family", ENCODERS)
def test_the_longest_row_fits_and_a_longer_one_is_named(family: str, tmp_path: Path) -> None:
    """64 tokens of each family, though the tables of RoBERTa and Longformer have 66 positions; nothing is cut."""
    model = loaded(family, tmp_path, "classifier")
    assert model.context == CONTEXT
    frame = 4 if family in BYTES else 3
    full = Pair("a", " a" * (CONTEXT - frame - 1), " a", source=Source("pairs.jsonl", 7))
    long = Pair("a", " a" * (CONTEXT - frame), " a", source=Source("pairs.jsonl", 8))
    template = Template(model.tokenizer, model.context)
    (item,), none = encode_all([full], template)
    assert none.count == 0
    assert len(item.chosen.ids) == CONTEXT
    assert torch.isfinite(score_tokens(model, [item.chosen], 10_000)).all()
    with pytest.raises(UserError, match=r"pairs\.jsonl:8 \(65 tokens\)"):
        encode_all([full, long], template)
    over = template.encode_scored("a", " a" * (CONTEXT - frame), True)
    with pytest.raises(UserError, match="has 65 tokens and the scoring model's context is 64"):
        score_tokens(model, [over], 10_000)


@pytest.mark.parametrize("family", ENCODERS)
def test_types_are_those_of_the_tokenizer(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(family, tmp_path)
    assert (model.separator is not None) is (family in TYPED)
    if family not in TYPED:
        return
    given: list[Tensor] = []
    real = type(model.module).forward

    def spy(module: torch.nn.Module, *args: object, **kwargs: Tensor) -> object:
        given.append(kwargs["token_type_ids"])
        return real(module, *args, **kwargs)

    monkeypatch.setattr(type(model.module), "forward", spy)
    rows = rows_of(model)
    logits(model, rows)
    for (prompt, answer), row, types in zip(PARTS, rows, given[0], strict=True):
        expected = model.tokenizer(prompt, answer, split_special_tokens=True)
        assert tuple(expected["input_ids"]) == row
        assert types[: len(row)].tolist() == expected["token_type_ids"]
        assert not types[len(row) :].any()


def test_a_table_of_two_types_that_the_tokenizer_does_not_use(tmp_path: Path) -> None:
    """Longformer's default: its tokenizer calls both texts 0, and a second type nobody trained would be noise."""
    folder = tiny_encoder(tmp_path, roberta_tokenizer(), "longformer", "classifier", num_labels=1, type_vocab_size=2)
    model = scalar_model(folder)
    model.module.eval()
    assert model.separator is None
    torch.testing.assert_close(logits(model, rows_of(model)).detach(), by_transformers(folder), atol=1e-5, rtol=1e-5)


def test_types_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    from tokenizers import processors

    tokenizer = wordpiece_tokenizer()
    frame = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (CLS, SEP)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS}:1 $A:1 {SEP}:1 $B:0 {SEP}:0", special_tokens=frame
    )
    folder = tiny_encoder(tmp_path, tokenizer, "bert", "classifier", num_labels=1)
    with pytest.raises(UserError, match=r"gives two texts the types \[1, 1, 1, 0, 0\]"):
        scalar_model(folder)


def test_types_of_several_separators() -> None:
    ids = torch.tensor([[5, 1, 3, 2, 2, 3, 0], [5, 3, 3, 0, 0, 0, 0]])
    assert token_types(ids, 3).tolist() == [[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1]]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_empty_answer_has_a_score(family: str, tmp_path: Path) -> None:
    """A policy may stop at once. It is the frame around nothing, as the tokenizer writes it."""
    model = loaded(family, tmp_path, "classifier")
    tokens = Template(model.tokenizer, model.context).encode_scored("what colour is it?", "", True)
    assert tokens.ids == tuple(model.tokenizer("what colour is it?", "")["input_ids"])
    assert torch.isfinite(score_tokens(model, [tokens], 1000)).all()


def test_messages_become_lines_that_name_their_roles(tmp_path: Path) -> None:
    model = loaded("bert", tmp_path)
    prompt = (Message("system", "be kind"), Message("user", "what colour is it?"))
    tokens = Template(model.tokenizer, model.context).encode_scored(prompt, "green", True)
    assert tokens.ids == tuple(model.tokenizer("system: be kind\nuser: what colour is it?", "green")["input_ids"])


@pytest.mark.parametrize(("family", "kind"), [(family, kind) for family in ENCODERS for kind in ("base", "masked")])
def test_a_missing_weight_of_the_trunk_is_refused(family: str, kind: str, tmp_path: Path) -> None:
    """It would be random numbers in the middle of the model. Only a head and a pooler may be new."""
    tiny_encoder(tmp_path, tokenizer_of(family), family, kind)
    place = tmp_path / "model.safetensors"
    found = load_file(place)
    gone = next(
        name
        for name in sorted(found, reverse=True)
        if "layer" in name and name.endswith("weight") and "norm" not in name.lower()
    )
    save_file({name: value for name, value in found.items() if name != gone}, place, {"format": "pt"})
    with pytest.raises(UserError, match=rf"the weights lack .*{gone.split('.', 1)[1]}"):
        scalar_model(tmp_path)


def test_the_weights_of_another_family_are_refused(tmp_path: Path) -> None:
    """config.json says RoBERTa, the weights are BERT's by name: not one of them would be used."""
    tiny_encoder(tmp_path, wordpiece_tokenizer(), "bert", "masked")
    cfg = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(cfg | {"model_type": "roberta", "architectures": ["RobertaModel"]}))
    with pytest.raises(UserError, match=r"the weights lack roberta\.\S+ and \d+ more"):
        scalar_model(tmp_path)


@pytest.mark.parametrize("outputs", [("reward",), ("clarity", "truth", "wit")])
def test_a_fresh_head_has_the_outputs_that_were_asked_for(outputs: tuple[str, ...], tmp_path: Path) -> None:
    tiny_encoder(tmp_path, wordpiece_tokenizer(), "bert")
    model = ScalarModel.load(ModelConfig(path=str(tmp_path), precision="float32"), outputs)
    assert tuple(model.labels.values()) == outputs
    assert logits(model, rows_of(model)).shape == (len(PARTS), len(outputs))


def test_an_encoder_is_no_critic(tmp_path: Path, llama_folder: Path) -> None:
    policy = language_model(llama_folder)
    folder = tiny_encoder(tmp_path, policy.tokenizer, "bert", "classifier", num_labels=1)
    with pytest.raises(UserError, match="must be a causal model, not an encoder"):
        load_critic(CriticConfig(path=str(folder)), policy)
