"""Forms that only our own pages can send, and the cookies of a session.

A form carries an HMAC over two cookies: a random one that every browser gets and the session's.
Another site can neither read them nor compute it. Programs that use the session's cookie send
the same text as `X-CSRF-Token`.
"""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request, Response

from cloud.core.errors import ForbiddenError
from cloud.core.security import new_secret

SESSION = "vw_session"
NONCE = "vw_form"
FIELD = "csrf_token"
HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD"})


class ForgedFormError(ForbiddenError):
    """The form is not from one of our pages, or from before a log-in."""

    code = "forged_form"


class FormTokens:
    """Makes and checks what forms carry."""

    def __init__(self, secret: str) -> None:
        # A key of its own: what signs log-ins must not sign anything else.
        self._key = hmac.digest(secret.encode(), b"voltwarden forms", hashlib.sha256)

    def make(self, *, nonce: str, session: str) -> str:
        """Return what a form carries in a browser with these cookies."""
        text = f"{nonce}\n{session}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

    def check(self, request: Request, given: str) -> None:
        """Refuse what does not come from a page of ours. Raises ForgedFormError."""
        nonce = request.cookies.get(NONCE, "")
        wanted = self.make(nonce=nonce, session=request.cookies.get(SESSION, ""))
        if not nonce or not hmac.compare_digest(given.encode(), wanted.encode()):
            raise ForgedFormError("this form is out of date; load the page again")


def form_tokens(request: Request) -> FormTokens:
    """Return what `cloud.web.pages.install` has put there."""
    tokens: FormTokens = request.app.state.form_tokens
    return tokens


def nonce_for(request: Request) -> str:
    """Return the browser's random cookie, a new one if it has none."""
    known: str | None = getattr(request.state, "form_nonce", None)
    if known is None:
        known = request.cookies.get(NONCE) or new_secret()
        request.state.form_nonce = known
    return known


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Set a cookie until the browser closes, out of reach of scripts and of other sites' forms."""
    response.set_cookie(
        name, value, httponly=True, samesite="lax", secure=request.url.scheme == "https"
    )


def local_path(wanted: str) -> str:
    """Return a path of this site to go on to, `/` for anything else."""
    usable = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and "\n" not in wanted
    return wanted if usable and wanted.isprintable() else "/"
