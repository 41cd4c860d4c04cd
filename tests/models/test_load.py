from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant.models.critic import CriticConfig, load_critic
from accordant.models.language import LanguageModel
from accordant.models.load import LoraConfig, ModelConfig, load_causal, load_scalar, load_tokenizer, require_scores, scalar_head
from accordant.types import UserError
from builders import byte_level_tokenizer
from tiny import language_model, scalar_model, tiny_causal, tiny_classifier, tiny_llama


def config(path: Path | str) -> ModelConfig:
    return ModelConfig(path=str(path), precision="float32")


@pytest.fixture
def broken(llama_folder: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be damaged."""
    return shutil.copytree(llama_folder, tmp_path / "broken")


def test_a_missing_folder_names_the_nearest(llama_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(llama_folder, tmp_path / "llama")
    with pytest.raises(UserError, match=r"no checkpoint folder .*lama.*; did you mean .*/llama\?"):
        load_causal(config(tmp_path / "lama"))


def test_a_folder_without_configuration_or_weights_says_what_is_missing(broken: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing"):
        load_causal(config(tmp_path))
    (broken / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds no weights: none of model\.safetensors"):
        load_causal(config(broken))


def test_a_folder_without_tokenizer(broken: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (broken / name).unlink()
    with pytest.raises(UserError, match="no tokenizer could be loaded from"):
        load_tokenizer(str(broken))


def test_a_hub_name_that_is_not_there_is_the_users_to_fix() -> None:
    """Offline (see conftest), so that the hub is never asked."""
    with pytest.raises(UserError, match="accordant-tests/nothing"):
        LanguageModel.load(config("accordant-tests/nothing"))


def test_two_words_are_a_folder_where_the_first_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a misspelt folder would be looked for on the hub, and the message would speak of the network."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "sft").mkdir(parents=True)
    message = r"no checkpoint folder runs/sfx; did you mean runs/sft\?; runs is a folder here: .*hf download runs/sfx"
    for ask in (lambda: load_tokenizer("runs/sfx"), lambda: LanguageModel.load(config("runs/sfx"))):
        with pytest.raises(UserError, match=message):
            ask()
    with pytest.raises(UserError, match="no checkpoint folder runs/no name; runs is a folder"):
        load_tokenizer("runs/no name")
    with pytest.raises(UserError, match=r"from rnus/sft \(there is no folder rnus/sft, so it was looked for on the hub\)"):
        load_tokenizer("rnus/sft")


def test_what_was_fetched_from_the_hub_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, file: f"/cache/{name}/{file}")
    with pytest.raises(UserError, match="looked for on the hub"):
        load_tokenizer("owner/model")


def test_damaged_weights(broken: Path) -> None:
    whole = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="no causal language model could be loaded from"):
        load_causal(config(broken))


def test_weights_of_another_size(broken: Path) -> None:
    found = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(found | {"intermediate_size": 64}))
    for load in (load_causal, lambda cfg: load_scalar(cfg, pad_id=3)):
        with pytest.raises(UserError, match=r"down_proj\.weight has shape \(32, 48\) in the weights but \(32, 64\)"):
            load(config(broken))


def test_a_configuration_that_is_not_json(broken: Path) -> None:
    (broken / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"no (configuration|causal language model) could be loaded from"):
        load_causal(config(broken))


def test_a_classifier_is_no_language_model(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Its language-model head would be random numbers, and nothing else would say so."""
    with pytest.raises(UserError, match=r"lm_head\.weight"):
        load_causal(config(tiny_classifier(tmp_path, tokenizer)))


def test_a_tokenizer_larger_than_the_model_is_not_its_own(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path, byte_level_tokenizer(), vocab_size=300)
    with pytest.raises(UserError, match="the tokenizer has 400 tokens, the model only 300"):
        LanguageModel.load(config(folder))


def test_tied_embeddings_load(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = language_model(tiny_llama(tmp_path, tokenizer, tie_word_embeddings=True))
    assert model.module.get_output_embeddings().weight is model.module.get_input_embeddings().weight


def test_a_fresh_head_is_small_seeded_and_centred(llama_folder: Path) -> None:
    first, again, other = (load_scalar(config(llama_folder), pad_id=3, seed=seed) for seed in (0, 0, 1))
    weights = [scalar_head(model).weight.detach() for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    many = torch.cat([scalar_head(load_scalar(config(llama_folder), 3, seed=seed)).weight.detach() for seed in range(20)])
    assert float(many.std()) == pytest.approx(1 / 33**0.5, rel=0.1)


def test_a_trained_head_is_kept(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tiny_classifier(tmp_path, tokenizer, labels=3)
    one, two = (load_scalar(config(folder), 3, seed=seed) for seed in (0, 1))
    assert torch.equal(scalar_head(one).weight, scalar_head(two).weight)
    assert scalar_head(one).out_features == 3


def test_lora_starts_as_the_base_and_trains_the_adapters_alone(llama_folder: Path) -> None:
    plain, adapted = language_model(llama_folder), language_model(llama_folder, lora={"rank": 2})
    ids = torch.tensor([[11, 12, 13]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(plain.hidden(ids, mask), adapted.hidden(ids, mask))
    trained = [name for name, parameter in adapted.module.named_parameters() if parameter.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)


def test_lora_adapters_follow_the_seed(llama_folder: Path) -> None:
    cfg = ModelConfig(path=str(llama_folder), precision="float32", lora={"rank": 2})
    first, again, other = (dict(load_causal(cfg, seed).named_parameters()) for seed in (0, 0, 1))
    name = next(name for name in first if "lora_A" in name)
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "bert"])
def test_the_scalar_head_is_found_in_every_family(family: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    assert scalar_head(scalar_model(tiny_classifier(tmp_path, tokenizer, family, labels=2)).module).out_features == 2


def test_a_model_without_scalar_head_says_so(llama: LanguageModel) -> None:
    with pytest.raises(UserError, match="no linear head"):
        scalar_head(llama.module)


def test_lora_on_gpt2_gives_no_notice(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tiny_causal(tmp_path, tokenizer, "gpt2")
    assert language_model(folder, lora={"rank": 2}).module.peft_config  # warnings are errors here


def test_adapters_for_modules_that_are_not_there(llama_folder: Path) -> None:
    with pytest.raises(UserError, match=r"model\.lora\.targets='q_porj' does not fit .* some of .*q_proj"):
        load_causal(ModelConfig(path=str(llama_folder), lora=LoraConfig(targets="q_porj")))


def test_a_model_without_a_trained_head_scores_nothing(
    llama_folder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """As a reward or as a critic its numbers would be those of a random head."""
    with pytest.raises(UserError, match="no reward model or classifier but a LlamaForCausalLM"):
        require_scores(config(llama_folder))
    with pytest.raises(UserError, match="scores would be random"):
        load_critic(CriticConfig(path=str(llama_folder)), language_model(llama_folder))
    require_scores(config(tiny_classifier(tmp_path, tokenizer)))
