"""From a folder or a hub name to weights and a tokenizer. LoRA, precision and a fresh start are arguments, never variants."""

from __future__ import annotations

import difflib
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, TypeAlias

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from accordant.config import REQUIRED, Config, knob
from accordant.seeds import derive
from accordant.types import UserError

transformers_logging.disable_progress_bar()

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


Rows: TypeAlias = "dict[str, list[int]]"
"""Rows of embeddings, by the names of their modules."""


class LoraConfig(Config):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), merged into the base when the stage ends."""

    rank: int = knob(16, "rank of the update", ge=1)
    alpha: float = knob(32.0, "scale of the update is alpha / rank", gt=0)
    dropout: float = knob(0.0, "dropout on the adapter's input; online training always runs without", ge=0, lt=1)
    targets: str | tuple[str, ...] = knob("all-linear", "module names to adapt, or all-linear")


class ModelConfig(Config):
    """Which weights to start from and how to hold them."""

    path: str = knob(REQUIRED, "checkpoint folder or hub name (owner/name)", min_length=1)
    precision: Literal["auto", "float32", "bfloat16"] = knob(
        "auto", "arithmetic of the forward pass; weights stay float32; auto measures once which is faster"
    )
    lora: LoraConfig | None = knob(None, "train low-rank adapters instead of all weights")
    trust_remote_code: bool = knob(False, "run Python code that comes with the checkpoint")


def load_tokenizer(path: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer. Raises UserError where there is none."""
    _check_folder(path)
    return _loaded(path, lambda: AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code), "tokenizer")


def is_encoder_decoder(cfg: ModelConfig) -> bool:
    """Whether the checkpoint reads a prompt with one half and writes the answer with the other, as T5 and BART do."""
    _check_folder(cfg.path)
    return bool(getattr(_configuration(cfg), "is_encoder_decoder", False))


def load_causal(cfg: ModelConfig, seed: int = 0, extend: Callable[[PreTrainedModel], Rows] | None = None) -> nn.Module:
    """A causal language model in float32 on the CPU or the accelerator, with fresh adapters if asked.

    `extend` changes the model before the adapters come, and names the rows of embeddings that are trained beside them.
    """
    if is_encoder_decoder(cfg):
        raise UserError(f"{cfg.path} is an encoder-decoder; only sft knows those: start from a causal language model")
    return _language(AutoModelForCausalLM, cfg, seed, extend, "CAUSAL_LM")


def load_seq2seq(cfg: ModelConfig, seed: int = 0, extend: Callable[[PreTrainedModel], Rows] | None = None) -> nn.Module:
    """An encoder-decoder, as `load_causal` loads a causal model."""
    return _language(AutoModelForSeq2SeqLM, cfg, seed, extend, "SEQ_2_SEQ_LM")


def _language(auto: Any, cfg: ModelConfig, seed: int, extend: Callable[[PreTrainedModel], Rows] | None, task: str) -> nn.Module:
    what = "causal language model" if task == "CAUSAL_LM" else "encoder-decoder"
    model, report = _pretrained(auto, cfg, what)
    _check_whole(cfg.path, report)
    rows = extend(model) if extend else None
    return _adapted(model, cfg, task, seed, rows=rows).to(device())


def load_scalar(cfg: ModelConfig, pad_id: int, outputs: Sequence[str] = ("reward",), seed: int = 0) -> nn.Module:
    """A model that scores a text: a sequence classifier, or another checkpoint with a fresh, small head of these outputs.

    A fresh head starts at standard deviation 1/sqrt(H + 1), so that first scores have unit size (Stiennon et al. 2020,
    arXiv 2009.01325). A trained one keeps its own outputs. Under LoRA the head is trained in full, and so is all else that is
    new (an encoder's pooler): an adapter on random weights would train a small part of what nothing has trained yet.
    """
    _check_folder(cfg.path, weights=True)
    torch.manual_seed(derive(seed, "fresh weights"))  # a pooler that the checkpoint lacks is drawn while loading
    trained = any("SequenceClassification" in name for name in _architectures(cfg))
    names = dict(enumerate(outputs))
    options = {} if trained else {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    model, report = _pretrained(AutoModelForSequenceClassification, cfg, "sequence classifier", **options)
    _check_whole(cfg.path, report, "" if trained else model.base_model_prefix)
    model.config.pad_token_id = pad_id
    if not trained:
        head = scalar_head(model)
        with torch.no_grad():
            noise = torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(derive(seed, "head")))
            head.weight.copy_(noise / (head.in_features + 1) ** 0.5)
            if head.bias is not None:
                head.bias.zero_()
    fresh = {name.rpartition(".")[0] for name in report["missing_keys"]}
    return _adapted(model, cfg, "SEQ_CLS", seed, sorted(name for name in fresh if not _is_head(name))).to(device())


def require_scores(cfg: ModelConfig) -> None:
    """Raises UserError for a checkpoint without a trained head, whose scores would be those of a random one."""
    _check_folder(cfg.path, weights=True)
    names = _architectures(cfg)
    if not any("SequenceClassification" in name for name in names):
        raise UserError(
            f"{cfg.path} is no reward model or classifier but a {' or '.join(names) or 'model of unknown kind'}, so its "
            "scores would be random: train it first, with reward_pairwise or reward_classifier"
        )


def _architectures(cfg: ModelConfig) -> list[str]:
    """The classes that the checkpoint's config.json names."""
    return list(_configuration(cfg).architectures or [])


def _configuration(cfg: ModelConfig) -> Any:
    return _loaded(
        cfg.path, lambda: AutoConfig.from_pretrained(cfg.path, trust_remote_code=cfg.trust_remote_code), "configuration"
    )


def scalar_head(model: nn.Module) -> nn.Linear:
    """The last linear layer of a sequence classifier: `score` of causal families, `classifier` of encoders."""
    linear = [module for name, module in model.named_modules() if isinstance(module, nn.Linear) and _is_head(name)]
    if not linear:
        raise UserError(f"{type(model).__name__} has no linear head called score or classifier")
    return linear[-1]


def _is_head(name: str) -> bool:
    return any(part in ("score", "classifier") for part in name.split("."))


def device() -> torch.device:
    """The accelerator that is there, else the CPU."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")


def _adapted(
    model: PreTrainedModel, cfg: ModelConfig, task: str, seed: int, fresh: Sequence[str] = (), rows: Rows | None = None
) -> nn.Module:
    if cfg.lora is None:
        return model
    from peft import LoraConfig as PeftLora
    from peft import get_peft_model

    torch.manual_seed(derive(seed, "lora"))
    lora = cfg.lora
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    # peft trains every module in full whose name ends in one of these, DistilBERT's `pre_classifier` among them; one of them
    # that had an adapter besides would be an error.
    whole = [*fresh, "classifier", "score"] if task == "SEQ_CLS" else []
    alone = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.endswith(tuple(whole))]
    wanted = PeftLora(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type=task,
        modules_to_save=whole or None, exclude_modules=alone or None, trainable_token_indices=rows or None,
    )  # fmt: skip
    with warnings.catch_warnings():
        # Two notices that no user can act on: peft asks for an attribute that transformers renamed, and for GPT-2's
        # transposed layers it says that it sets a flag by itself.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        warnings.filterwarnings("ignore", message="fan_in_fan_out", category=UserWarning)
        try:
            return get_peft_model(model, wanted)
        except ValueError as error:
            names = sorted({name.rpartition(".")[2] for name, m in model.named_modules() if isinstance(m, nn.Linear)})
            raise UserError(
                f"model.lora.targets={lora.targets!r} does not fit {cfg.path} ({error}): take all-linear, or some of "
                f"{', '.join(names)}"
            ) from error


def _check_folder(path: str, weights: bool = False) -> None:
    """A path that looks local must be a folder with a checkpoint in it; anything else is a hub name.

    It looks local where it is not owner/name, and where `owner` is a folder here: then only what has been fetched from the hub
    before is taken, since a misspelt folder would end in a minute of vain attempts to reach it.
    """
    folder = Path(path)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{path} holds no checkpoint: config.json is missing")
        if weights and not any((folder / name).is_file() for name in WEIGHTS):
            raise UserError(f"{path} holds no weights: none of {', '.join(WEIGHTS)} is there")
        return
    owned = path.count("/") == 1 and not path.startswith((".", "/", "~"))
    if owned and (not folder.parent.is_dir() or _fetched(path)):
        return
    beside = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
    close = difflib.get_close_matches(folder.name, beside, n=1, cutoff=0.5)
    hint = f"; did you mean {folder.parent / close[0]}?" if close else ""
    hub = f"; {folder.parent} is a folder here: if the hub's {path} is meant, fetch it first with hf download {path}"
    raise UserError(f"no checkpoint folder {path}{hint}{hub if owned else ''}")


def _fetched(name: str) -> bool:
    """Whether the hub's cache holds a model of this name."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:  # no name that the hub could have
        return False


def _pretrained(auto: Any, cfg: ModelConfig, what: str, **options: Any) -> Any:
    """The model in float32, and transformers' account of which weights it found."""
    _check_folder(cfg.path, weights=True)

    def build() -> Any:
        with _quiet():
            return auto.from_pretrained(
                cfg.path, dtype=torch.float32, trust_remote_code=cfg.trust_remote_code, output_loading_info=True,
                ignore_mismatched_sizes=True, **options,
            )  # fmt: skip

    return _loaded(cfg.path, build, what)


def _loaded(path: str, build: Any, what: str) -> Any:
    try:
        return build()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError, UnpicklingError) as error:
        reason = str(error).strip().split("\n")[0]
        either = "" if Path(path).is_dir() else f" (there is no folder {path}, so it was looked for on the hub)"
        raise UserError(f"no {what} could be loaded from {path}{either}: {reason}") from error


def _check_whole(path: str, report: Mapping[str, Any], fresh_around: str = "") -> None:
    """Every weight came from the checkpoint and fits: a weight that did not would be random numbers, without a word.

    `fresh_around`: the trunk's name where a head is new; what is outside of it, and an encoder's pooler, may be missing.
    """
    for name, found, wanted in sorted(report["mismatched_keys"]):
        raise UserError(
            f"{path}: {name} has shape {tuple(found)} in the weights but {tuple(wanted)} by config.json: not a pair"
        )
    fresh = [n for n in report["missing_keys"] if fresh_around and (not n.startswith(f"{fresh_around}.") or ".pooler." in n)]
    missing = sorted(set(report["missing_keys"]) - set(fresh))
    if missing:
        raise UserError(
            f"{path}: the weights lack {missing[0]}{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}: "
            "this checkpoint holds another kind of model"
        )


class _quiet:
    """transformers prints a table of weights that are missing; here `_check_whole` judges them."""

    def __enter__(self) -> None:
        self._level = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self._level)
