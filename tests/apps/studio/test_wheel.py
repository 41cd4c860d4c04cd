"""What is installed is what is served: a wheel holds every page, script and migration, and a studio runs from it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx

import accordant

SOURCE = Path(accordant.__file__).parent
ROOT = SOURCE.parents[1]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"

SERVE = """
import sys, accordant
print(accordant.__file__, flush=True)
from accordant.apps.studio.serve import serve
serve(store=sys.argv[1], port=0)
"""


def test_a_studio_runs_from_the_wheel(tmp_path: Path) -> None:
    tree = tmp_path / "tree"  # a copy, because a build leaves folders behind
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    subprocess.run([sys.executable, "-c", BUILD, tmp_path], cwd=tree, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    needed = {
        str(Path("accordant") / path.relative_to(SOURCE))
        for path in SOURCE.rglob("*")
        if path.suffix in (".py", ".html", ".css", ".js", ".svg", ".yaml")
    }
    assert needed - held == set()
    with subprocess.Popen(
        [sys.executable, "-P", "-c", SERVE, tmp_path / "store.db"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            assert server.stdout.readline().startswith(str(tmp_path / "site"))
            found = re.search(r"http://\S+:\d+", server.stdout.readline())
            assert found, "the server said nothing"
            page = httpx.get(f"{found.group()}/sign-in", timeout=20)
            assert page.status_code == 200
            style = re.search(r'href="(/static/\w+/style[^"]+)"', page.text)
            assert style
            assert httpx.get(found.group() + style.group(1)).status_code == 200
        finally:
            server.terminate()
