"""The admin's pages over HTTP: a project's form, and what a page says in answer."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from accordant.feedback import overview

if TYPE_CHECKING:
    import httpx

    from conftest import Client, Studio


SETTINGS = {"overlap": "2", "order_by": "priority", "random_share": "20", "gold_share": "5", "lease_minutes": "30"}
PROJECT = {"name": "Fruit", "guidelines": "Be fair.", "attributes": "quality\ntruth", **SETTINGS}
HERE = "/admin/projects/1"


def alert(response: httpx.Response, status: int = 400) -> str:
    """What the page says was wrong."""
    assert response.status_code == status, response.text
    found = re.search(r'role="alert">([^<]+)<', response.text)
    assert found, response.text
    return html.unescape(found.group(1))


def note(client: Client, response: httpx.Response) -> str:
    """What the page that a form leads to says."""
    assert response.status_code == 303, response.text
    found = re.search(r'class="note \w+">([^<]+)<', client.get(response.headers["location"]).text)
    assert found
    return html.unescape(found.group(1))


def upload(client: Client, name: str, content: str | bytes, **fields: str) -> httpx.Response:
    return client.post(f"{HERE}/import", fields, files={"file": (name, content)})


def ids(studio: Studio, project_id: int = 1) -> list[int]:
    return [line.id for line in overview.items(studio.store, project_id, size=1000).rows]
