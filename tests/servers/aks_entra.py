"""The token endpoint of Microsoft Entra, as far as a service principal with a secret needs it."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from tests.servers.base import Answer

if TYPE_CHECKING:
    from tests.servers.base import Request

TENANT, CLIENT, SECRET = "72f988bf-0000-0000-0000-000000000001", "11111111-2222-3333-4444-555555555555", "s3cr3t"
SECONDS = 3599


class Entra:
    """Gives tokens for ``resource``, which is also where it listens itself, and knows them again."""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self._until: dict[str, float] = {}

    def answer(self, request: Request) -> Answer:
        """Return a token, or where tokens are to be had."""
        if request.method == "POST":
            return self._token(request)
        where = f"{self._resource}/{TENANT}"
        return Answer(
            body={
                "issuer": f"{where}/v2.0",
                "authorization_endpoint": f"{where}/oauth2/v2.0/authorize",
                "token_endpoint": f"{where}/oauth2/v2.0/token",
            }
        )

    def knows(self, request: Request) -> bool:
        """Tell whether the request's token is one of ours, and still good."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._until.get(token, 0) > time.monotonic()

    def _token(self, request: Request) -> Answer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            text = "AADSTS7000215: Invalid client secret provided."
            return Answer(401, {"error": "invalid_client", "error_description": text})
        if (form.get("grant_type"), form.get("scope")) != ("client_credentials", f"{self._resource}/.default"):
            text = f"AADSTS500011: The resource principal named {form.get('scope')} was not found."
            return Answer(400, {"error": "invalid_resource", "error_description": text})
        token = secrets.token_urlsafe()
        self._until[token] = time.monotonic() + SECONDS
        return Answer(body={"token_type": "Bearer", "expires_in": SECONDS, "access_token": token})
