"""Run the studio: open the store, say where it is, serve until it is told to stop."""

from __future__ import annotations

from accordant.apps.listen import listen
from accordant.apps.studio.app import make_app
from accordant.apps.studio.settings import Settings
from accordant.feedback import people
from accordant.feedback.store import Store


def serve(
    *,
    store: str,
    host: str = Settings.host,
    port: int = Settings.port,
    public_url: str = "",
    requests_per_minute: int = Settings.requests_per_minute,
) -> None:
    """Serve the store's studio until Ctrl-C.

    Raises:
        UserError: the address is taken, or can be reached by others while there are no accounts; or the store cannot be opened.
    """
    import uvicorn

    with Store.open(store) as opened, listen(host, port) as listener:
        settings = Settings(host, listener.getsockname()[1], public_url, requests_per_minute)
        settings.check(people.has_accounts(opened))
        print(f"the studio is at {settings.url} (Ctrl-C stops it)", flush=True)
        if not people.has_accounts(opened):
            token = people.invite(opened, "admin", days=1)
            print(f"make the first account, an admin's: {settings.url}/join/{token}", flush=True)
        server = uvicorn.Server(
            uvicorn.Config(make_app(opened, settings), log_level="warning", timeout_graceful_shutdown=10, server_header=False)
        )
        server.run(sockets=[listener])
