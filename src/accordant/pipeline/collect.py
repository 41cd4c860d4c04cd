"""From what the stages wrote to `report.json` and `report.html`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accordant.algos import ONLINE
from accordant.config import to_yaml
from accordant.pipeline.report import render
from accordant.pipeline.report.schema import SCHEMA
from accordant.pipeline.spec import Spec
from accordant.pipeline.store import machine, versions
from accordant.stages.folder import StageFolder, plain

CURVE = ("step", "seconds", "reward", "kl", "entropy", "length", "gold", "toxicity")


def write_report(spec: Spec, out: Path, results: Mapping[str, Mapping[str, Any]], threads: int) -> None:
    """Write report.json and report.html into the run folder."""
    report = plain(collect(spec, out, results, threads))
    folder = StageFolder(out)
    folder.write_json("report.json", report)
    folder.write("report.html", render(report))


def collect(spec: Spec, out: Path, results: Mapping[str, Mapping[str, Any]], threads: int) -> dict[str, Any]:
    """The report of a run; parts that no stage produced are null. The last stage of a kind speaks for it."""
    evaluation = _read(out, results, "evaluate", "evaluation.json") or {"policy": None, "examples": []}
    online = next((name for name, result in reversed(results.items()) if result["kind"] in ONLINE), None)
    return {
        "schema": SCHEMA, "name": spec.name, "seed": spec.seed, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "total_seconds": sum(result["seconds"] for result in results.values()),
        "stages": [{k: result[k] for k in ("kind", "seconds", "status")} | {"name": name} for name, result in results.items()],
        "labels": _read(out, results, "annotate", "labels.json"),
        "reward_model": _read(out, results, "evaluate_reward", "reward_model.json"),
        "policy": evaluation["policy"],
        "curve": _curve(out / online) if online else [],
        "stopped_because": results[online]["stopped_because"] if online else None,
        "examples": evaluation["examples"],
        "config": to_yaml({stage.name: {"run": stage.kind, **_plain_values(stage.values)} for stage in spec.stages}),
        "machine": machine(threads), "versions": versions(),
    }  # fmt: skip


def _read(out: Path, results: Mapping[str, Mapping[str, Any]], kind: str, file: str) -> Any:
    """What the last stage of a kind wrote; None where none wrote it, such as `annotate` when people are to label."""
    for name, result in reversed(results.items()):
        place = out / name / file
        if result["kind"] == kind and place.is_file():
            return json.loads(place.read_text(encoding="utf-8"))
    return None


def _curve(folder: Path) -> list[dict[str, Any]]:
    return [{key: row.get(key) for key in CURVE} for row in StageFolder(folder).metrics()]


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(plain(values)))  # type: ignore[no-any-return]
