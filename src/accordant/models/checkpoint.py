"""What is on disk is whole: written beside its place, flushed, then renamed. A kill at any moment leaves whole files; a folder
that is replaced stands, for the instant between two renames, beside its place as `.old`.

Two kinds: a *checkpoint* is a Hugging Face folder that anyone can load, with `accordant.json` beside the weights for what that
format has no field for; a *state* is one file with everything that a run needs to go on.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from accordant.models.card import card
from accordant.types import UserError

META = "accordant.json"
CARD = "README.md"
SCHEMA = 1


def save_checkpoint(folder: Path, module: nn.Module, tokenizer: PreTrainedTokenizerBase, meta: Mapping[str, Any]) -> None:
    """Weights (adapters merged), tokenizer, `meta` and a model card made from it, loadable by plain `transformers`."""

    def write(temporary: Path) -> None:
        merged = module
        if hasattr(module, "peft_config"):
            import copy

            merged = copy.deepcopy(module).merge_and_unload()  # type: ignore[operator]
        merged.save_pretrained(temporary)  # type: ignore[operator]
        tokenizer.save_pretrained(temporary)
        (temporary / META).write_text(json.dumps({"schema": SCHEMA, **meta}, indent=1), encoding="utf-8")
        (temporary / CARD).write_text(card(meta, type(merged).__name__), encoding="utf-8")

    replace_folder(folder, write)


def read_meta(folder: str | Path) -> dict[str, Any]:
    """`accordant.json` of a checkpoint; empty for a checkpoint that Accordant did not write.

    Raises:
        UserError: it was written by a newer schema, or is damaged.
    """
    path = Path(folder) / META
    if not path.is_file():
        return {}
    try:
        meta: dict[str, Any] = {**json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): copy the checkpoint again, or train it again") from None
    if meta.get("schema", 0) > SCHEMA:
        raise UserError(f"{path} has schema {meta['schema']}, this version reads up to {SCHEMA}: update accordant")
    return meta


def ancestry(path: str | Path) -> dict[str, Any]:
    """What `meta` should say of the model that a training starts from: its `base`, and `earlier`, the trainings before.

    The base is a name of the hub as it stands; of a folder that Accordant did not write it is the folder's own name, without
    those that it lies in.
    """
    meta = read_meta(path)
    if "algo" in meta:
        last = {name: meta[name] for name in ("algo", "data") if name in meta}
        base = {"base": meta["base"]} if "base" in meta else {}
        return base | {"earlier": [*meta.get("earlier", []), last]}
    return {"base": Path(path).resolve().name if Path(path).is_dir() else str(path)}


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a temporary folder with `write`, flush it, and put it in the place of `folder`."""
    temporary = folder.with_name(f".{folder.name}.new")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        write(temporary)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _in_plain_words(error, temporary) from error
    for path in temporary.iterdir():
        _flush(path)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def copy_weights(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """What the parameters hold now, on the CPU."""
    return {name: parameter.detach().cpu().clone() for name, parameter in parameters.items()}


@torch.no_grad()
def put_weights(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    """Give each parameter what `copy_weights` took from it."""
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """One file with everything that a run needs to go on (weights, optimiser, counters, algorithm state)."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as file:
            torch.save({"schema": SCHEMA, **state}, file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        raise _in_plain_words(error, temporary) from error
    temporary.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """The saved state, or None if there is none. Nothing but tensors and plain values is unpickled."""
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is damaged ({reason}): delete it to start this stage again") from None
    return state


def _in_plain_words(error: BaseException, path: Path) -> BaseException:
    """torch, tokenizers and safetensors each have their own exception for a full disk: OSError(ENOSPC) for all of them."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or f"os error {errno.ENOSPC}" in str(seen):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        seen = seen.__cause__ or seen.__context__
    return error


def _flush(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())
