"""The offline loop on tiny checkpoints: known answers are learned, and the best weights are the ones that are saved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from accordant.algos import reward_pairwise
from accordant.data.rows import read
from accordant.data.template import Template, encode_all
from accordant.models.checkpoint import load_state, read_meta
from accordant.models.language import trunk_of
from accordant.models.load import ModelConfig
from accordant.models.scalar import ScalarModel
from accordant.ops.batching import microbatches
from accordant.stages import offline
from accordant.stages.folder import StageFolder
from accordant.types import Chat, UserError
from builders import byte_level_tokenizer, encoder_tokenizer
from tasks import COLOURS, chats, labelled, metrics, pairs, run_stage, weights, write_rows
from tiny import tiny_classifier, tiny_llama


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A Llama that knows nothing yet: small weights, near-uniform predictions."""
    folder = tiny_llama(tmp_path_factory.mktemp("start"), byte_level_tokenizer(), initializer_range=0.05)
    return {"path": str(folder), "precision": "float32"}


def test_sft_learns_known_answers(start: dict[str, str], tmp_path: Path) -> None:
    result = run_stage(
        "sft", tmp_path / "sft", model=start, data=str(chats(tmp_path / "rows.jsonl")), rows_per_step=6, epochs=60,
        optim={"lr": 1e-2},
    )  # fmt: skip
    assert result["train"]["nll"] < 0.05
    tokenizer = AutoTokenizer.from_pretrained(result["checkpoint"])
    model = AutoModelForCausalLM.from_pretrained(result["checkpoint"]).eval()
    for thing, colour in COLOURS.items():
        prompt = tokenizer(f"what colour is {thing}?", return_tensors="pt").input_ids
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=8)
        assert tokenizer.decode(out[0, prompt.shape[1] :]) == f" {colour}</s>"  # and it stops


def test_only_completions_and_their_end_are_trained_on(
    start: dict[str, str], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    run_stage(
        "sft", tmp_path / "sft", model=start, data=str(chats(tmp_path / "rows.jsonl")), rows_per_step=6, max_steps=1,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(start["path"]).eval()
    template, nll = Template(tokenizer, 64), []
    for thing, colour in COLOURS.items():
        tokens = template.encode_chat(Chat(f"what colour is {thing}?", f" {colour}"))
        trained = [i for i, on in zip(tokens.ids, tokens.loss_mask, strict=True) if on]
        assert tokenizer.decode(trained) == f" {colour}</s>"
        with torch.no_grad():
            logp = model(torch.tensor([tokens.ids])).logits[0].double().log_softmax(-1)
        first = len(tokens.ids) - len(trained)
        nll += [-float(logp[first + t - 1, token]) for t, token in enumerate(trained)]
    assert metrics(tmp_path / "sft")[0]["nll"] == pytest.approx(sum(nll) / len(nll), abs=1e-5)


def test_a_reward_model_learns_to_tell_pairs_apart(start: dict[str, str], tmp_path: Path) -> None:
    rows = str(pairs(tmp_path / "rows.jsonl"))
    result = run_stage(
        "reward_pairwise",
        tmp_path / "rm",
        model=start,
        data=rows,
        validation=rows,
        rows_per_step=6,
        epochs=25,
        optim={"lr": 5e-3},
    )
    assert result["train"]["accuracy"] == result["validation"]["accuracy"] == 1
    assert result["train"]["preference"] < 0.1
    meta = read_meta(result["checkpoint"])
    assert (meta["algo"], meta["max_length"]) == ("reward_pairwise", 64)
    measured = run_stage("evaluate_reward", tmp_path / "check", model={"path": result["checkpoint"]}, data=rows)
    assert measured["heldout_accuracy"] == 1


def test_a_classifier_learns_to_tell_labels_apart(start: dict[str, str], tmp_path: Path) -> None:
    rows = str(labelled(tmp_path / "rows.jsonl"))
    result = run_stage(
        "reward_classifier", tmp_path / "rm", model=start, data=rows, rows_per_step=12, epochs=40, optim={"lr": 5e-3}
    )
    assert result["train"]["accuracy"] == 1
    assert result["train"]["bce"] < 0.1
    measured = run_stage("evaluate_reward", tmp_path / "check", model={"path": result["checkpoint"]}, data=rows)
    assert measured["heldout_accuracy"] == 1


def test_the_best_weights_by_validation_are_saved(start: dict[str, str], tmp_path: Path) -> None:
    """What validation asks contradicts what is trained on, so it gets worse after a few steps; those few are kept."""
    wrong = dict(zip(COLOURS, [*list(COLOURS.values())[1:], "red"], strict=True))
    held = write_rows(
        tmp_path / "held.jsonl", [{"prompt": f"what colour is {k}?", "completion": f" {v}"} for k, v in wrong.items()]
    )
    values: dict[str, Any] = {
        "model": start, "data": str(chats(tmp_path / "rows.jsonl")), "rows_per_step": 6, "epochs": 40,
        "optim": {"lr": 1e-2, "schedule": "constant"},
    }  # fmt: skip
    best = run_stage("sft", tmp_path / "best", **values, validation=str(held), validate_every=2)
    seen = {row["step"] + 1: row["validation_nll"] for row in metrics(tmp_path / "best") if "validation_nll" in row}
    assert best["best_step"] == min(seen, key=lambda step: seen[step]) < best["steps"] == 40
    assert best["validation"]["nll"] == min(seen.values())
    short = run_stage("sft", tmp_path / "short", **values, max_steps=best["best_step"])
    first, second = weights(best["checkpoint"]), weights(short["checkpoint"])
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_from_nothing(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": f"the {k} is {v} and it stays {v}"} for k, v in COLOURS.items()])
    shape = {"vocabulary": 270, "hidden": 32, "layers": 1, "heads": 2, "context": 48}
    result = run_stage("sft", tmp_path / "base", scratch=shape, data=str(rows), rows_per_step=6, epochs=100, optim={"lr": 1e-2})
    assert result["train"]["nll"] < 0.5 < metrics(tmp_path / "base")[0]["nll"]
    tokenizer = AutoTokenizer.from_pretrained(result["checkpoint"])
    assert tokenizer.decode(tokenizer("the sky is blue")["input_ids"]) == "<s>the sky is blue"
    assert AutoModelForCausalLM.from_pretrained(result["checkpoint"]).config.vocab_size == len(tokenizer)


@pytest.mark.parametrize(
    ("kind", "model", "message"),
    [
        ("sft", {}, "give either model.path .* or scratch"),
        ("sft", {"model": {"path": "x"}, "scratch": {}}, "and not both"),
        ("reward_pairwise", {"scratch": {}}, "a reward model starts from a checkpoint"),
        ("sft", {"scratch": {"hidden": 30, "heads": 4}}, "scratch.hidden=30 must be a multiple of 2 x scratch.heads=4"),
    ],
)
def test_where_to_start_from(kind: str, model: dict[str, Any], message: str, tmp_path: Path) -> None:
    rows = (pairs if kind == "reward_pairwise" else chats)(tmp_path / "rows.jsonl")
    with pytest.raises(UserError, match=message):
        run_stage(kind, tmp_path / "run", data=str(rows), **model)


def test_max_length_beyond_the_context(start: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="max_length=65 is beyond the model's context of 64 tokens"):
        run_stage("sft", tmp_path / "run", model=start, data=str(chats(tmp_path / "rows.jsonl")), max_length=65)


def test_numbers_that_are_none_stop_the_run_and_leave_the_batch(start: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step 1: the loss is .*not_finite\.pt.*lower optim\.lr"):
        run_stage(
            "sft", tmp_path / "run", model=start, data=str(chats(tmp_path / "rows.jsonl")), rows_per_step=2,
            optim={"lr": 1e30, "schedule": "constant"},
        )  # fmt: skip
    dumped = load_state(tmp_path / "run" / "not_finite.pt")
    assert dumped is not None
    assert dumped["step"] == 1
    assert len(dumped["ids"]) == 2
    assert [row["step"] for row in metrics(tmp_path / "run")] == [0]  # no line for a step that did not happen


def test_lora_trains_the_adapters_alone(start: dict[str, str], tmp_path: Path) -> None:
    """The merged checkpoint differs from the start in the adapted matrices and in nothing else."""
    result = run_stage(
        "sft", tmp_path / "run", model=start | {"lora": {"rank": 2, "targets": ["q_proj"]}},
        data=str(chats(tmp_path / "rows.jsonl")), rows_per_step=6, epochs=2, optim={"lr": 1e-2},
    )  # fmt: skip
    before, after = weights(start["path"]), weights(result["checkpoint"])
    assert {name for name in before if not torch.equal(before[name], after[name])} == {n for n in before if "q_proj" in n}


LONG = "it was a long day, and after the rain somebody asked once more: "


def rows_with_long_prompts(path: Path) -> str:
    rows = [
        {"prompt": f"{LONG[: 7 * i]}what colour is {k}?", "chosen": f" {v}", "rejected": f" not {v}", "margin": 0.1 * i}
        for i, (k, v) in enumerate(COLOURS.items())
    ]
    return str(write_rows(path, rows))


@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["all weights", "LoRA"])
def test_sharing_prompts_trains_the_same_reward_model(
    lora: dict[str, int] | None, start: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_with_long_prompts(tmp_path / "rows.jsonl")
    values: dict[str, Any] = {
        "model": start | ({"lora": lora} if lora else {}), "data": rows, "validation": rows, "rows_per_step": 4, "epochs": 5,
        "tokens_per_microbatch": 200, "max_length": 64, "optim": {"lr": 1e-3},
    }  # fmt: skip
    shared = run_stage("reward_pairwise", tmp_path / "shared", **values)
    monkeypatch.setattr(offline, "shares_prompts", lambda model, items: False)  # noqa: ARG005
    plain = run_stage("reward_pairwise", tmp_path / "plain", **values)
    assert (shared["shared_prompts"], plain["shared_prompts"]) == (True, False)
    first, second = weights(shared["checkpoint"]), weights(plain["checkpoint"])
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-4, rtol=0)
    scales = [read_meta(result["checkpoint"])["score_mean"] for result in (shared, plain)]
    assert scales[0] == pytest.approx(scales[1], abs=1e-4)
    for mine, theirs in zip(metrics(tmp_path / "shared"), metrics(tmp_path / "plain"), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-3)
    said = [(tmp_path / name / "log.txt").read_text() for name in ("shared", "plain")]
    (saved,) = re.findall(r"answers share their prompt: (\d+) tokens per epoch instead of (\d+)", said[0])
    assert f"every answer has a prompt of its own ({saved[1]} tokens per epoch)" in said[1]
    assert int(saved[0]) < 0.7 * int(saved[1])


def test_a_micro_batch_of_shared_rows_stays_within_the_budget(start: dict[str, str], tmp_path: Path) -> None:
    """Its rows are one for each pair, as long as prompt, chosen and rejected together."""
    widths = []

    def watch(module: torch.nn.Module, args: Any, kwargs: dict[str, torch.Tensor]) -> None:  # noqa: ARG001
        widths.append(tuple(kwargs["input_ids"].shape))

    model = ScalarModel.load(ModelConfig(**start))
    items = encode_all(read(rows_with_long_prompts(tmp_path / "rows.jsonl")), Template(model.tokenizer, 64))[0]
    cfg = offline.OfflineConfig(data="rows", algo=reward_pairwise.Config(), rows_per_step=6, tokens_per_microbatch=128)
    trainer = offline.Trainer(cfg, StageFolder(tmp_path, Console(quiet=True)), reward_pairwise, model, items, [])
    assert trainer.shared
    model.sharing = "padded"  # laid end to end, as on a CPU, they would have no width
    trunk_of(model.module).register_forward_pre_hook(watch, with_kwargs=True)
    trainer.one_step()
    lengths = [len(item.chosen.ids) + len(item.rejected.ids) - item.chosen.prompt_length for item in items]
    parts = microbatches(lengths, 128)
    computed = [rows * width for rows, width in widths]
    assert len(computed) == len(parts)
    for tokens, part in zip(computed, parts, strict=True):  # padded to the longest, or without any padding
        assert sum(lengths[i] for i in part) <= tokens <= len(part) * max(lengths[i] for i in part) <= 128
    assert 1 < len(parts) < len(items)


def test_a_model_that_cannot_share_prompts_is_trained_on_plain_rows(tmp_path: Path) -> None:
    encoder = tiny_classifier(tmp_path / "encoder", encoder_tokenizer(), "bert", initializer_range=0.05)
    rows = str(pairs(tmp_path / "rows.jsonl"))
    result = run_stage(
        "reward_pairwise", tmp_path / "rm", model={"path": str(encoder)}, data=rows, rows_per_step=6, epochs=25,
        optim={"lr": 5e-3},
    )  # fmt: skip
    assert result["shared_prompts"] is False
    assert result["train"]["accuracy"] == 1


def test_rows_without_pairs_share_nothing_and_nothing_is_said(start: dict[str, str], tmp_path: Path) -> None:
    result = run_stage("reward_classifier", tmp_path / "rm", model=start, data=str(labelled(tmp_path / "rows.jsonl")))
    assert result["shared_prompts"] is False
    assert "prompt" not in (tmp_path / "rm" / "log.txt").read_text()


def test_prompts_to_validate_on_that_are_trained_on_are_said(start: dict[str, str], tmp_path: Path) -> None:
    rows, own = pairs(tmp_path / "pairs.jsonl"), tmp_path / "own.jsonl"
    write_rows(own, [{"prompt": "what colour is tar?", "chosen": " black", "rejected": " not black"}])
    for name, held, said in (("same", rows, True), ("own", own, False)):
        run_stage("reward_pairwise", tmp_path / name, model=start, data=str(rows), validation=str(held), max_steps=1)
        log = (tmp_path / name / "log.txt").read_text()
        assert (f"6 prompts to validate on are trained on as well, such as {rows}:1 = {rows}:1" in log) == said
