"""Headers that every answer carries."""

from __future__ import annotations

from fastapi import Request, Response

POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)


def harden(request: Request, response: Response) -> None:
    """Allow nothing inline or from elsewhere, no frames, no guessing of types, no stored copies."""
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    if request.url.path.startswith("/static/"):
        # Addresses carry the version of what they name.
        versioned = "v" in request.query_params
        headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if versioned else "no-cache"
        )
    else:
        headers.setdefault("Cache-Control", "no-store")
    if request.url.scheme == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
