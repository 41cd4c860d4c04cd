"""The offline loop: rows -> loss. Supervised fine-tuning, pretraining and reward models.

1 rows        read, encoded by the template, over-long ones named
2 model       loaded, or made from scratch
3 restore     a killed run goes on from its last saved step
4 batch       the rows of a step: a seeded permutation of each epoch
5 loss        micro-batches sorted by length within the step, terms divided by the step's counts; a reward model computes the
              prompt of a pair once, where it gives the same scores that way
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
from accordant.data.ratings import Scale
from accordant.data.rows import read
from accordant.data.template import Template, encode_all, ensure_pad
from accordant.models.checkpoint import copy_weights, load_state, put_weights, save_checkpoint, save_state
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig, device
from accordant.models.optim import NotFinite, OptimConfig, Optimiser
from accordant.models.scalar import ScalarModel
from accordant.models.scratch import ScratchConfig, make
from accordant.models.shared import shared_length, shared_logits, shares_prompts
from accordant.ops.batching import microbatches, move
from accordant.seeds import derive, permutation
from accordant.stages.folder import StageFolder
from accordant.stages.gradient import Meter, accumulate, dump_and_stop, total_counts
from accordant.types import (
    Batch,
    Labelled,
    LanguageOut,
    Metrics,
    Rating,
    Row,
    ScoreOut,
    Sums,
    TokenLabel,
    TokenPair,
    TokenRanking,
    TokenRating,
    Tokens,
    UserError,
)

Item = Tokens | TokenLabel | TokenRating | TokenPair | TokenRanking


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


def run(cfg: OfflineConfig, folder: StageFolder, algo: ModuleType, name: str) -> dict[str, Any]:
    """Train and write `checkpoint/`. Returns the small result."""
    started = time.monotonic()
    rows = read_rows(cfg.data, algo)
    saved = load_state(folder.state)
    scale = Scale.of(ratings) if (ratings := [row for row in rows if isinstance(row, Rating)]) else None
    model = build_model(cfg, algo, rows, saved, scale.names if scale else ("reward",))
    if said := ensure_pad(model.tokenizer):
        folder.note(said)
    template = Template(model.tokenizer, _max_length(cfg, model), scored_eos=cfg.eos, scale=scale)
    items, long = encode_all(rows, template, cfg.on_long)
    held = encode_all(read_rows(cfg.validation, algo), template, cfg.on_long)[0] if cfg.validation else []
    folder.note(
        f"{len(items)} rows" + (f", {len(held)} to validate" if held else "") + (f"; left out: {long}" if long.count else "")
    )
    if said := algo.check(items, cfg.algo):
        folder.note(said)
    trainer = Trainer(cfg, folder, algo, model, items, held)
    if said := trainer.about_prompts():
        folder.note(said)
    trainer.restore(saved)
    trainer.train(started)
    meta = {"algo": name, "max_length": template.max_length, "eos": cfg.eos, "seed": cfg.seed}
    if isinstance(model, ScalarModel):
        meta |= {"reads": "text" if isinstance(rows[0], Labelled) else "prompt and answer", **trainer.reward_scale(items)}
    if scale:
        meta |= {"target_mean": scale.mean, "target_sd": scale.sd}
    save_checkpoint(folder.checkpoint, model.module, model.tokenizer, meta)
    return {
        "checkpoint": str(folder.checkpoint), "rows": len(items), "left_out": long.count, "steps": trainer.total,
        "train": trainer.last, "validation": trainer.best, "best_step": trainer.best_step, "precision": model.precision,
        "shared_prompts": trainer.shared, "parameters": sum(p.numel() for p in model.module.parameters()),
        "train_seconds": round(trainer.seconds, 2),
    }  # fmt: skip


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
) -> LanguageModel | ScalarModel:
    """A loaded or a new model of the kind that the algorithm trains; a scalar one has these outputs."""
    if (cfg.model is None) == (cfg.scratch is None):
        raise UserError("give either model.path (start from a checkpoint) or scratch (start from nothing), and not both")
    precision = saved["precision"] if saved else None
    if cfg.scratch is not None:
        if algo.HEAD != "language":
            raise UserError("scratch makes a language model; a reward model starts from a checkpoint: set model.path")
        return make(cfg.scratch, rows, cfg.seed, precision)
    assert cfg.model is not None
    if algo.HEAD == "language":
        return LanguageModel.load(cfg.model, cfg.seed, precision)
    model = ScalarModel.load(cfg.model, outputs, cfg.seed, precision)
    # A head of one output is one reward whatever it is called; several are told apart by their names.
    if len(model.labels) != len(outputs) or (len(outputs) > 1 and list(model.labels.values()) != list(outputs)):
        raise UserError(
            f"{cfg.model.path} has the outputs {', '.join(model.labels.values())}, and these rows need {', '.join(outputs)}: "
            "start from a language model or an encoder without a head"
        )
    return model


def _max_length(cfg: OfflineConfig, model: LanguageModel | ScalarModel) -> int:
    context = model.context
    if cfg.max_length and context and cfg.max_length > context:
        raise UserError(f"max_length={cfg.max_length} is beyond the model's context of {context} tokens")
    return cfg.max_length or context or 1 << 20


class Trainer:
    """One offline training run: owns the optimiser and where it stands."""

    def __init__(
        self, cfg: OfflineConfig, folder: StageFolder, algo: ModuleType, model: LanguageModel | ScalarModel,
        items: Sequence[Item], held: Sequence[Item],
    ) -> None:  # fmt: skip
        self.cfg, self.folder, self.algo, self.model, self.items, self.held = cfg, folder, algo, model, items, held
        self.several = [item.answers for item in (*items, *held) if isinstance(item, TokenPair | TokenRanking)]
        self.shared = bool(self.several) and isinstance(model, ScalarModel) and shares_prompts(model, self.several)
        self.per_epoch = math.ceil(len(items) / cfg.rows_per_step)
        self.total = min(math.ceil(self.per_epoch * cfg.epochs), cfg.max_steps or 1 << 60)
        self.parameters: dict[str, nn.Parameter] = {n: p for n, p in model.module.named_parameters() if p.requires_grad}
        self.optimiser = Optimiser(self.parameters, cfg.optim, self.total)
        self.step = 0
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
        return f"answers share their prompt: {sum(map(shared_length, self.several))} tokens per epoch instead of {plain}"

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
        except NotFinite as error:
            ids = [list(text.ids) for item in items for text in _texts(item)]
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
        order = permutation(len(self.items), self.cfg.seed, "rows", epoch)
        chosen = order[place * self.cfg.rows_per_step : (place + 1) * self.cfg.rows_per_step]
        return [self.items[i] for i in chosen]

    def _batches(self, items: Sequence[Item]) -> list[Batch]:
        pad = self.model.tokenizer.pad_token_id
        batches: list[Batch] = []
        for some in _by_answers(items):
            rows, lengths = zip(*(_size(item, self.shared) for item in some), strict=True)
            parts = microbatches(lengths, self.cfg.tokens_per_microbatch, rows)
            batches += [move(self.algo.collate([some[i] for i in part], pad), device()) for part in parts]
        return batches

    def _loss(self, batch: Batch) -> tuple[Sums, Metrics]:
        out = forward(self.model, batch, self.shared)
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
        scores = torch.cat([forward(self.model, batch, self.shared).score.cpu() for batch in self._batches(some)])  # type: ignore[union-attr]
        return {"score_mean": scores.mean(0).tolist(), "score_sd": scores.std(0).clamp(min=1e-6).tolist()}


def forward(model: LanguageModel | ScalarModel, batch: Batch, shared: bool) -> LanguageOut | ScoreOut:
    """The model's view of a micro-batch; `shared`: of several answers to each prompt, which is computed once."""
    if isinstance(model, ScalarModel):
        if shared:
            return ScoreOut(shared_logits(model, batch.ids, batch.mask, batch.extra["prompt_length"]))
        return ScoreOut(model.logits(batch.ids, batch.mask))
    logp, _ = model.logp(batch.ids, batch.mask, batch.loss_mask)
    return LanguageOut(logp)


def _by_answers(items: Sequence[Item]) -> list[list[Item]]:
    """Items with equally many answers together: a batch is a table of K answers to N prompts."""
    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(len(_texts(item)), []).append(item)
    return list(groups.values())


def _size(item: Item, shared: bool) -> tuple[int, int]:
    """How many rows an item brings into a micro-batch, and the tokens of its longest."""
    texts = _texts(item)
    if shared and len(texts) > 1:
        return 1, shared_length(texts)
    return len(texts), max(len(text.ids) for text in texts)


def _texts(item: Item) -> tuple[Tokens, ...]:
    """All that a model reads of an item."""
    match item:
        case TokenPair(answers=answers) | TokenRanking(answers=answers):
            return answers
        case TokenLabel(tokens=tokens) | TokenRating(tokens=tokens):
            return (tokens,)
        case _:
            return (item,)
