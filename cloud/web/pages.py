"""Rendering pages: a template environment a slice, over one layout, in the reader's language.

A slice that has pages makes `Pages("cloud.<slice>")`; its templates are in `templates/<slice>/`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

from cloud.core.security import Staff
from cloud.web import formats
from cloud.web.error_pages import install_error_pages
from cloud.web.forms import NONCE, SESSION, FormTokens, form_tokens, nonce_for, set_cookie
from cloud.web.texts import COOKIE as LANGUAGE_COOKIE
from cloud.web.texts import LANGUAGES, texts_for
from cloud.web.things import thing

THEME_COOKIE = "vw_theme"
THEMES = ("auto", "light", "dark")
_STATIC = Path(str(files("cloud.web").joinpath("static")))
_FILTERS = (
    "kw",
    "kwh",
    "exact_kwh",
    "yuan",
    "exact_yuan",
    "e4_yuan",
    "price",
    "whole",
    "us_as_ms",
    "moment",
    "moment_s",
    "full_moment",
    "ago",
    "tail",
    "masked",
)


class Pages:
    """Renders the templates of one slice."""

    def __init__(self, package: str) -> None:
        loaders = [PackageLoader(name) for name in dict.fromkeys((package, "cloud.web"))]
        self._environment = Environment(
            loader=ChoiceLoader(loaders),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._environment.filters |= {name: getattr(formats, name) for name in _FILTERS}
        self._environment.globals |= {"static": static_url, "called": thing}

    def render(
        self, request: Request, name: str, *, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """Return a page. Remembers language and theme when the address names one."""
        texts = texts_for(request)
        theme = _wish(request, "theme", THEME_COOKIE, THEMES)
        nonce = nonce_for(request)
        staff: Staff | None = getattr(request.state, "staff", None)
        token = form_tokens(request).make(nonce=nonce, session=request.cookies.get(SESSION, ""))
        html = self._environment.get_template(name).render(
            t=texts,
            theme=theme or "auto",
            themes=THEMES,
            staff=staff,
            csrf_token=token,
            place_now=request.url.path,
            address=lambda **query: _address(request, query),
            **context,
        )
        response = HTMLResponse(html, status_code=status)
        if request.cookies.get(NONCE) != nonce:
            set_cookie(request, response, NONCE, nonce)
        if request.query_params.get("lang") in LANGUAGES:
            set_cookie(request, response, LANGUAGE_COOKIE, texts.language)
        if request.query_params.get("theme") in THEMES:
            set_cookie(request, response, THEME_COOKIE, theme)
        return response


def install(app: FastAPI, *, secret: str) -> None:
    """Serve the static files, and errors as pages to browsers. After the API's error handlers."""
    app.state.form_tokens = FormTokens(secret)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")

    # Browsers ask for it wherever no page names an icon: of an answer in JSON, say.
    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> FileResponse:
        return FileResponse(_STATIC / "icon.svg")

    install_error_pages(app, Pages("cloud.web").render)


@cache
def static_url(name: str) -> Markup:
    """Return the address of a static file; it changes with the content."""
    digest = hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]
    return Markup(f"/static/{name}?v={digest}")  # noqa: S704 - our own file's name and a number


def _wish(request: Request, parameter: str, cookie: str, known: tuple[str, ...]) -> str:
    for wish in (request.query_params.get(parameter), request.cookies.get(cookie)):
        if wish in known:
            return str(wish)
    return ""


def _address(request: Request, changes: dict[str, str]) -> str:
    """Return the address of this page with other parameters."""
    query = dict(request.query_params) | changes
    return f"{request.url.path}?{urlencode(query)}"
