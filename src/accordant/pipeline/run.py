"""Run a pipeline: stages in order, finished ones skipped, a killed one resumed, a report at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from accordant.config import build, check, merge
from accordant.pipeline.collect import write_report
from accordant.pipeline.spec import Spec, StageSpec, fill, is_reference
from accordant.pipeline.store import identity, is_output, locked, result_of, set_aside
from accordant.stages import load
from accordant.stages.folder import StageFolder
from accordant.types import UserError


def run(spec: Spec, out: Path, console: Console) -> dict[str, dict[str, Any]]:
    """Bring every stage of `spec` to its end in the folder `out`; returns their results by name."""
    import torch

    threads = spec.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    for stage in spec.stages:
        check(load(stage.kind)[1], _with_seed(stage, spec, stage.values), _where(stage), is_reference)
    shown, out = out / "report.html", out.resolve()  # a result names its files: they are found from any folder
    with locked(out):
        results: dict[str, dict[str, Any]] = {}
        upstream: dict[str, str] = {}
        ran = 0
        for number, stage in enumerate(spec.stages, start=1):
            label = f"[{number}/{len(spec.stages)}] {stage.name}"
            result, did = _one(stage, spec, out, threads, results, upstream, console, label)
            results[stage.name] = result
            upstream |= {value: f"{result['identity']}:{key}" for key, value in result.items() if is_output(value, out)}
            ran += did
        report = out / "report.html"
        if ran or not report.is_file():
            write_report(spec, out, results, threads)
            console.print(f"report: {shown}", highlight=False, soft_wrap=True)
        else:
            console.print(
                f"nothing to do: all {len(results)} stages are finished with this configuration; report: {shown}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
    return results


def _one(
    stage: StageSpec, spec: Spec, out: Path, threads: int, results: dict[str, dict[str, Any]], upstream: dict[str, str],
    console: Console, label: str,
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """One stage: its result, and whether it had to run."""
    module, config_type, algo = load(stage.kind)

    def look_up(reference: str) -> Any:
        name, _, key = reference.partition(".")
        if key not in results[name]:
            keys = ", ".join(k for k in results[name] if k not in ("identity", "kind", "stage", "seconds"))
            raise UserError(f"stage '{stage.name}' wants ${{{reference}}}, but {name} gives only: {keys}")
        return results[name][key]

    cfg = build(config_type, _with_seed(stage, spec, fill(stage.values, look_up)), _where(stage))
    folder_path = out / stage.name
    known = identity(stage.kind, cfg.model_dump(mode="json"), upstream, threads)
    mark = folder_path / "identity"
    if folder_path.exists() and (not mark.is_file() or mark.read_text().strip() != known):
        aside = set_aside(folder_path)
        console.print(f"{label}: configuration or inputs changed; what was there is now in {aside.name}", highlight=False)
    result = result_of(folder_path)
    if result is not None:
        console.print(f"{label}: finished, skipped", highlight=False)
        return result, False
    console.print(f"{label} ({stage.kind})", highlight=False, style="bold")
    folder = StageFolder(folder_path, console)
    folder.write("identity", known + "\n")
    folder.write_config(cfg)
    began = time.monotonic()
    own = module.run(cfg, folder, algo, stage.kind)
    seconds = round(time.monotonic() - began, 2)
    result = {"stage": stage.name, "kind": stage.kind, "status": "finished", "identity": known, "seconds": seconds, **own}
    folder.write_json("result.json", result)
    folder.state.unlink(missing_ok=True)
    return result, True


def _with_seed(stage: StageSpec, spec: Spec, values: Mapping[str, Any]) -> dict[str, Any]:
    """The run's seed where the kind of stage has one and its settings name no other."""
    return merge({"seed": spec.seed} if "seed" in load(stage.kind)[1].model_fields else {}, values)


def _where(stage: StageSpec) -> str:
    return f"stage '{stage.name}' ({stage.kind})"
