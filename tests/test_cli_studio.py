"""`accordant studio` through the real command line: what each command does to a store, also while a server holds it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from accordant.data.rows import read
from accordant.feedback import people, schema
from accordant.feedback.answers import said
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.store import Store
from accordant.types import Pair, Ranking
from chat_server import chat_server
from chat_server import said as reply
from command import Ended, accordant, start
from tasks import write_rows

RANK = {"prompt": "q", "completions": ["a", "b", "c"]}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_passwords: None) -> None:  # noqa: ARG001
    monkeypatch.chdir(tmp_path)


def refused(ended: Ended, *words: str) -> None:
    assert ended.code == 2, ended
    for word in words:
        assert word in ended.error, f"{word!r} is not in {ended.error!r}"
    assert "Traceback" not in ended.output + ended.error


def fine(ended: Ended, *lines: str) -> None:
    assert ended.code == 0, ended
    assert ended.output.splitlines() == list(lines)


def rank_all(place: str, name: str) -> int:
    """Somebody ranks everything by the alphabet; returns how much that is."""
    with Store.open(place, alone=False) as store:
        who = people.join(store, people.invite(store), name, "long enough").id
        done = 0
        while (task := next_task(store, 1, who)) is not None:
            payload = {"groups": [[one] for one in sorted(task.display)], "rejected": []}
            submit(store, task.assignment_id, who, payload, str(uuid.uuid4()), 5)
            done += 1
        return done


def test_import_label_export(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"question": f"q{i}", "completions": ["a", "b", "c"]} for i in range(10)])
    (tmp_path / "rules.md").write_text("Be fair.")
    fine(
        accordant("studio", "import", rows, "--project", "taste", "--new", "--guidelines", "rules.md", "--overlap", "2",
                  "--map", "question=prompt", "--criterion", "which is kinder?"),
        "10 tasks in project taste",
    )  # fmt: skip
    fine(
        accordant("studio", "import", write_rows(tmp_path / "more.jsonl", [RANK]), "--project", "taste"),
        "1 tasks in project taste",
    )
    with Store.open("feedback.db") as store, store.read() as connection:
        project = connection.execute(select(schema.project)).one()
        assert (project.name, project.overlap) == ("taste", 2)
        assert connection.scalar(select(schema.guideline.c.text)) == "Be fair."
        assert list(connection.scalars(select(schema.item.c.criterion))) == ["which is kinder?"] * 10 + [""]
    assert rank_all("feedback.db", "Ana") == rank_all("feedback.db", "Bo") == 11
    assert rank_all("feedback.db", "Cy") == 0
    fine(
        accordant("studio", "export", "--project", "taste", "--out", "each"),
        "22 in each/rankings.jsonl", "66 in each/pairs.jsonl",
    )  # fmt: skip
    assert len(read("each/pairs.jsonl", Pair)) == 66
    ended = accordant(
        "studio", "export", "--project", "taste", "--out", "together", "--which", "consensus", "--form", "parquet",
        "--part", "test=3", "--shape", "trl", "--seed", "1",
    )  # fmt: skip
    assert ended.code == 0, ended
    *files, left_out = ended.output.splitlines()
    assert sorted(files) == ["24 in together/train/pairs.parquet", "9 in together/test/pairs.parquet"]
    assert left_out == "  11 rankings, for which TRL has no shape: left out"


def test_what_is_refused(tmp_path: Path) -> None:
    rows, bad = write_rows(tmp_path / "rows.jsonl", [RANK]), write_rows(tmp_path / "bad.jsonl", [RANK, {"prompt": " "}])
    refused(accordant("studio", "import", rows, "--project", "p"), "there is no store feedback.db", "--store")
    refused(accordant("studio", "export", "--project", "p", "--out", "o", "--store", "none.db"), "there is no store none.db")
    assert list(tmp_path.glob("*.db")) == []
    refused(accordant("studio", "import", bad, "--project", "p", "--new"), "bad.jsonl:2: `prompt` is empty")
    fine(accordant("studio", "--store", "my.db", "import", rows, "--project", "p", "--new"), "1 tasks in project p")
    refused(
        accordant("studio", "import", rows, "--project", "pp", "--store", "my.db"),
        "there is no project 'pp'",
        "did you mean 'p'?",
    )
    refused(
        accordant("studio", "import", rows, "--project", "p", "--new", "--store", "my.db"), "there is a project 'p' already"
    )
    refused(accordant("studio", "import", rows, "--project", "p", "--overlap", "2", "--store", "my.db"), "--new")
    refused(
        accordant("studio", "import", rows, "--project", "p", "--map", "x", "--store", "my.db"), "--map x is not THEIRS=OURS"
    )
    refused(
        accordant("studio", "import", rows, "--project", "p", "--task", "rnk", "--store", "my.db"), "there is no task 'rnk'"
    )
    refused(accordant("studio", "import", "gone.jsonl", "--project", "p", "--store", "my.db"), "gone.jsonl is not there")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    more = ("--new", "--guidelines")
    refused(accordant("studio", "import", rows, "--project", "x", *more, "latin.txt", "--store", "my.db"), "no text in UTF-8")
    refused(accordant("studio", "import", rows, "--project", "x", *more, "gone.txt", "--store", "my.db"), "gone.txt")
    refused(accordant("studio", "export", "--project", "p", "--out", "o", "--store", "my.db"), "nothing has been said yet")
    refused(
        accordant("studio", "export", "--project", "p", "--out", "o", "--part", "test", "--store", "my.db"), "write a share"
    )
    twice = ("--part", "a=1", "--part", "a=2")
    refused(
        accordant("studio", "export", "--project", "p", "--out", "o", *twice, "--store", "my.db"), "two parts have one name"
    )
    refused(accordant("studio", "--port", "80", "backup", "b.zip"), "belong to serving")
    ai = ("studio", "ai", "--project", "p", "--name", "judge", "--store", "my.db")
    refused(accordant(*ai), "give one of the two")
    refused(accordant(*ai, "--endpoint", "http://h/v1"), "give --endpoint URL and --model NAME together")
    refused(accordant(*ai, "--checkpoint", "x", "--key-env", "K"), "--key-env is for an endpoint")
    assert not (tmp_path / "o").exists()


def test_backup_and_restore(tmp_path: Path) -> None:
    accordant("studio", "import", write_rows(tmp_path / "rows.jsonl", [RANK]), "--project", "p", "--new")
    rank_all("feedback.db", "Ana")
    fine(accordant("studio", "backup", "b.zip"), "1 answers, 1 items and 1 accounts in b.zip")
    refused(accordant("studio", "backup", "b.zip"), "overwrites nothing")
    refused(accordant("studio", "restore", "b.zip"), "the store is not empty")
    fine(accordant("studio", "restore", "b.zip", "--store", "new.db"), "1 answers, 1 items and 1 accounts restored")
    with Store.open("new.db") as store:
        assert [one.labeler for one in said(store, 1)] == ["Ana"]
    refused(accordant("studio", "restore", "rows.jsonl", "--store", "other.db"), "is no backup")


def typed(*words: str, password: str) -> Ended:
    """A command with something on its stdin."""
    done = subprocess.run([sys.executable, "-m", "accordant.cli", *words], input=password, capture_output=True, text=True)
    return Ended(done.returncode, done.stdout, done.stderr)


def test_the_first_admin_and_invitations() -> None:
    fine(typed("studio", "admin", "Root", password="long enough\n"), "Root is an admin")
    refused(typed("studio", "admin", "Second", password="long enough\n"), "this store has accounts already")
    refused(typed("studio", "admin", "Root", "--store", "b.db", password="short\n"), "the password has 5 characters")
    with Store.open("feedback.db") as store:
        assert people.sign_in(store, "Root", "long enough").role == "admin"
    for role, more in (("labeler", ()), ("admin", ("--role", "admin", "--public-url", "https://studio.example/"))):
        ended = accordant("studio", "invite", *more)
        assert ended.code == 0, ended
        address, token = ended.output.strip().rsplit("/join/", 1)
        assert address == ("https://studio.example" if more else "http://127.0.0.1:8321")
        with Store.open("feedback.db") as store:
            assert people.join(store, token, f"new {role}", "long enough").role == role
    refused(accordant("studio", "invite", "--store", "gone.db"), "there is no store gone.db")
    refused(accordant("studio", "invite", "--store", ""), "the store has no name")
    refused(accordant("studio", "invite", "--days", "nan"), "an invitation for nan days: give 1 to 90")
    refused(accordant("studio", "invite", "--public-url", "javascript:alert(1)"), "--public-url is 'javascript:alert(1)'")
    refused(accordant("studio", "--store", ""), "the store has no name")
    refused(accordant("studio", "import", "x.jsonl", "--project", "p", "--new", "--store", "sqlite://"), "names no file")


def test_a_forgotten_password() -> None:
    fine(typed("studio", "admin", "Root", password="long enough\n"), "Root is an admin")
    new = accordant("studio", "password", "Root").output.strip()
    with Store.open("feedback.db") as store:
        assert people.sign_in(store, "Root", new).role == "admin"
    refused(accordant("studio", "password", "Toor"), "there is no account 'Toor'")


def test_a_judge_labels(tmp_path: Path) -> None:
    accordant("studio", "import", write_rows(tmp_path / "rows.jsonl", [RANK, RANK]), "--project", "p", "--new", "--again")

    def prefers_a(body: Any) -> Any:
        first = body["messages"][0]["content"].partition("[Answer A]\n")[2][0]
        second = body["messages"][0]["content"].partition("[Answer B]\n")[2][0]
        return reply("A" if first < second else "B")

    with chat_server(prefers_a) as server:
        command = ("studio", "ai", "--project", "p", "--name", "judge", "--endpoint", server.url, "--model", "big")
        fine(
            accordant(*command, "--limit", "1", "--no-guidelines"),
            "answers of judge: 1 rank", "consistency: 100.0% of 3 comparisons came out alike in both orders",
        )  # fmt: skip
        assert accordant(*command).output.startswith("answers of judge: 1 rank\n")
        fine(accordant(*command), "answers of judge: none")
    refused(accordant("studio", "export", "--project", "p", "--out", "people"), "nothing has been said yet")
    accordant("studio", "export", "--project", "p", "--out", "all", "--ai")
    assert {row.groups for row in read("all/rankings.jsonl", Ranking)} == {((0,), (1,), (2,))}


def front_page(place: Path, server: BaseProcess) -> int | None:
    """The status of the page at the address that the server prints, as soon as it answers; None where it ends before."""
    while server.is_alive():
        server.join(0.02)
        printed = (place / "out").read_text() if (place / "out").exists() else ""
        if address := re.search(r"the studio is at (http://127\.0\.0\.1:\d+)", printed):
            with suppress(urllib.error.URLError), urllib.request.urlopen(address[1], timeout=30) as page:
                return int(page.status)
    return None


def test_a_served_store_can_be_filled_read_and_backed_up_but_not_restored(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [RANK])
    accordant("studio", "import", rows, "--project", "p", "--new")
    accordant("studio", "backup", "before.zip")
    place = tmp_path / "server"
    place.mkdir()
    server = start(place, "studio", "--port", "0")
    try:
        assert front_page(place, server) == 200
        refused(accordant("studio", "import", rows, "--project", "p"), "1 of 1 items are in the project already")
        fine(accordant("studio", "import", rows, "--project", "p", "--again"), "1 tasks in project p")
        assert rank_all("feedback.db", "Ana") == 2
        assert accordant("studio", "export", "--project", "p", "--out", "out").code == 0
        assert accordant("studio", "backup", "b.zip").code == 0
        assert accordant("studio", "invite").code == 0
        refused(accordant("studio", "restore", "b.zip"), "another server holds")
        refused(accordant("studio", "--port", "0"), "another server holds")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGINT)
        server.join(60)
    finally:
        server.kill()
        server.join()
    assert "Traceback" not in (place / "err").read_text()
    assert (place / "code").read_text() == "130"
    assert len(read("out/rankings.jsonl", Ranking)) == 2
