"""Supervised fine-tuning as a user runs it: which turns, packed rows, encoder-decoders, new tokens, raw text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from accordant.algos import sft
from accordant.data.rows import read
from accordant.data.template import Template, encode_all
from accordant.models.checkpoint import load_state, read_meta
from accordant.models.language import trunk_of
from accordant.stages import batches, offline
from accordant.types import Tokens, UserError
from builders import byte_level_tokenizer, encoder_tokenizer, target_tokenizer
from tasks import COLOURS, chats, metrics, run_stage, weights, write_rows
from tiny import language_model, tiny_causal, tiny_llama, tiny_seq2seq

LONG = "it was a long day, and after the rain somebody asked once more: "
STOP = "###STOP###"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A Llama that knows nothing yet: small weights, near-uniform predictions."""
    folder = tiny_llama(tmp_path_factory.mktemp("start"), byte_level_tokenizer(chat=True), initializer_range=0.05)
    return {"path": str(folder), "precision": "float32"}


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tiny_seq2seq(tmp_path_factory.mktemp("t5"), target_tokenizer(), dropout_rate=0.0)
    return {"path": str(folder), "precision": "float32"}


def conversations(path: Path) -> Path:
    """Two questions in each row, of which the first one's answer is learnt only if all turns are."""
    things = list(COLOURS.items())
    rows = []
    for (first, colour), (second, other) in zip(things, [*things[1:], things[0]], strict=True):
        turns = [("user", first), ("assistant", colour), ("user", f"and {second}"), ("assistant", other)]
        rows.append({"messages": [{"role": role, "content": text} for role, text in turns]})
    return write_rows(path, rows)


def uneven(path: Path) -> Path:
    """Rows of very different lengths."""
    rows = [
        {"prompt": f"{LONG[: 9 * i]}what colour is {k}?", "completion": f" {v}" * (1 + i % 3)}
        for i, (k, v) in enumerate(COLOURS.items())
    ]
    return write_rows(path, rows)


@pytest.mark.parametrize("turns", ["last", "all"])
def test_the_loss_is_that_of_the_turns_asked_for(turns: Any, start: dict[str, str], tmp_path: Path) -> None:
    rows = conversations(tmp_path / "rows.jsonl")
    result = run_stage("sft", tmp_path / "sft", model=start, data=str(rows), rows_per_step=6, max_steps=1, turns=turns)
    model = AutoModelForCausalLM.from_pretrained(start["path"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(start["path"])
    nll: list[float] = []
    for line in rows.read_text().splitlines():
        messages = json.loads(line)["messages"]
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            log_p = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        for number in (1, 3) if turns == "all" else (3,):
            # An answer begins where sampling would, and ends with the first EOS behind it.
            given = tokenizer.apply_chat_template(messages[:number], tokenize=False, add_generation_prompt=True)
            first = len(tokenizer(given, add_special_tokens=False)["input_ids"])
            last = ids.index(tokenizer.eos_token_id, first)
            nll += [-float(log_p[t - 1, ids[t]]) for t in range(first, last + 1)]
    assert metrics(tmp_path / "sft")[0]["nll"] == pytest.approx(sum(nll) / len(nll), abs=1e-5)
    assert result["turns"] == read_meta(result["checkpoint"])["turns"] == turns


def test_all_turns_teach_the_earlier_answers_and_the_last_one_does_not(start: dict[str, str], tmp_path: Path) -> None:
    rows = str(conversations(tmp_path / "rows.jsonl"))
    right = {}
    for turns in ("last", "all"):
        result = run_stage(
            "sft", tmp_path / turns, model=start, data=rows, rows_per_step=6, epochs=60, optim={"lr": 1e-2}, turns=turns
        )
        tokenizer = AutoTokenizer.from_pretrained(result["checkpoint"])
        model = AutoModelForCausalLM.from_pretrained(result["checkpoint"]).eval()
        right[turns] = 0
        for thing, colour in COLOURS.items():
            asked = [{"role": "user", "content": thing}]
            prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt").input_ids
            out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=8)
            right[turns] += tokenizer.decode(out[0, prompt.shape[1] :]) == f"{colour}</s>"
    assert right["all"] == 6
    assert right["last"] < 6


@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_packing_trains_the_same_model(family: str, lora: dict[str, int] | None, tmp_path: Path) -> None:
    folder = tiny_causal(tmp_path / "start", byte_level_tokenizer(), family, initializer_range=0.05)
    model = {"path": str(folder), "precision": "float32"} | ({"lora": lora} if lora else {})
    dropout = {"resid_pdrop", "embd_pdrop", "attn_pdrop"} & set(json.loads((folder / "config.json").read_text()))
    if dropout:  # its noise falls elsewhere
        config = json.loads((folder / "config.json").read_text()) | dict.fromkeys(dropout, 0.0)
        (folder / "config.json").write_text(json.dumps(config))
    rows = str(uneven(tmp_path / "rows.jsonl"))
    values: dict[str, Any] = {
        "model": model, "data": rows, "validation": rows, "rows_per_step": 4, "epochs": 5, "tokens_per_microbatch": 150,
        "optim": {"lr": 1e-3},
    }  # fmt: skip
    packed = run_stage("sft", tmp_path / "packed", **values)
    plain = run_stage("sft", tmp_path / "plain", **values, pack=False)
    assert (packed["packed"], plain["packed"]) == (True, False)
    first, second = weights(packed["checkpoint"]), weights(plain["checkpoint"])
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-4, rtol=0)
    for mine, theirs in zip(metrics(tmp_path / "packed"), metrics(tmp_path / "plain"), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-3)


def test_packed_rows_stay_within_the_budget_and_are_no_longer_than_the_longest(start: dict[str, str], tmp_path: Path) -> None:
    widths: list[tuple[int, ...]] = []

    def watch(module: nn.Module, args: Any, kwargs: dict[str, torch.Tensor]) -> None:  # noqa: ARG001
        widths.append(tuple(kwargs["input_ids"].shape))

    model = language_model(Path(start["path"]))
    items = encode_all(read(uneven(tmp_path / "rows.jsonl")) * 4, Template(model.tokenizer, 64))[0]
    trunk_of(model.module).register_forward_pre_hook(watch, with_kwargs=True)
    lengths = [len(item.ids) for item in items if isinstance(item, Tokens)]
    for layout in (batches.Layout(packed=True), batches.Layout()):
        widths.clear()
        parts = batches.batches(items, model, sft, 600, layout)
        with torch.no_grad():
            found = [batches.forward(model, part, layout) for part in parts]
        assert len(found) > 1
        assert all(rows * width <= 600 and width <= max(lengths) for rows, width in widths)
        trained = sum(float(part.loss_mask.sum()) for part in parts)
        assert trained == sum(sum(item.loss_mask) for item in items if isinstance(item, Tokens))
        computed = sum(rows * width for rows, width in widths)
        assert computed < 1.15 * sum(lengths) if layout.packed else computed > 1.15 * sum(lengths)


def test_rows_of_one_length_need_no_packing(start: dict[str, str]) -> None:
    """A mask that saves nothing would only cost attention its fast path."""
    model = language_model(Path(start["path"]))
    items = [Tokens((5, 6, 7, 8), (False, True, True, True), 1)] * 6
    (batch,) = batches.batches(items, model, sft, 100, batches.Layout(packed=True))
    assert batches.INTO not in batch.extra


def test_a_model_that_cannot_pack_is_trained_on_plain_rows_and_says_so(tmp_path: Path) -> None:
    folder = tiny_causal(tmp_path / "start", byte_level_tokenizer(), "bloom", initializer_range=0.05)
    result = run_stage("sft", tmp_path / "run", model={"path": str(folder)}, data=str(uneven(tmp_path / "rows.jsonl")))
    assert result["packed"] is False
    assert "every row is padded" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize("lora", [None, {"rank": 8}], ids=["all weights", "LoRA"])
def test_an_encoder_decoder_learns_known_answers(lora: dict[str, int] | None, t5: dict[str, str], tmp_path: Path) -> None:
    """And plain transformers loads it and says them, with the end."""
    result = run_stage(
        "sft", tmp_path / "sft", model=t5 | ({"lora": lora} if lora else {}), data=str(chats(tmp_path / "rows.jsonl")),
        rows_per_step=6, epochs=120, optim={"lr": 1e-2 if lora else 2e-2},
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(result["checkpoint"])
    model = AutoModelForSeq2SeqLM.from_pretrained(result["checkpoint"]).eval()
    for thing, colour in COLOURS.items():
        prompt = tokenizer(f"what colour is {thing}?", return_tensors="pt")
        out = model.generate(**prompt, do_sample=False, max_new_tokens=12)
        assert tokenizer.decode(out[0]) == f"<pad> {colour}</s>"
    assert result["packed"] is False


def test_the_loss_of_an_encoder_decoder_is_transformers_own(t5: dict[str, str], tmp_path: Path) -> None:
    """On what its tokenizer makes of prompt and target."""
    run_stage("sft", tmp_path / "sft", model=t5, data=str(chats(tmp_path / "rows.jsonl")), rows_per_step=6, max_steps=1)
    model = AutoModelForSeq2SeqLM.from_pretrained(t5["path"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(t5["path"])
    total = count = 0.0
    for thing, colour in COLOURS.items():
        labels = tokenizer(text_target=colour, return_tensors="pt").input_ids
        with torch.no_grad():
            loss = model(**tokenizer(f"what colour is {thing}?", return_tensors="pt"), labels=labels).loss
        total, count = total + float(loss) * labels.numel(), count + labels.numel()
    assert metrics(tmp_path / "sft")[0]["nll"] == pytest.approx(total / count, abs=1e-5)


def test_an_encoder_decoder_needs_prompts_and_learns_last_answers(t5: dict[str, str], tmp_path: Path) -> None:
    text = write_rows(tmp_path / "text.jsonl", [{"text": "the red kite"}])
    with pytest.raises(UserError, match=r"text\.jsonl:1: found bare text, but an encoder-decoder learns to answer"):
        run_stage("sft", tmp_path / "text", model=t5, data=str(text))
    rows = str(conversations(tmp_path / "rows.jsonl"))
    with pytest.raises(UserError, match=r"rows\.jsonl:1: turns=all, but an encoder-decoder .* set turns=last"):
        run_stage("sft", tmp_path / "all", model=t5, data=rows, turns="all")
    assert run_stage("sft", tmp_path / "last", model=t5, data=rows, max_steps=1)["steps"] == 1


@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["all weights", "LoRA"])
def test_new_tokens_are_learnt_saved_and_loaded_again(
    lora: dict[str, int] | None, start: dict[str, str], tmp_path: Path
) -> None:
    rows = [{"prompt": f"what colour is {k}?", "completion": f" {v}{STOP}"} for k, v in COLOURS.items()]
    if lora:  # wide weights: adapters cannot make the logits of small ones large
        folder = tiny_llama(tmp_path / "wide", byte_level_tokenizer())
        start = {"path": str(folder), "precision": "float32"}
    values: dict[str, Any] = {
        "model": start | ({"lora": lora} if lora else {}), "data": str(write_rows(tmp_path / "rows.jsonl", rows)),
        "rows_per_step": 6, "epochs": 80, "optim": {"lr": 1e-2}, "new_tokens": {STOP: "stop talking"}, "save_every": 30,
    }  # fmt: skip
    result = run_stage("sft", tmp_path / "sft", **values)
    tokenizer = AutoTokenizer.from_pretrained(result["checkpoint"])
    model = AutoModelForCausalLM.from_pretrained(result["checkpoint"]).eval()
    assert model.config.vocab_size == len(tokenizer) == 401
    for thing, colour in COLOURS.items():
        prompt = tokenizer(f"what colour is {thing}?", return_tensors="pt").input_ids
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=8)
        assert tokenizer.decode(out[0, prompt.shape[1] :]) == f" {colour}{STOP}</s>"
    meta = read_meta(result["checkpoint"])
    assert meta["new_tokens"] == result["new_tokens"] == {STOP: "stop talking"}
    assert (meta["new_tokens_init"], meta["train_new_tokens"]) == ("mean", True)
    # A run that was killed goes on with the same vocabulary to the same weights.
    state = load_state(tmp_path / "sft" / "state.pt")
    assert state is not None
    again = tmp_path / "again"
    again.mkdir()
    for name in ("state.pt", "metrics.jsonl"):
        (again / name).write_bytes((tmp_path / "sft" / name).read_bytes())
    resumed = run_stage("sft", again, **values)
    first, second = weights(result["checkpoint"]), weights(resumed["checkpoint"])
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_new_tokens_that_are_not_trained_stay_where_they_started(start: dict[str, str], tmp_path: Path) -> None:
    rows = [{"prompt": f"what colour is {k}?", "completion": f" {v}{STOP}"} for k, v in COLOURS.items()]
    result = run_stage(
        "sft", tmp_path / "sft", model=start, data=str(write_rows(tmp_path / "rows.jsonl", rows)), rows_per_step=6, epochs=5,
        optim={"lr": 1e-2, "weight_decay": 0.1}, new_tokens={STOP: "stop talking"}, new_tokens_init="sum",
        train_new_tokens=False,
    )  # fmt: skip
    before, after = weights(start["path"]), weights(result["checkpoint"])
    words = AutoTokenizer.from_pretrained(start["path"])("stop talking")["input_ids"]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        torch.testing.assert_close(after[name][400], before[name][words].sum(0), atol=1e-6, rtol=0)
        assert not torch.equal(after[name][:400], before[name])


def test_scratch_knows_no_words_to_start_new_tokens_from(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"new_tokens start from the embeddings of known words.* set model\.path"):
        run_stage("sft", tmp_path / "run", scratch={}, data=str(chats(tmp_path / "r.jsonl")), new_tokens={STOP: "stop talking"})


def test_a_checkpoint_stops_where_the_chat_template_ends_a_turn(tmp_path: Path) -> None:
    """Gemma's <end_of_turn> is not its EOS; plain transformers has to be told."""
    tokenizer = byte_level_tokenizer(bos=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end_of_turn>"]})
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{{ m['role'] + '\n' + m['content'] + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}"
    )
    folder = tiny_llama(tmp_path / "start", tokenizer, initializer_range=0.05)
    model = {"path": str(folder), "precision": "float32"}
    plain = run_stage("sft", tmp_path / "text", model=model, data=str(chats(tmp_path / "text.jsonl")), max_steps=1)
    talks = run_stage("sft", tmp_path / "chat", model=model, data=str(conversations(tmp_path / "chat.jsonl")), max_steps=1)
    end = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert GenerationConfig.from_pretrained(plain["checkpoint"]).eos_token_id == tokenizer.eos_token_id
    assert GenerationConfig.from_pretrained(talks["checkpoint"]).eos_token_id == [tokenizer.eos_token_id, end]


def test_raw_text_adapts_a_model_to_its_domain(start: dict[str, str], tmp_path: Path) -> None:
    """On unseen sentences of that domain; every token but the first is trained on."""

    def text(things: list[tuple[str, str]]) -> list[dict[str, str]]:
        return [{"text": f"the {k} is {v} and it stays {v}"} for k, v in things]

    both = [(k, v) for k in COLOURS for v in COLOURS.values()]
    rows, held = write_rows(tmp_path / "rows.jsonl", text(both[::2])), write_rows(tmp_path / "held.jsonl", text(both[1::2]))
    result = run_stage(
        "sft", tmp_path / "sft", model=start, data=str(rows), validation=str(held), rows_per_step=6, epochs=12,
        optim={"lr": 1e-2},
    )  # fmt: skip
    seen = [row["validation_nll"] for row in metrics(tmp_path / "sft") if "validation_nll" in row]
    assert result["validation"]["nll"] < 0.6 * seen[0]


def test_rows_that_train_on_nothing_are_refused(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "start", encoder_tokenizer(), initializer_range=0.05)
    with pytest.raises(UserError, match="none of the 6 rows has a token to train on"):
        run_stage("sft", tmp_path / "run", model={"path": str(folder)}, data=str(chats(tmp_path / "rows.jsonl")))


def test_the_knobs_of_writing_belong_to_algorithms_that_write() -> None:
    from accordant.algos import reward_pairwise

    assert offline.config_of(sft) is offline.WritingConfig
    assert offline.config_of(reward_pairwise) is offline.OfflineConfig
    assert not {"turns", "pack", "new_tokens"} & set(offline.OfflineConfig.model_fields)
