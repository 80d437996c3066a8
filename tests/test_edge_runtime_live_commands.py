"""Commands over a run's socket: each is answered or refused, and nobody who asks badly holds the run up."""

import socket
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import ConfigError, NoRunError
from edge_runtime.live.commands import (
    Arm,
    Back,
    Command,
    CommandReply,
    CommandSocket,
    Disarm,
    Look,
    Swap,
    ask,
    decode_command,
    encode_command,
)

COMMANDS: list[Command] = [Arm(), Arm(250), Disarm(), Swap("/models/rice"), Back(), Look()]


def answered(path: Path, command: Command) -> tuple[CommandReply, list[Command]]:
    """Ask in another thread while this one answers; return the reply and what was asked."""
    asked: list[Command] = []
    replies: list[CommandReply] = []
    commands = CommandSocket(path)

    def reply(one: Command) -> CommandReply:
        asked.append(one)
        return CommandReply("done", "as told")

    client = threading.Thread(target=lambda: replies.append(ask(path, command)))
    client.start()
    while client.is_alive():
        commands.answer(reply)
    client.join()
    commands.close()
    return replies[0], asked


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_arrives_as_it_was_sent_and_is_answered(tmp_path: Path, command: Command) -> None:
    assert answered(tmp_path / "state" / "c.sock", command) == (CommandReply("done", "as told"), [command])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_command_are_told_so(data: bytes) -> None:
    try:
        command = decode_command(data)
    except ConfigError as error:
        assert "no command" in str(error)
    else:
        assert decode_command(encode_command(command)) == command


def test_who_sends_nonsense_is_refused_and_the_next_one_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    commands = CommandSocket(path)
    asked: list[Command] = []

    def reply(one: Command) -> CommandReply:
        asked.append(one)
        return CommandReply("done", "")

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(path))
        client.send(b"{}")
        commands.answer(reply)
        assert b"refused" in client.recv(1000)
    commands.close()
    assert asked == []


def test_who_connects_and_says_nothing_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    commands = CommandSocket(path)
    silent = []
    for _ in range(40):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(str(path))
        silent.append(client)
        commands.answer(lambda _: CommandReply("done", ""))

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(path))
        client.send(encode_command(Look()))
        commands.answer(lambda _: CommandReply("done", "here"))
        assert b"here" in client.recv(1000)
    for client in silent:
        client.close()
    commands.close()


def test_only_the_runs_own_user_may_ask(tmp_path: Path) -> None:
    commands = CommandSocket(tmp_path / "c.sock")
    assert stat.S_IMODE((tmp_path / "c.sock").stat().st_mode) == 0o600
    commands.close()


def test_what_an_earlier_run_left_is_replaced_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as killed:
        killed.bind(str(path))  # its name stays
    assert answered(path, Look())[0].outcome == "done"
    assert not path.exists()


def test_where_no_run_listens_the_answer_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoRunError, match="no run answers"):
        ask(tmp_path / "c.sock", Look())
