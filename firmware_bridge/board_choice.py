"""Which virtual board to simulate with: the C reference core where it can be compiled, else its pure-Python twin.

>>> open_board(BoardSettings(n_valves=8)).settings.n_valves
8
"""

import structlog

from firmware_bridge.board import Board, BoardSettings
from firmware_bridge.errors import NativeUnavailableError
from firmware_bridge.native_board import NATIVE_MAX_BODY_B, NativeBoard
from firmware_bridge.virtual_board import VirtualBoard

__all__ = ["open_board"]

_log = structlog.get_logger(__name__)


def open_board(settings: BoardSettings | None = None) -> Board:
    """Return a board that has just been switched on.

    Args:
        settings: what to play.

    Note: both kinds do the same to the bit; without a compiler a log line says which one plays, and why.
    """
    wish = settings or BoardSettings()
    if wish.max_body_b != NATIVE_MAX_BODY_B:
        return VirtualBoard(wish)
    try:
        return NativeBoard(wish)
    except NativeUnavailableError as error:
        _log.info("board.pure_python", reason=str(error))
        return VirtualBoard(wish)
