"""What forms of channels and chains carry, and which of their fields is wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from cloud.alarms.notify.models import Channel, ChannelKind
from cloud.alarms.notify.schemas import ChannelCreate, RuleBody
from cloud.core.errors import BusinessError
from shared.contracts.words import Severity

T = TypeVar("T", bound=BaseModel)
STEPS_MAX = 10
_SPARE_STEPS = 2


class Wrong(Struct, frozen=True):
    """A field and what is wrong with it, as the key of a text; "" for nothing."""

    field: str = ""
    key: str = ""


def empty_channel() -> dict[str, Any]:
    """Return the fields of a channel that is not made yet."""
    return {"name": "", "kind": ChannelKind.WEBHOOK.value, "target": "", "language": "zh"}


def channel_fields(channel: Channel) -> dict[str, Any]:
    """Return the fields of a channel as its form shows them."""
    return channel.model_dump(mode="json", include={"name", "kind", "target", "language"})


def typed_channel(form: FormData) -> dict[str, Any]:
    """Return what was typed of a channel."""
    values = {name: _text(form, name).strip() for name in empty_channel()}
    return values | ({"target": ""} if values["kind"] == ChannelKind.LOG else {})


def read_channel(values: Mapping[str, Any]) -> ChannelCreate | Wrong:
    """Return a channel as the API takes it, or its first wrong field."""
    return _read(ChannelCreate, values)


def empty_rule() -> dict[str, Any]:
    """Return the fields of a chain that is not made yet."""
    return {
        "name": "",
        "severity": Severity.MAJOR.value,
        "codes": [],
        "stations": [],
        "drills": False,
        "chain": [],
        "repeat_min": "0",
        "on_clear": False,
        "burst_s": "60",
        "active": True,
    }


def typed_rule(form: FormData) -> dict[str, Any]:
    """Return what was typed of a chain; steps without a channel are left out."""
    minutes, channels = _texts(form, "after_min"), _texts(form, "channel_id")
    steps = zip(minutes, channels, strict=False)
    return {
        **{name: _text(form, name).strip() for name in ("name", "severity")},
        **{name: _text(form, name).strip() or "0" for name in ("repeat_min", "burst_s")},
        **{name: name in form for name in ("drills", "on_clear", "active")},
        "codes": _texts(form, "codes"),
        "stations": _texts(form, "stations"),
        "chain": [{"after_min": after or "0", "channel_id": id_} for after, id_ in steps if id_],
    }


def read_rule(values: Mapping[str, Any]) -> RuleBody | Wrong:
    """Return a chain as the API takes it, its steps by time, or its first wrong field."""
    found = _read(RuleBody, values)
    if isinstance(found, RuleBody):
        found.chain.sort(key=lambda step: step.after_min)
    return found


def steps_shown(chain: Sequence[Any]) -> list[Any]:
    """Return the steps of a form: those that are there, and room for more."""
    room = min(_SPARE_STEPS, STEPS_MAX - len(chain)) if chain else _SPARE_STEPS + 1
    return [*chain, *({"after_min": "", "channel_id": ""} for _ in range(room))]


def refused(error: BusinessError) -> Wrong:
    """Return which field the server refuses, and why."""
    if error.code == "name_taken":
        return Wrong("name", "notice_form.name_taken")
    if error.code in {"invalid_channel", "forbidden_address"}:
        return Wrong("target", f"notice_form.{error.code}")
    if error.code == "station_not_found":
        return Wrong("stations", "notice_form.stations")
    return Wrong("chain", "notice_form.chain")


def _read(kind: type[T], values: Mapping[str, Any]) -> T | Wrong:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        field = str(error.errors(include_url=False)[0]["loc"][0])
        return Wrong(field, f"notice_form.{field}")


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _texts(form: FormData, name: str) -> list[str]:
    return [value.strip() for value in form.getlist(name) if isinstance(value, str)]
