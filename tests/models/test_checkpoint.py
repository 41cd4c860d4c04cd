from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from accordant.models.checkpoint import META, load_state, read_meta, replace_folder, save_checkpoint, save_state
from accordant.models.language import LanguageModel
from accordant.types import UserError
from tiny import language_model, random_prompts, scalar_model


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_failing_write_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    replace_folder(folder, lambda into: (into / "weights").write_text("old"))

    def fail(into: Path) -> None:
        (into / "weights").write_text("new")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        replace_folder(folder, fail)
    assert contents(tmp_path) == {"checkpoint/weights": b"old"}


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "checkpoint"
    replace_folder(folder, lambda into: (into / "old").write_text("1"))
    replace_folder(folder, lambda into: (into / "new").write_text("2"))
    assert contents(tmp_path) == {"deep/checkpoint/new": b"2"}


def test_what_a_kill_left_behind_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.new").mkdir()
    (tmp_path / ".checkpoint.new" / "half").write_text("...")
    replace_folder(tmp_path / "checkpoint", lambda into: (into / "weights").write_text("whole"))
    assert contents(tmp_path) == {"checkpoint/weights": b"whole"}


def test_a_merged_checkpoint_loads_with_plain_transformers(lora_llama: LanguageModel, tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    save_checkpoint(folder, lora_llama.module, lora_llama.tokenizer, {"stage": "sft"})
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor(random_prompts((9,), lora_llama.vocabulary))
    with torch.no_grad():
        adapted = lora_llama.module(input_ids=ids).logits
        torch.testing.assert_close(plain(input_ids=ids).logits, adapted, atol=1e-4, rtol=1e-4)
        with lora_llama.module.disable_adapter():
            assert not torch.allclose(lora_llama.module(input_ids=ids).logits, adapted, atol=1e-2)
    assert AutoTokenizer.from_pretrained(folder)("the red kite") == lora_llama.tokenizer("the red kite")
    assert read_meta(folder) == {"schema": 1, "stage": "sft"}
    assert not [path for path in folder.iterdir() if "adapter" in path.name]


def test_saving_leaves_the_adapters_in_training(lora_llama: LanguageModel, tmp_path: Path) -> None:
    before = {name: parameter.clone() for name, parameter in lora_llama.module.named_parameters()}
    save_checkpoint(tmp_path / "policy", lora_llama.module, lora_llama.tokenizer, {})
    after = dict(lora_llama.module.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["all weights", "lora"])
def test_a_reward_model_loads_with_plain_transformers(llama_folder: Path, tmp_path: Path, lora: dict[str, int] | None) -> None:
    model = scalar_model(llama_folder, lora=lora)
    model.module.eval()
    ids = torch.tensor(random_prompts((6, 6), 400))
    folder = tmp_path / "reward"
    save_checkpoint(folder, model.module, model.tokenizer, {})
    plain = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    again = scalar_model(folder)
    again.module.eval()
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        ours = model.logits(ids, mask)
        torch.testing.assert_close(plain(input_ids=ids).logits, ours, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(again.logits(ids, mask), ours, atol=1e-5, rtol=1e-5)


def test_meta_of_others_is_empty_and_of_the_future_refused(tmp_path: Path) -> None:
    assert read_meta(tmp_path) == {}
    (tmp_path / META).write_text(json.dumps({"schema": 99}))
    with pytest.raises(UserError, match="schema 99, this version reads up to 1"):
        read_meta(tmp_path)


@pytest.mark.parametrize("text", ["", '{"schema": 1, "eos"', "[1]", "7"])
def test_a_damaged_meta_says_what_to_do(text: str, tmp_path: Path) -> None:
    (tmp_path / META).write_text(text)
    with pytest.raises(UserError, match=r"accordant\.json is damaged .*: copy the checkpoint again"):
        read_meta(tmp_path)


def test_a_state_comes_back_and_nothing_else_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    assert load_state(path) is None
    save_state(path, {"weights": {"w": torch.arange(3.0)}, "count": 7, "rate": 0.1})
    state = load_state(path)
    assert state is not None
    assert (state["count"], state["rate"]) == (7, 0.1)
    assert torch.equal(state["weights"]["w"], torch.arange(3.0))
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"count": 1})
    with pytest.raises(Exception, match="pickle"):
        save_state(path, {"count": lambda: 2})
    state = load_state(path)
    assert state is not None
    assert state["count"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("damage", [b"", b"not a state", None], ids=["empty", "text", "cut in half"])
def test_a_damaged_state_says_what_to_do(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"weights": torch.zeros(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(UserError, match=r"state\.pt is damaged .*: delete it"):
        load_state(path)


def test_a_state_with_code_in_it_is_refused(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("executed",))

    path = tmp_path / "state.pt"
    torch.save({"schema": 1, "x": Payload()}, path)
    with pytest.raises(UserError, match="is damaged"):
        load_state(path)


def test_a_checkpoint_trains_on_where_it_was_saved(llama: LanguageModel, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "copy", llama.module, llama.tokenizer, {})
    copy = language_model(tmp_path / "copy")
    ours, theirs = llama.module.state_dict(), copy.module.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
