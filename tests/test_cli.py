"""The command line as a user meets it: what it answers to every mistake, and that it answers at once."""

from __future__ import annotations

import errno
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from accordant import cli
from accordant.stages import KINDS
from builders import byte_level_tokenizer
from command import Ended, accordant
from tasks import chats, pairs, prompts, write_rows
from tiny import tiny_llama


def refused(ended: Ended, *words: str) -> None:
    """Exit code 2, one clear message on stderr that has all of `words`, no traceback."""
    assert ended.code == 2, ended
    message = ended.error.partition("error: ")[2]
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"
    assert "Traceback" not in ended.output + ended.error


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


# --- bad rows -------------------------------------------------------------------------------------------------------------


def test_missing_file(llama_folder: Path, out: Path, tmp_path: Path) -> None:
    chats(tmp_path / "rows.jsonl")
    ended = accordant("sft", f"model.path={llama_folder}", f"data={tmp_path / 'row.jsonl'}", "--out", out)
    refused(ended, "row.jsonl", "rows.jsonl")


BAD_ROWS = {
    "a row without a field": ({"prompt": "what colour is tar?"}, "`completion` is missing"),
    "an empty completion": ({"prompt": "what colour is tar?", "completion": ""}, "completion"),
    "a field of another type": ({"prompt": "what colour is tar?", "completion": 7}, "completion"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_row_is_named_by_file_and_line(case: str, llama_folder: Path, out: Path, tmp_path: Path) -> None:
    row, field = BAD_ROWS[case]
    rows = chats(tmp_path / "rows.jsonl")
    with rows.open("a") as file:
        file.write(json.dumps(row) + "\n")
    refused(accordant("sft", f"model.path={llama_folder}", f"data={rows}", "--out", out), f"{rows}:7", field)


def test_a_row_of_another_kind(llama_folder: Path, out: Path, tmp_path: Path) -> None:
    rows = pairs(tmp_path / "rows.jsonl")
    refused(
        accordant("sft", f"model.path={llama_folder}", f"data={rows}", "--out", out), f"{rows}:1", "Pair", "Chat or Document"
    )


def test_a_line_that_is_no_json(llama_folder: Path, out: Path, tmp_path: Path) -> None:
    rows = chats(tmp_path / "rows.jsonl")
    with rows.open("a") as file:
        file.write('{"prompt": "what col')
    refused(accordant("sft", f"model.path={llama_folder}", f"data={rows}", "--out", out), f"{rows}:7")


def test_over_long_rows_are_named_and_never_cut(llama_folder: Path, out: Path, tmp_path: Path) -> None:
    rows = chats(tmp_path / "rows.jsonl")
    with rows.open("a") as file:
        file.write(json.dumps({"prompt": "kite " * 80, "completion": " red"}) + "\n")
    words = ("sft", f"model.path={llama_folder}", f"data={rows}", "rows_per_step=6", "--out", out)
    refused(accordant(*words), "1 rows over 64 tokens", f"{rows}:7", "on_long=drop")
    ended = accordant(*words, "on_long=drop")
    assert ended.code == 0, ended.error
    assert f"{rows}:7" in ended.error
    result = json.loads((out / "sft" / "result.json").read_text())
    assert (result["rows"], result["left_out"]) == (6, 1)


def test_a_prompt_longer_than_the_context(llama_folder: Path, out: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"prompt": "short"}, {"prompt": "kite " * 80}])
    words = ("ppo", f"model.path={llama_folder}", f"prompts={rows}", "reward.kind=world", "--out", out)
    refused(accordant(*words), f"{rows}:2", "64 tokens")
    write_rows(rows, [{"prompt": "kite " * 20}])
    refused(accordant(*words, "max_new_tokens=60"), "60", "context of 64", "max_new_tokens to at most")


# --- bad models -----------------------------------------------------------------------------------------------------------


def test_a_model_folder_without_weights(llama_folder: Path, out: Path, tmp_path: Path) -> None:
    empty = tmp_path / "model"
    shutil.copytree(llama_folder, empty, ignore=shutil.ignore_patterns("*.safetensors"))
    rows = chats(tmp_path / "rows.jsonl")
    refused(accordant("sft", f"model.path={empty}", f"data={rows}", "--out", out), str(empty), "weights", "model.safetensors")


def test_no_such_model(out: Path, tmp_path: Path, llama_folder: Path) -> None:
    wrong = llama_folder.with_name("lama0")
    ended = accordant("sft", f"model.path={wrong}", f"data={chats(tmp_path / 'rows.jsonl')}", "--out", out)
    refused(ended, str(wrong), llama_folder.name)


def test_a_model_without_a_padding_token_works_and_says_so(out: Path, tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "model", byte_level_tokenizer(pad=False))
    ended = accordant("sft", f"model.path={model}", f"data={chats(tmp_path / 'rows.jsonl')}", "rows_per_step=6", "--out", out)
    assert ended.code == 0, ended.error
    assert "padding" in ended.error
    assert (out / "sft" / "checkpoint" / "model.safetensors").is_file()


# --- bad settings ---------------------------------------------------------------------------------------------------------


def test_unknown_keys_are_named_with_the_nearest(out: Path) -> None:
    refused(accordant("sft", "data=x", "optim.rl=1e-3", "epocs=2", "--out", out), "optim.rl", "'lr'", "epocs", "'epochs'")


def test_values_over_their_limits(out: Path) -> None:
    refused(
        accordant("sft", "data=x", "optim.lr=-1", "epochs=many", "--out", out), "optim.lr", "greater than 0", "epochs", "many"
    )


def test_data_not_given(out: Path) -> None:
    refused(accordant("sft", "--out", out), "'data' is required")


def test_a_variable_of_a_pipeline_not_given(out: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text('vars: {data: null}\nstages: {a: {run: sft, data: "${data}/rows.jsonl"}}\n')
    refused(accordant("run", spec, "--out", out), "add data=... to the command")


def test_unknown_stage_kind_command_and_pipeline(out: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("stages: {a: {run: pppo}}\n")
    refused(accordant("run", spec, "--out", out), str(spec), "pppo", "'ppo'")
    refused(accordant("config", "stf"), "stf", "'sft'")
    refused(accordant("run", tmp_path / "spek.yaml", "--out", out), "spek.yaml", "spec.yaml")
    assert accordant("no-such-command").code == 2
    spec.write_text("stages: {a: [}\n")
    refused(accordant("run", spec, "--out", out), f"{spec}:1:")


def test_a_word_that_is_no_override(out: Path) -> None:
    refused(accordant("sft", "data", "--out", out), "key=value")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("minibatches_per_step=3", "nearest that does is"),
        ("reward.kind=wrld", "wrld"),
        ("reward={kind: world, mesure: toxic}", "reward.mesure"),
    ],
)
def test_settings_that_do_not_go_together(override: str, message: str, llama_folder: Path, out: Path, tmp_path: Path) -> None:
    words = ["ppo", f"model.path={llama_folder}", f"prompts={prompts(tmp_path / 'p.jsonl')}", "reward.kind=world"]
    refused(accordant(*words, override, "--out", out), message)


# --- a full disk, a closed folder, Ctrl-C -----------------------------------------------------------------------------------


def disk_full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "state.pt")


def zip_writer() -> RuntimeError:
    """What torch makes of a full disk."""
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 174528 vs 174420")
    error.__context__ = disk_full()
    return error


@pytest.mark.parametrize(
    ("function", "nth", "error"),
    [
        ("os.fsync", 3, disk_full()),
        ("torch.save", 3, disk_full()),
        ("torch.save", 3, zip_writer()),
        ("transformers.modeling_utils.safe_save_file", 1, Exception("No space left on device (os error 28)")),
    ],
)
def test_a_full_disk_loses_nothing(
    function: str, nth: int, error: Exception, llama_folder: Path, out: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A save finds the disk full: a message, and the state before is still whole; with space again, the run goes on."""
    rows = chats(tmp_path / "rows.jsonl")
    words = ["sft", f"model.path={llama_folder}", f"data={rows}", "rows_per_step=1", "save_every=1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["accordant", *words])
    owner, _, name = function.rpartition(".")
    module: Any = importlib.import_module(owner)
    real, calls = getattr(module, name), []

    def full(*args: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == nth:
            raise error
        return real(*args, **named)

    monkeypatch.setattr(module, name, full)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "the disk is full" in capsys.readouterr().err
    assert (out / "sft" / "state.pt").is_file()
    assert not list((out / "sft").glob(".*.new"))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code in (0, None)
    assert "going on from step" in capsys.readouterr().err
    assert (out / "sft" / "result.json").is_file()


def test_an_output_folder_that_cannot_be_made(llama_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = accordant(
        "sft", f"model.path={llama_folder}", f"data={chats(tmp_path / 'rows.jsonl')}", "--out", tmp_path / "file" / "run"
    )
    refused(ended, "file")


def test_control_c_says_how_to_go_on(llama_folder: Path, out: Path, tmp_path: Path) -> None:
    """A real process from the shell's point of view: SIGINT while it trains, exit code 130, and the next call goes on."""
    rows = chats(tmp_path / "rows.jsonl")
    words = ["sft", f"model.path={llama_folder}", f"data={rows}", "rows_per_step=1", "save_every=1", "epochs=60", "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "accordant.cli", *map(str, words)], stderr=subprocess.PIPE, text=True, env=os.environ,
        # Where the tests themselves run in the background of a shell, their children would be deaf to it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    state = out / "sft" / "state.pt"
    while not state.is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130, error
    assert "the same command goes on" in error
    assert "Traceback" not in error
    again = accordant(*words)
    assert again.code == 0, again.error
    assert "going on from step" in again.error
    assert len((out / "sft" / "metrics.jsonl").read_text().splitlines()) == 360


# --- help -----------------------------------------------------------------------------------------------------------------


def test_help_lists_every_command() -> None:
    ended = accordant("--help")
    assert ended.code == 0
    for command in (*KINDS, "run", "quickstart", "config", "version"):
        assert re.search(rf"^\s+{re.escape(command)}\s+\S", ended.output.replace("│", " "), re.MULTILINE), command


@pytest.mark.parametrize(
    "statement", ["import accordant", "import sys; sys.argv = ['accordant', '--help']; import accordant.cli as c; c.main()"]
)
def test_nothing_heavy_is_imported_to_answer(statement: str) -> None:
    heavy = ("torch", "transformers", "pydantic", "numpy", "scipy", "datasets", "matplotlib", "yaml")
    code = (
        f"import atexit, sys\natexit.register(lambda: print('LOADED', [m for m in {heavy} if m in sys.modules]))\n{statement}"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in ended.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_config_prints_every_setting(kind: str) -> None:
    ended = accordant("config", kind)
    assert ended.code == 0
    assert ended.output.splitlines()[0].split() == ["key", "default", "unit", "meaning"]
    assert re.search(r"^seed\s+0", ended.output, re.MULTILINE) or kind == "evaluate_reward"
