"""How a studio is served. Everything about the work itself is in the store."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from accordant.apps.listen import LOOPBACK, address, names
from accordant.types import UserError


@dataclass(frozen=True)
class Settings:
    """Where it listens, what it is called from outside, and how much it lets one person ask of it.

    `public_url` is what labelers type, such as https://studio.example.org; where it is empty, the address that is listened on.
    """

    host: str = "127.0.0.1"
    port: int = 8321
    public_url: str = ""
    requests_per_minute: int = 600  # of one person, or of one address where nobody is signed in
    sign_ins_per_quarter: int = 10  # failed ones of one name from one address, in 15 minutes (`sign_ins`)
    body_bytes: int = 2**20
    upload_bytes: int = 64 * 2**20

    @property
    def url(self) -> str:
        """What an invitation begins with, without a slash at its end."""
        return self.public_url.rstrip("/") or address(self.host, self.port)

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it through TLS, so that the cookie may ask for it."""
        return self.public_url.startswith("https://")

    @property
    def hosts(self) -> list[str]:
        """What a request may call this server."""
        if self.host in ("0.0.0.0", "::") and not self.public_url:
            return ["*"]
        return names(self.host, *([str(urlsplit(self.public_url).hostname)] if self.public_url else []))

    def check(self, has_accounts: bool) -> None:
        """Raises UserError for a public URL that is none, and for an address that others reach while there are no accounts."""
        parts = urlsplit(self.public_url)
        if self.public_url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/")):
            raise UserError(
                f"--public-url is {self.public_url!r}; it must be such as https://studio.example.org, without a path"
            )
        if self.host not in LOOPBACK and not has_accounts:
            raise UserError(
                f"there are no accounts in this store, and {self.host} can be reached by others: make the first account with "
                "`accordant studio admin NAME`, or serve on 127.0.0.1"
            )
