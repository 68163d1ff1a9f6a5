"""The loudspeaker as a safety channel: what it should say now, and whether it can."""

from __future__ import annotations

from edge.sound.player import Player

DRILL_MESSAGE = "drill"


class Speaker:
    """Has a player say one message at a time. Without a player it is a channel that fails."""

    def __init__(self) -> None:
        self._player: Player | None = None
        self.saying = ""

    def connect(self, player: Player) -> None:
        """Take the player."""
        self._player = player

    def say(self, message: str) -> None:
        """Say a message from now on, "" for none; what it says already goes on undisturbed."""
        if message == self.saying:
            return
        self.saying = message
        if self._player is None:
            return
        if message:
            self._player.play(message, "both")
        else:
            self._player.stop()

    @property
    def reason(self) -> str:
        """Why nothing would be heard, "" when it would."""
        if self._player is None:
            return "no_player"
        return "" if self._player.alive() else self._player.reason or "silent"
