"""HQ's API as the demo uses it: what a person with a browser and a key would do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self
from uuid import uuid4

import httpx

from ops.demo.children import DemoError

_TIMEOUT_S = 10.0
_PAGE = 500


class HqApi:
    """A logged-in client."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Prepare only. `url` is HQ's address without a path."""
        self.url = url
        self._client = httpx.AsyncClient(
            base_url=url, timeout=_TIMEOUT_S, trust_env=False, transport=transport
        )

    async def __aenter__(self) -> Self:
        """Nothing is contacted yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def is_ready(self) -> bool:
        """Tell whether HQ serves."""
        try:
            return (await self._client.get("/readyz")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def log_in(self, username: str, password: str) -> None:
        """Get a bearer token for all further calls.

        Raises:
            DemoError: It is not our HQ that answers there, or it refuses.
        """
        form = {"username": username, "password": password}
        answer = await self._client.post("/api/v1/auth/token", data=form)
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.NOT_FOUND}:
            raise DemoError(
                f"another program answers at {self.url}, as a second demo does that starts in the "
                "same moment; end it, or choose another port: --port 0 takes any free one"
            )
        token = _checked(answer)["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    async def make(self, path: str, body: dict[str, Any]) -> Any:
        """POST under /api/v1 and return the answer.

        Raises:
            DemoError: HQ refuses, with its reason.
        """
        key = {"Idempotency-Key": str(uuid4())}
        return await self._ask("POST", path, json=body, headers=key)

    async def put(self, path: str, body: Any, *, version: int | None = None) -> Any:
        """PUT under /api/v1 and return the answer; `version` is the one that it replaces.

        Raises:
            DemoError: HQ refuses, with its reason.
        """
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return await self._ask("PUT", path, json=body, headers=headers)

    async def read(self, path: str, **query: Any) -> Any:
        """GET under /api/v1.

        Raises:
            DemoError: HQ refuses, with its reason.
        """
        return await self._ask("GET", path, params=query)

    async def read_all(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Yield every item of a list, page by page."""
        cursor = ""
        while True:
            page = await self.read(path, limit=_PAGE, cursor=cursor)
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if not cursor:
                return

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = await self._client.request(method, f"/api/v1{path}", **more)
        except httpx.TransportError as error:  # a customer or a look goes on without HQ
            raise DemoError(f"HQ: {method} {path}: {error!r}") from error
        return _checked(answer)


def _checked(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    raise DemoError(f"HQ: {answer.request.method} {answer.request.url.path}: {answer.text[:500]}")
