"""The API's description as one plain page: no script, nothing from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")


def operations_page(description: dict[str, Any]) -> str:
    """Return an OpenAPI description as HTML, operations grouped by tag."""
    groups: dict[str, list[str]] = {}
    for path, item in description["paths"].items():
        for method in _METHODS:
            if method in item:
                tag = (item[method].get("tags") or ["other"])[0]
                groups.setdefault(tag, []).append(_operation(method, path, item[method]))
    title = escape(description["info"]["title"])
    body = "".join(
        f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in sorted(groups.items())
    )
    schemas = description.get("components", {}).get("schemas", {})
    shapes = "".join(_shape(name, schema) for name, schema in sorted(schemas.items()))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width">'
        f'<link rel="icon" type="image/svg+xml" href="/static/icon.svg">'
        f'<link rel="stylesheet" href="/static/docs.css">'
        f"<h1>{title}</h1><p>Machine-readable: "
        '<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>. Log in with '
        "<code>POST /api/v1/auth/token</code> and send <code>Authorization: Bearer …</code>."
        f"</p>{body}<h2>Shapes</h2>{shapes}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<li><code>{escape(status)}</code> {escape(answer.get('description', ''))}"
        f" {_reference(answer)}</li>"
        for status, answer in operation.get("responses", {}).items()
    )
    arguments = "".join(
        f"<li><code>{escape(each['name'])}</code> in {escape(each['in'])}"
        f"{' · required' if each.get('required') else ''}"
        f" {escape(each.get('description', ''))}</li>"
        for each in operation.get("parameters", [])
    )
    body = _reference(operation.get("requestBody", {}))
    return (
        f'<details id="{escape(operation.get("operationId", ""))}"><summary>'
        f'<span class="m">{method.upper()}</span><code>{escape(path)}</code> '
        f"{escape(operation.get('summary', ''))}</summary>"
        f"<p>{escape(operation.get('description', ''))}</p>"
        + (f"<p>Arguments</p><ul>{arguments}</ul>" if arguments else "")
        + (f"<p>Body {body}</p>" if body else "")
        + f"<p>Answers</p><ul>{answers}</ul></details>"
    )


def _reference(part: dict[str, Any]) -> str:
    for content in part.get("content", {}).values():
        name = str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]
        if name:
            return f'<a href="#shape-{escape(name)}">{escape(name)}</a>'
    return ""


def _shape(name: str, schema: dict[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return (
        f'<details id="shape-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<pre>{text}</pre></details>"
    )
