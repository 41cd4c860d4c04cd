"""New tokens start at their description, in both embeddings; they are trained or not, merged, saved, and load again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from accordant.data.template import Template
from accordant.models.checkpoint import save_checkpoint
from accordant.models.language import LanguageModel, base_of
from accordant.models.load import ModelConfig
from accordant.models.new_tokens import NewTokens
from accordant.models.optim import OptimConfig, Optimiser
from accordant.models.seq2seq import Seq2SeqModel
from accordant.types import Chat, UserError
from builders import byte_level_tokenizer, metaspace_tokenizer, target_tokenizer
from tiny import tiny_causal, tiny_llama, tiny_seq2seq

STOP = "###STOP###"
MEANINGS = {STOP: "the old mill", "<|calm|>": "thank you"}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": False}, "gpt2": {}, "gemma": {}, "opt": {}, "gpt_neox": {"tie_word_embeddings": False},
}  # fmt: skip
LORA = {"lora": {"rank": 2}}


def load(
    folder: Path, init: str = "mean", trained: bool = True, meanings: dict[str, str] = MEANINGS, **config: Any
) -> LanguageModel:
    new = NewTokens(meanings, init, trained)  # type: ignore[arg-type]
    return LanguageModel.load(ModelConfig(path=str(folder), precision="float32", **config), new=new)


def tables(module: Any) -> dict[str, Tensor]:
    base = base_of(module)
    return {"in": base.get_input_embeddings().weight, "out": base.get_output_embeddings().weight}


@pytest.mark.parametrize("init", ["mean", "sum"])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_embeddings_start_at_the_descriptions(
    family: str, init: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = tiny_causal(tmp_path, tokenizer, family, **FAMILIES[family])
    before = tables(AutoModelForCausalLM.from_pretrained(folder))
    model = load(folder, init)
    after = tables(model.module)
    assert (before["in"] is before["out"]) == (after["in"] is after["out"])
    known = len(tokenizer)
    assert model.tokenizer.convert_tokens_to_ids(list(MEANINGS)) == [known, known + 1]
    for name, table in after.items():
        assert table.shape[0] == known + 2 == model.vocabulary
        assert torch.equal(table[:known], before[name])
        for row, words in zip(table[known:], MEANINGS.values(), strict=True):
            known_rows = before[name][tokenizer(words)["input_ids"]]
            torch.testing.assert_close(row, known_rows.sum(0) if init == "sum" else known_rows.mean(0))


def test_an_output_bias_gets_the_same(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    phi = AutoModelForCausalLM.from_config(AutoConfig.for_model("phi", vocab_size=len(tokenizer), **shape))
    with torch.no_grad():
        phi.lm_head.bias.copy_(torch.linspace(-1, 1, len(tokenizer)))
    phi.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    found = base_of(load(tmp_path).module).get_output_embeddings().bias
    torch.testing.assert_close(found[-1], phi.lm_head.bias[tokenizer(MEANINGS["<|calm|>"])["input_ids"]].mean())


@pytest.mark.parametrize("make", [byte_level_tokenizer, metaspace_tokenizer])
def test_texts_that_spell_them_have_them(make: Any, tmp_path: Path) -> None:
    """In prompts and in completions, where other control tokens stay text; and a description is read without them."""
    model = load(tiny_llama(tmp_path, make()))
    template, stop = Template(model.tokenizer, 64), model.tokenizer.convert_tokens_to_ids(STOP)
    tokens = template.encode_chat(Chat(f"the red{STOP}", f" kite{STOP} flew {STOP}</s>"))
    assert tokens.ids.count(stop) == 3
    assert tokens.ids.count(model.tokenizer.eos_token_id) == 1
    assert model.tokenizer.decode(tokens.ids[tokens.prompt_length :]).strip() == f"kite{STOP} flew {STOP}</s>"


@pytest.mark.parametrize(
    ("vocabulary", "wanted"), [(401, 402), (402, 402), (408, 408), (448, 448), (400, 402)],
    ids=["one row free", "just enough", "padded to 8", "padded to 64", "not padded"],
)  # fmt: skip
def test_a_padded_vocabulary_gives_its_free_rows_first(vocabulary: int, wanted: int, tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    assert len(tokenizer) == 400
    model = load(tiny_llama(tmp_path, tokenizer, vocab_size=vocabulary))
    assert model.vocabulary == base_of(model.module).get_output_embeddings().weight.shape[0] == wanted
    assert model.tokenizer.convert_tokens_to_ids(STOP) == 400


def test_a_vocabulary_that_was_padded_grows_to_the_same_multiple(tmp_path: Path) -> None:
    """And the rows that belong to no token are copies of one that belonged to none."""
    tokenizer = byte_level_tokenizer(vocab_size=383)
    folder = tiny_llama(tmp_path, tokenizer, vocab_size=384, tie_word_embeddings=False)
    last = {name: table[383] for name, table in tables(AutoModelForCausalLM.from_pretrained(folder)).items()}
    model = load(folder)
    assert model.vocabulary == 512
    for name, table in tables(model.module).items():
        assert torch.equal(table[385:], last[name].expand(127, -1))


def one_step(model: LanguageModel | Seq2SeqModel, weight_decay: float = 0.1) -> None:
    """An optimiser step on a row that reads and writes both new tokens."""
    parameters = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
    optimiser = Optimiser(parameters, OptimConfig(lr=0.1, schedule="constant", weight_decay=weight_decay), 1)
    ids = torch.tensor([[7, 9, *model.tokenizer.convert_tokens_to_ids(list(MEANINGS)), 11]])
    target = torch.tensor([[False, False, True, True, True]])
    (-model.logp(ids, torch.ones_like(target), target)[0].sum()).backward()
    optimiser.step()
    if model.frozen is not None:
        model.frozen.put_back()


def saved(model: Any, folder: Path) -> tuple[Any, Any]:
    save_checkpoint(folder, model.module, model.tokenizer, {})
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("lora", [{}, LORA], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("family", ["llama", "gpt2"], ids=["untied", "tied"])
def test_trained_or_not_and_saved_so_that_plain_transformers_gives_the_same_logits(
    family: str, trained: bool, lora: dict[str, Any], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = tiny_causal(tmp_path / "start", tokenizer, family, **FAMILIES[family])
    start = {name: table.detach().clone() for name, table in tables(load(folder).module).items()}
    model = load(folder, trained=trained, **lora)
    model.module.eval()
    one_step(model)
    plain, read = saved(model, tmp_path / "saved")
    ids = read(f"the red{STOP} kite <|calm|>", return_tensors="pt").input_ids
    assert {400, 401} <= set(ids[0].tolist())
    with torch.no_grad():
        ours = model.head(model.hidden(ids, torch.ones_like(ids, dtype=torch.bool)))
        torch.testing.assert_close(plain(input_ids=ids).logits, ours, atol=1e-4, rtol=1e-4)
    for name, table in tables(plain).items():
        moved = (table[400:] - start[name][400:]).abs().amax(1)
        assert (moved > 1e-3).all() if trained else (moved == 0).all(), name
        if lora:  # the other rows are the base's, which LoRA leaves alone
            assert torch.equal(table[:400], start[name][:400])
        else:
            assert not torch.equal(table[:400], start[name][:400])
    assert (plain.get_input_embeddings().weight is plain.get_output_embeddings().weight) == (family == "gpt2")


@pytest.mark.parametrize("lora", [{}, LORA], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("family", ["t5", "t5, untied", "bart"])
def test_encoder_decoders_too(family: str, lora: dict[str, Any], tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    folder = tiny_seq2seq(tmp_path / "start", target_tokenizer(), family)
    model = Seq2SeqModel.load(ModelConfig(path=str(folder), precision="float32", **lora), new=NewTokens(MEANINGS))
    model.module.eval()
    before = {name: table.detach().clone() for name, table in tables(model.module).items()}
    one_step(model)
    save_checkpoint(tmp_path / "saved", model.module, model.tokenizer, {})
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "saved").eval()
    new = model.tokenizer.convert_tokens_to_ids(list(MEANINGS))
    ids, target = torch.tensor([[7, new[0], 9, new[1], 3]]), torch.tensor([[False, False, True, True, True]])
    with torch.no_grad():
        ours = -model.logp(ids, torch.ones_like(target), target)[0].sum() / 3
        theirs = plain(input_ids=ids[:, :2], labels=ids[:, 2:]).loss
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    assert all((table[new] != before[name][new]).any() for name, table in tables(plain).items() if name == "out")


@pytest.mark.parametrize(
    ("meanings", "message"),
    [
        ({"</s>": "stop talking"}, "'</s>' is already a token: choose another"),
        ({"the": "an article"}, "'the' is already a token"),
        ({"": "nothing"}, "'' is empty"),
        ({STOP: " "}, r"'###STOP###' has no description; say what it means"),
    ],
)
def test_mistakes_are_named(meanings: dict[str, str], message: str, llama_folder: Path) -> None:
    with pytest.raises(UserError, match=message):
        load(llama_folder, meanings=meanings)
