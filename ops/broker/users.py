"""Changes a running broker's users. It takes effect at once and nobody else is disconnected."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from aiomqtt import Client, MqttError, ProtocolVersion

from ops.broker.files import ADMIN, CONTROL, Command
from shared.errors import VoltwardenError

_TIMEOUT_S = 10.0


class BrokerRefusedError(VoltwardenError):
    """The broker is out of reach, does not answer, or refuses a change."""


async def change(
    commands: Sequence[Command],
    *,
    host: str,
    port: int,
    secret: str,
    accept: frozenset[str] = frozenset(),
) -> None:
    """Have a broker carry commands out.

    Args:
        commands: From `files.let_in` or `files.shut_out`.
        host: The workers' listener.
        port: The same.
        secret: The administrator's.
        accept: Refusals that do not matter, in the broker's words.

    Raises:
        BrokerRefusedError: With the broker's reason.
    """
    try:
        async with (
            asyncio.timeout(_TIMEOUT_S),
            Client(
                host, port, username=ADMIN, password=secret, protocol=ProtocolVersion.V5
            ) as client,
        ):
            await client.subscribe(f"{CONTROL}/response", qos=1)
            await client.publish(CONTROL, json.dumps({"commands": list(commands)}), qos=1)
            answer = await anext(client.messages)
    except (MqttError, TimeoutError) as error:
        raise BrokerRefusedError(f"{host}:{port}: {error or 'no answer'}") from error
    assert isinstance(answer.payload, bytes)
    for response in json.loads(answer.payload)["responses"]:
        reason = response.get("error")
        if reason and reason not in accept:
            raise BrokerRefusedError(f"{response['command']}: {reason}")
