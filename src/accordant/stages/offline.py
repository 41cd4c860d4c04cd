"""The offline loop: rows -> loss. Supervised fine-tuning, pretraining and reward models.

1 rows        read, encoded by the template, over-long ones named
2 model       loaded, or made from scratch
3 restore     a killed run goes on from its last saved step
4 batch       the rows of a step: a seeded permutation of each epoch
5 loss        micro-batches (`stages/batches.py`) sorted by length within the step, terms divided by the step's counts; a
              reward model computes the prompt of a pair once and a language model packs short rows, where that gives the
              same numbers
6 step        clip, AdamW, schedule
7 validate    the same loss on rows that nothing trains on; the best weights are kept
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from accordant.config import REQUIRED, Config, knob
from accordant.data.origin import about_data
from accordant.data.ratings import Scale
from accordant.data.rows import read
from accordant.data.split import in_both
from accordant.data.template import LongRows, Template, encode_all, ensure_pad
from accordant.models.checkpoint import ancestry, copy_weights, load_state, put_weights, save_checkpoint, save_state
from accordant.models.generate import add_stop
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig, is_encoder_decoder
from accordant.models.new_tokens import NewTokens
from accordant.models.optim import NotFinite, OptimConfig, Optimiser
from accordant.models.packed import packs_rows
from accordant.models.scalar import ScalarModel
from accordant.models.scratch import ScratchConfig, make
from accordant.models.seq2seq import Seq2SeqModel
from accordant.models.shared import shared_length, shares_prompts
from accordant.seeds import derive, permutation
from accordant.stages.batches import Item, Layout, Model, batches, forward, texts
from accordant.stages.folder import StageFolder
from accordant.stages.gradient import Meter, accumulate, dump_and_stop, total_counts
from accordant.types import (
    Batch,
    Chat,
    Labelled,
    Metrics,
    Rating,
    Row,
    Sums,
    TokenPair,
    TokenRanking,
    TokenRating,
    Tokens,
    UserError,
)


class OfflineConfig(Config):
    """Training on rows."""

    model: ModelConfig | None = knob(None, "the checkpoint to start from")
    scratch: ScratchConfig | None = knob(None, "or the shape of a new model, its tokenizer trained on the rows")
    data: str = knob(REQUIRED, "rows to train on: a file, or hub:owner/name:split", min_length=1)
    validation: str | None = knob(None, "rows that choose the best weights and are never trained on")
    algo: Config = knob(REQUIRED, "the algorithm's knobs")
    optim: OptimConfig = knob(OptimConfig(), "the optimiser")
    rows_per_step: int = knob(32, "rows of one optimiser step", "rows", gt=0)
    epochs: float = knob(1.0, "passes over the rows", gt=0)
    max_steps: int | None = knob(None, "stop after this many steps, whatever the epochs", "steps", gt=0)
    tokens_per_microbatch: int = knob(
        16_384, "padded tokens in memory at once; changes results by rounding only", "tokens", gt=0
    )
    max_length: int | None = knob(None, "longest row; none = the model's context", "tokens", gt=1)
    on_long: Literal["error", "drop"] = knob("error", "an over-long row stops the stage, or is left out and named")
    eos: bool = knob(
        True, "texts that are classified or scored end with EOS; no for a classifier that will judge answers cut at a limit"
    )
    validate_every: int | None = knob(None, "steps between validations; none = at the end of each epoch", "steps", gt=0)
    save_every: int = knob(50, "steps between saved states", "steps", gt=0)
    seed: int = knob(0, "seed of order, heads and dropout")


class WritingConfig(OfflineConfig):
    """Training on rows of text that a model is to write."""

    turns: Literal["last", "all"] = knob("last", "of a conversation, train on the last answer or on all the assistant's turns")
    pack: bool = knob(True, "pack short rows into one without cross-talk, where the model gives the same numbers that way")
    new_tokens: dict[str, str] = knob({}, 'new tokens and what they mean, as {"###STOP###": "stop talking"}')
    new_tokens_init: Literal["mean", "sum"] = knob("mean", "what a new token's embeddings are of its description's")
    train_new_tokens: bool = knob(True, "new tokens' embeddings are trained, under LoRA too; no: they stay at their start")


def config_of(algo: ModuleType) -> type[OfflineConfig]:
    """The settings of an algorithm's stage, without its own knobs."""
    return WritingConfig if algo.HEAD == "language" else OfflineConfig


def run(cfg: OfflineConfig, folder: StageFolder, algo: ModuleType, name: str) -> dict[str, Any]:
    """Train and write `checkpoint/`. Returns the small result."""
    started = time.monotonic()
    rows = read_rows(cfg.data, algo)
    saved = load_state(folder.state)
    scale = Scale.of(ratings) if (ratings := [row for row in rows if isinstance(row, Rating)]) else None
    model = build_model(cfg, algo, rows, saved, scale.names if scale else ("reward",))
    if said := ensure_pad(model.tokenizer):
        folder.note(said)
    writing = cfg if isinstance(cfg, WritingConfig) else None
    template = Template(
        model.tokenizer, _max_length(cfg, model), scored_eos=cfg.eos, scale=scale, turns=writing.turns if writing else "last",
        encoder_decoder=isinstance(model, Seq2SeqModel),
    )  # fmt: skip
    items, long = encode_all(rows, template, cfg.on_long)
    if scale:
        _check_rated(scale, items)
    folder.note(_counted(items, long))
    if said := algo.check(items, cfg.algo):
        folder.note(said)
    held = _held(cfg, folder, algo, template, rows)
    trainer = Trainer(cfg, folder, algo, model, items, held)
    for said in filter(None, (trainer.about_prompts(), trainer.about_packing())):
        folder.note(said)
    trainer.restore(saved)
    trainer.train(started)
    meta = {"algo": name, "max_length": template.max_length, "eos": cfg.eos, "seed": cfg.seed}
    if isinstance(model, ScalarModel):
        meta |= {"reads": "text" if isinstance(rows[0], Labelled) else "prompt and answer", **trainer.reward_scale(items)}
    if scale:
        meta |= {"target_mean": scale.mean, "target_sd": scale.sd}
    meta |= about_data(cfg.data, cfg.validation) | (ancestry(cfg.model.path) if cfg.model else {})
    trained = _what_was_trained(writing, trainer.layout) if writing else {}
    if any(isinstance(row, Chat) and not isinstance(row.prompt, str) for row in rows):
        add_stop(model.module, template.closing)
    save_checkpoint(folder.checkpoint, model.module, model.tokenizer, meta | trained)
    return {
        "checkpoint": str(folder.checkpoint), "rows": len(items), "left_out": long.count, "steps": trainer.total,
        "train": trainer.last, "validation": trainer.best, "best_step": trainer.best_step, "precision": model.precision,
        "shared_prompts": trainer.shared, "parameters": sum(p.numel() for p in model.module.parameters()),
        "train_seconds": round(trainer.seconds, 2), **trained,
    }  # fmt: skip


def _held(cfg: OfflineConfig, folder: StageFolder, algo: ModuleType, template: Template, trained: Sequence[Row]) -> list[Item]:
    """The rows to validate on: they, too, have to say something to the algorithm, or any weights would be the best."""
    if cfg.validation is None:
        return []
    rows = read_rows(cfg.validation, algo)
    if shared := in_both(rows, trained):
        folder.note(
            f"{len(shared)} prompts to validate on are trained on as well, such as {shared[0][0]} = {shared[0][1]}: the "
            "validation figures will flatter; `accordant prepare` splits by prompt"
        )
    held, long = encode_all(rows, template, cfg.on_long)
    folder.note(f"{_counted(held, long)} to validate")
    try:
        said = algo.check(held, cfg.algo)
    except UserError as error:
        raise UserError(f"validation={cfg.validation}: {error}") from None
    if said:
        folder.note(f"to validate: {said}")
    return held


def _check_rated(scale: Scale, items: Sequence[Item]) -> None:
    """Raises UserError for an attribute that only rows rate which were left out: its output would stay random."""
    for name, column in zip(
        scale.names, zip(*(i.scores for i in items if isinstance(i, TokenRating)), strict=True), strict=True
    ):
        if all(map(math.isnan, column)):
            raise UserError(f"all rows that rate {name!r} are too long and left out: raise max_length, or take that rating out")


def _counted(items: Sequence[Item], long: LongRows) -> str:
    return f"{len(items)} rows" + (f" (left out: {long})" if long.count else "")


def _what_was_trained(cfg: WritingConfig, layout: Layout) -> dict[str, Any]:
    """For the checkpoint and the result: which turns, whether packed, and the new tokens."""
    found: dict[str, Any] = {"turns": cfg.turns, "packed": layout.packed, "new_tokens": cfg.new_tokens}
    return found | (
        {"new_tokens_init": cfg.new_tokens_init, "train_new_tokens": cfg.train_new_tokens} if cfg.new_tokens else {}
    )


def read_rows(path: str, algo: ModuleType) -> list[Row]:
    """Rows of a file, all of a kind that the algorithm learns from. Raises UserError naming the first that is not."""
    rows = read(path)
    for row in rows:
        if type(row).__name__ not in algo.ROWS:
            raise UserError(
                f"{row.source}: found a {type(row).__name__} row, but {algo.__name__.rpartition('.')[2]} learns from "
                f"{' or '.join(algo.ROWS)} rows"
            )
    return rows


def build_model(
    cfg: OfflineConfig, algo: ModuleType, rows: Sequence[Row], saved: dict[str, Any] | None, outputs: Sequence[str]
) -> Model:
    """A loaded or a new model of the kind that the algorithm trains; a scalar one has these outputs."""
    if (cfg.model is None) == (cfg.scratch is None):
        raise UserError("give either model.path (start from a checkpoint) or scratch (start from nothing), and not both")
    precision = saved["precision"] if saved else None
    if cfg.scratch is not None:
        if algo.HEAD != "language":
            raise UserError("scratch makes a language model; a reward model starts from a checkpoint: set model.path")
        if isinstance(cfg, WritingConfig) and cfg.new_tokens:
            raise UserError("new_tokens start from the embeddings of known words, and scratch knows none: set model.path")
        return make(cfg.scratch, rows, cfg.seed, precision)
    assert cfg.model is not None
    if isinstance(cfg, WritingConfig):
        new = NewTokens(cfg.new_tokens, cfg.new_tokens_init, cfg.train_new_tokens) if cfg.new_tokens else None
        kind = Seq2SeqModel if is_encoder_decoder(cfg.model) else LanguageModel
        return kind.load(cfg.model, cfg.seed, precision, new)
    model = ScalarModel.load(cfg.model, outputs, cfg.seed, precision)
    # A head of one output is one reward whatever it is called; several are told apart by their names.
    if len(model.labels) != len(outputs) or (len(outputs) > 1 and list(model.labels.values()) != list(outputs)):
        raise UserError(
            f"{cfg.model.path} has the outputs {', '.join(model.labels.values())}, and these rows need {', '.join(outputs)}: "
            "start from a language model or an encoder without a head"
        )
    if any(isinstance(row, Rating) for row in rows):
        model.call_outputs(outputs)  # an attribute is found by its name
    return model


def _max_length(cfg: OfflineConfig, model: Model) -> int:
    context = model.context
    if cfg.max_length and context and cfg.max_length > context:
        raise UserError(f"max_length={cfg.max_length} is beyond the model's context of {context} tokens")
    return cfg.max_length or context or 1 << 20


class Trainer:
    """One offline training run: owns the optimiser and where it stands."""

    def __init__(
        self, cfg: OfflineConfig, folder: StageFolder, algo: ModuleType, model: Model,
        items: Sequence[Item], held: Sequence[Item],
    ) -> None:  # fmt: skip
        self.cfg, self.folder, self.algo, self.model, self.items, self.held = cfg, folder, algo, model, items, held
        self.several = [item.answers for item in (*items, *held) if isinstance(item, TokenPair | TokenRanking)]
        self.shared = bool(self.several) and isinstance(model, ScalarModel) and shares_prompts(model, self.several)
        self.layout = Layout(self.shared, self._packs())
        self.per_epoch = math.ceil(len(items) / cfg.rows_per_step)
        self.total = min(math.ceil(self.per_epoch * cfg.epochs), cfg.max_steps or 1 << 60)
        self.parameters: dict[str, nn.Parameter] = {n: p for n, p in model.module.named_parameters() if p.requires_grad}
        self.frozen = None if isinstance(model, ScalarModel) else model.frozen
        self.optimiser = Optimiser(self.parameters, cfg.optim, self.total, fused=True)
        self.step = 0
        self.order: tuple[int, list[int]] | None = None  # of the rows, in the epoch that was asked for last
        self.seconds = 0.0
        self.last: dict[str, float] = {}
        self.best: dict[str, float] | None = None
        self.best_step: int | None = None
        self.best_weights: dict[str, Tensor] = {}

    def about_prompts(self) -> str:
        """Whether the answers to a prompt share it, and the tokens that saves; "" where there are no such answers."""
        if not self.several:
            return ""
        plain = sum(len(answer.ids) for answers in self.several for answer in answers)
        if not self.shared:
            return f"every answer has a prompt of its own ({plain} tokens per epoch): this model cannot share one exactly"
        saved = f"{sum(map(shared_length, self.several))} tokens per epoch instead of {plain}"
        return f"answers share their prompt: {saved}, computed in {self.model.sharing} rows"  # type: ignore[union-attr]

    def _packs(self) -> bool:
        """Whether short rows are packed: where that is wanted and the model gives the same numbers."""
        wanted = isinstance(self.cfg, WritingConfig) and self.cfg.pack and isinstance(self.model, LanguageModel)
        rows = [item for item in (*self.items, *self.held) if isinstance(item, Tokens)]
        return bool(wanted and rows) and packs_rows(self.model, rows)  # type: ignore[arg-type]

    def about_packing(self) -> str:
        """Why rows that were to be packed are not; "" where they are, or were not to be."""
        if self.layout.packed or not (isinstance(self.cfg, WritingConfig) and self.cfg.pack):
            return ""
        return "every row is padded: this model cannot compute several in one exactly"

    def restore(self, saved: dict[str, Any] | None) -> None:
        """Go on from a saved state."""
        if saved is None:
            self.folder.rewind_metrics(0)
            return
        put_weights(self.parameters, saved["weights"])
        self.optimiser.restore(saved["optimiser"])
        self.step, self.seconds, self.last = saved["step"], saved["seconds"], saved["last"]
        self.best, self.best_step, self.best_weights = saved["best"], saved["best_step"], saved["best_weights"]
        self.folder.rewind_metrics(self.step)
        self.folder.note(f"going on from step {self.step}")

    def save(self) -> None:
        save_state(self.folder.state, {
            "weights": copy_weights(self.parameters), "optimiser": self.optimiser.state(),
            "step": self.step, "seconds": self.seconds, "last": self.last,
            "best": self.best, "best_step": self.best_step, "best_weights": self.best_weights,
            "precision": self.model.precision,
        })  # fmt: skip

    def train(self, started: float) -> None:
        """All steps that are left; the best weights (or the last ones, without validation) are in the model at the end."""
        before = self.seconds
        with self.folder.progress(self.algo.__name__.rpartition(".")[2], self.total, self.step) as bar:
            while self.step < self.total:
                self.one_step()
                self.seconds = before + time.monotonic() - started
                word = "  ".join(f"{k} {v:.3f}" for k, v in list(self.last.items())[:2])
                bar.advance(word)
                if self.step % self.cfg.save_every == 0 and self.step < self.total:
                    self.save()
        if self.best_weights:
            put_weights(self.parameters, self.best_weights)

    def one_step(self) -> None:
        """Rows of this step -> new weights; validation where it is due."""
        torch.manual_seed(derive(self.cfg.seed, "dropout", self.step))
        self.model.module.train()
        items = self.rows_of(self.step)
        lr, meter = self.optimiser.lr(), Meter()
        try:
            parts = self._batches(items)
            totals = total_counts(self.algo.counts(batch) for batch in parts)
            accumulate(parts, self._loss, totals, meter)
            norm = self.optimiser.step()
            if self.frozen is not None:
                self.frozen.put_back()
        except NotFinite as error:
            ids = [list(text.ids) for item in items for text in texts(item)]
            raise dump_and_stop(error, self.folder.path, self.step, {"ids": ids}) from None
        self.last = meter.means()
        self.step += 1
        row = {"step": self.step - 1, **self.last, "grad_norm": norm, "lr": lr}
        every = self.cfg.validate_every or self.per_epoch
        if self.held and (self.step % every == 0 or self.step == self.total):
            row |= {f"validation_{k}": v for k, v in self._validate().items()}
        self.folder.metric(row)

    def rows_of(self, step: int) -> list[Item]:
        """The rows of a step: epochs are seeded permutations laid end to end, each with its own shorter last step."""
        epoch, place = divmod(step, self.per_epoch)
        if self.order is None or self.order[0] != epoch:
            self.order = epoch, permutation(len(self.items), self.cfg.seed, "rows", epoch)
        chosen = self.order[1][place * self.cfg.rows_per_step : (place + 1) * self.cfg.rows_per_step]
        return [self.items[i] for i in chosen]

    def _batches(self, items: Sequence[Item]) -> list[Batch]:
        return batches(items, self.model, self.algo, self.cfg.tokens_per_microbatch, self.layout)

    def _loss(self, batch: Batch) -> tuple[Sums, Metrics]:
        out = forward(self.model, batch, self.layout)
        return self.algo.loss(out, batch, self.cfg.algo)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Means over the held-out rows; lower first term = better, and then the weights are remembered."""
        self.model.module.eval()
        meter = Meter()
        for batch in self._batches(self.held):
            meter.add(self._loss(batch)[1])
        means = meter.means()
        criterion = next(iter(means))
        if self.best is None or means[criterion] < self.best[criterion]:
            self.best, self.best_step, self.best_weights = means, self.step, copy_weights(self.parameters)
        return means

    @torch.no_grad()
    def reward_scale(self, items: Sequence[Item]) -> dict[str, list[float]]:
        """Mean and standard deviation of each output of a reward model on its own answers, so that rewards have unit size."""
        self.model.module.eval()
        some = [items[i] for i in permutation(len(items), self.cfg.seed, "reference answers")[:512]]
        scores = torch.cat([forward(self.model, batch, self.layout).score.cpu() for batch in self._batches(some)])  # type: ignore[union-attr]
        spread = scores.std(0, correction=min(1, len(scores) - 1))  # a single score has none
        return {"score_mean": scores.mean(0).tolist(), "score_sd": torch.where(spread > 1e-6, spread, 1.0).tolist()}
