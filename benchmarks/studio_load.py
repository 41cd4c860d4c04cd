"""Eight labelers, 5,000 submissions over HTTP, the server killed ten times: is an acknowledged answer ever lost or doubled?

    python benchmarks/studio_load.py                   # SQLite
    python benchmarks/studio_load.py --postgres        # a PostgreSQL cluster of its own
    python benchmarks/studio_load.py --think 0         # nobody reads: how much it can take
    make load                                          # both

Each labeler is a thread with a session of its own that asks for the next task, takes `--think` seconds on average
(exponentially distributed; people need a hundred times as long) and submits a ranking of four answers. Ten times the server is
killed (SIGKILL) in the middle and started again; a labeler whose request fails sends it again with the same submission id. In
the end the store is compared with what was acknowledged. Waiting for a killed server to come back does not count as its
answering time.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from sqlalchemy import select

from accordant.feedback import people
from accordant.feedback.schema import answer, assignment
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work, add, make_project

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from cluster import postgres

PASSWORD = "only for the load run"
OVERLAP = 4
ANSWERS = 4


@dataclass
class Seen:
    """What the labelers were told, all of them together."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: dict[str, int] = field(default_factory=dict)  # submission id -> assignment
    next_seconds: list[float] = field(default_factory=list)
    submit_seconds: list[float] = field(default_factory=list)
    again: int = 0  # requests that had to be sent again
    refused: list[str] = field(default_factory=list)


class Server:
    """The command as a user starts it, on one port all the time."""

    def __init__(self, store: str, port: int) -> None:
        self.command = [sys.executable, "-m", "accordant.cli", "studio", "--store", store, "--port", str(port)]
        self.command += ["--requests-per-minute", "1000000"]
        self.url = f"http://127.0.0.1:{port}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        for _ in range(600):
            assert process.poll() is None, f"the server ended with {process.returncode}"
            try:
                httpx.get(f"{self.url}/sign-in", timeout=5)
                return process
            except httpx.TransportError:
                time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = self._start()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


def labeler(url: str, name: str, project: int, seen: Seen, think: float) -> None:
    chance = random.Random(name)
    with httpx.Client(base_url=url, timeout=30) as http:
        token = _token(http.get("/sign-in").text)
        assert http.post("/sign-in", data={"csrf": token, "name": name, "password": PASSWORD}).status_code == 303
        headers = {"x-csrf-token": _token(http.get("/me").text)}
        while True:
            task = _send(seen, seen.next_seconds, lambda: http.get(f"/api/projects/{project}/next")).json()["task"]
            if task is None:
                return
            places = list(range(len(task["texts"])))
            chance.shuffle(places)
            time.sleep(chance.expovariate(1 / think) if think else 0)
            body = {
                "payload": {"groups": [[place] for place in places], "rejected": []}, "submission": task["submission"],
                "ms_spent": 5000,
            }  # fmt: skip
            path = f"/api/tasks/{task['assignment']}/answer"
            reply = _send(seen, seen.submit_seconds, lambda p=path, b=body: http.post(p, json=b, headers=headers))
            with seen.lock:
                if reply.status_code == 200:
                    seen.acknowledged[body["submission"]] = task["assignment"]
                else:
                    seen.refused.append(reply.text)


def _send(seen: Seen, seconds: list[float], request: object) -> httpx.Response:
    """Again and again until a server answers; only the try that succeeded is timed."""
    while True:
        start = time.perf_counter()
        try:
            reply: httpx.Response = request()  # type: ignore[operator]
        except httpx.TransportError:
            with seen.lock:
                seen.again += 1
            time.sleep(0.05)
            continue
        with seen.lock:
            seconds.append(time.perf_counter() - start)
        return reply


def _token(text: str) -> str:
    found = re.search(r'name="csrf" content="(\w+)"', text)
    assert found, text
    return found.group(1)


def prepare(store: Store, labelers: int, submissions: int) -> tuple[int, list[str]]:
    """A project with exactly this much work, and the accounts."""
    people.make_admin(store, "admin", PASSWORD)
    names = [f"labeler {k}" for k in range(labelers)]
    for name in names:
        people.join(store, people.invite(store), name, PASSWORD)
    project = make_project(store, "load", "Rank by helpfulness.", overlap=OVERLAP, gold_share=0)
    prompts = range(submissions // OVERLAP)
    work = [Work("rank", f"Question {k}", tuple(Text(f"Answer {j} to {k}") for j in range(ANSWERS))) for k in prompts]
    add(store, project, work)
    return project, names


def compare(store: Store, seen: Seen, submissions: int) -> list[str]:
    """What is wrong, in words; nothing if the store holds what was acknowledged."""
    with store.read() as connection:
        held = {row.client_uuid: row for row in connection.execute(select(answer))}
        given = connection.execute(select(assignment).where(assignment.c.state.in_(("submitted", "surplus")))).all()
    wrong = [f"acknowledged and lost: {uuid}" for uuid in seen.acknowledged if uuid not in held]
    wrong += [f"stored for another task: {u}" for u, a in seen.acknowledged.items() if u in held and held[u].assignment_id != a]
    answers = Counter(row.assignment_id for row in held.values())
    wrong += [f"assignment {number} has {n} answers" for number, n in answers.items() if n > 1]
    full = Counter(row.item_id for row in given if row.state == "submitted")
    wrong += [f"item {number} has {n} answers, {OVERLAP} are wanted" for number, n in full.items() if n > OVERLAP]
    twice = Counter((row.item_id, row.labeler_id) for row in given)
    wrong += [f"item and labeler {pair}: {n} times" for pair, n in twice.items() if n > 1]
    if len(held) != submissions:
        wrong.append(f"{len(held)} answers are stored, {submissions} were to be given")
    return wrong + [f"refused: {text}" for text in seen.refused]


@contextmanager
def place(use_postgres: bool) -> Iterator[str]:
    if use_postgres:
        with postgres(durable=True) as url:
            yield url
    else:
        with tempfile.TemporaryDirectory(prefix="accordant-load-") as folder:
            yield f"{folder}/store.db"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--labelers", type=int, default=8)
    parser.add_argument("--submissions", type=int, default=5000, help=f"a multiple of {OVERLAP}")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--think", type=float, default=0.2, help="mean seconds between a task and its answer")
    parser.add_argument("--port", type=int, default=8765)
    args = parser.parse_args()
    seen = Seen()
    with place(args.postgres) as where:
        with Store.open(where) as store:
            project, names = prepare(store, args.labelers, args.submissions)
        server = Server(where, args.port)
        start = time.perf_counter()
        threads = [threading.Thread(target=labeler, args=(server.url, name, project, seen, args.think)) for name in names]
        for thread in threads:
            thread.start()
        for kill in range(1, args.kills + 1):
            while len(seen.acknowledged) < kill * args.submissions / (args.kills + 1) and any(t.is_alive() for t in threads):
                time.sleep(0.01)
            server.kill()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
        server.stop()
        with Store.open(where) as store:
            wrong = compare(store, seen, args.submissions)
    print(f"{'PostgreSQL' if args.postgres else 'SQLite'}: {len(seen.acknowledged):,} answers of {args.labelers} labelers in "
          f"{seconds:.0f} s, {args.kills} kills, {seen.again} requests sent again")  # fmt: skip
    for what, times in (("next task", seen.next_seconds), ("submit", seen.submit_seconds)):
        middle, high, most = np.percentile(np.array(times) * 1000, [50, 95, 100])
        print(f"  {what}: median {middle:.0f} ms, p95 {high:.0f} ms, slowest {most:.0f} ms")
    print("\n".join(wrong[:20]) if wrong else "  nothing lost, nothing doubled, no item with more answers than wanted")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
