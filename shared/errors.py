"""The roots of the error taxonomy: what is raised here is expected, anything else is a bug."""

from __future__ import annotations


class VoltwardenError(Exception):
    """Root of every expected failure."""


class ConfigError(VoltwardenError):
    """The program cannot start as it is configured.

    The message names the file, the field and what would be right.
    """


class DeviceError(VoltwardenError):
    """Something went wrong with a device at the station."""


class DeviceUnreachableError(DeviceError):
    """No answer; trying again may help."""


class DeviceRefusedError(DeviceError):
    """The device answered no; trying again does not help."""


class MalformedMessageError(DeviceError):
    """A device broke its protocol in one message."""

    def __init__(self, kind: int, reason: str) -> None:
        super().__init__(f"message 0x{kind:02X}: {reason}")
        self.kind = kind
        self.reason = reason


class MalformedContractError(VoltwardenError):
    """A message between station and HQ cannot be read."""


class CommandRejectedError(VoltwardenError):
    """A command is not carried out: interlock, expiry or unknown target."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProtectionError(VoltwardenError):
    """A protection document cannot be used; `path` names the first wrong field."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class RefusedError(VoltwardenError):
    """Something that somebody asked for is not done; the text says why.

    Args:
        code: Says it to programs, and does not change.
        text: In English.
        values: What the text names, for texts in other languages.
    """

    def __init__(self, code: str, text: str, *values: object) -> None:
        super().__init__(text)
        self.code = code
        self.values = tuple(map(str, values))
