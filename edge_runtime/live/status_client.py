"""Asks a run on this computer how it is: what `sortloop-edge status` does."""

import http.client
from typing import Final

import msgspec

from edge_runtime.errors import NoRunError
from edge_runtime.live.run_report import LiveReport

__all__ = ["ask_status"]

_HOST: Final = "127.0.0.1"
_MOST_B: Final = 1 << 20


def ask_status(port: int, *, timeout_s: float = 3.0) -> LiveReport:
    """Return the report of the run that answers on a port of this computer.

    Args:
        port: `live.metrics_port` of its machine file.
        timeout_s: for each step of connecting and reading.

    Raises:
        NoRunError: nothing answers there, or it is no run of this build, or the run has not reported yet.
    """
    if not port:
        raise NoRunError("live.metrics_port is 0: a run with this machine file answers nobody")
    status, body = _get(port, timeout_s)
    if status == 503:
        raise NoRunError(f"a run answers at port {port}: {body.decode(errors='replace').strip()}")
    try:
        if status == 200:
            return msgspec.json.decode(body, type=LiveReport)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # said below
    raise NoRunError(f"port {port} answers, but it is no run of this build: another program has live.metrics_port")


def _get(port: int, timeout_s: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(_HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", "/status")
        response = connection.getresponse()
        return response.status, response.read(_MOST_B)
    except ConnectionRefusedError as error:
        raise NoRunError(f"no run answers at port {port} of this computer") from error
    except TimeoutError as error:
        raise NoRunError(f"port {port} is open, but nothing answers within {timeout_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise NoRunError(f"port {port} answers, but it is no run: {type(error).__name__} {error}") from error
    finally:
        connection.close()
