"""Which of our two languages a reader wants. Pure."""

from __future__ import annotations


def wants_chinese(accept_language: str) -> bool:
    """Whether a reader prefers zh to en, by the first of both that Accept-Language names."""
    ranked = []
    for position, part in enumerate(accept_language.lower().split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        ranked.append((-weight, position, tag))
    for _, _, tag in sorted(ranked):
        if tag.startswith("zh"):
            return True
        if tag.startswith("en"):
            return False
    return False
