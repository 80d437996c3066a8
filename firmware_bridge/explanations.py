"""What every code of the link means in plain words: states, faults, refused events, lost sessions.

A catalogue and nothing else; a test holds it complete. `doctor --explain NAME` prints it.

>>> explain("late_dropped").what.en
'A fire command reached the controller after its time. The valve did not open.'
"""

from collections.abc import Mapping
from typing import Final

from firmware_bridge.keeper_events import LostReason
from firmware_bridge.link_events import DownReason
from firmware_bridge.messages import BoardState, EjectReason, FaultCode
from firmware_bridge.phrase import Explanation, Phrase

__all__ = ["DOWN_REASONS", "EJECT_REASONS", "FAULTS", "LOST_REASONS", "STATES", "explain", "names"]

STATES: Final[Mapping[BoardState, Explanation]] = {
    BoardState.BOOT: Explanation(
        Phrase("The controller has just been switched on.", "控制器刚刚上电。"),
        Phrase("Normal for a moment after power on.", "上电后的短暂正常状态。"),
        Phrase("Wait a second.", "等待一秒。"),
    ),
    BoardState.SAFE: Explanation(
        Phrase(
            "The controller has stopped the machine: all valves closed, feeder off.",
            "控制器已停机：所有喷阀关闭，给料停止。",
        ),
        Phrase(
            "It was switched on and no program has connected yet, a program asked for it, or the computer fell silent.",
            "上电后尚无程序连接，或程序要求停机，或计算机不再发送数据。",
        ),
        Phrase("Start the program: only a new session leads out of SAFE.", "启动程序：只有新的会话才能退出 SAFE。"),
    ),
    BoardState.IDLE: Explanation(
        Phrase("A program is connected; valves do not fire.", "程序已连接，喷阀不动作。"),
        Phrase("Normal before arming and while the machine rests.", "启用喷吹之前和停歇时的正常状态。"),
        Phrase("Nothing to do.", "无需处理。"),
    ),
    BoardState.ARMED: Explanation(
        Phrase("Valves fire on command. Keep hands away.", "喷阀会按指令动作，请勿伸手。"),
        Phrase("Normal while sorting.", "分选时的正常状态。"),
        Phrase("Nothing to do.", "无需处理。"),
    ),
    BoardState.DEGRADED: Explanation(
        Phrase(
            "Valves fire, but more than 1 % of the fire commands of a second came too late.",
            "喷阀仍动作，但一秒内超过 1% 的喷吹指令迟到。",
        ),
        Phrase(
            "The computer decides too late or the line is too slow. Above 20 % the controller stops the feeder too.",
            "计算机判定太慢或线路太慢。超过 20% 时控制器还会停止给料。",
        ),
        Phrase("See LATE_RATE.", "参见 LATE_RATE。"),
    ),
}

FAULTS: Final[Mapping[FaultCode, Explanation]] = {
    FaultCode.HOST_SILENT: Explanation(
        Phrase(
            "The controller heard nothing from the computer for longer than its watchdog allows and went to SAFE.",
            "控制器在看门狗时限内没有收到计算机的数据，已停机。",
        ),
        Phrase(
            "The program ended or was killed, the computer was too busy to send every 50 ms, or the cable was pulled "
            "or disturbed.",
            "程序退出或被终止，计算机过忙而未能每 50 毫秒发送一次，或电缆被拔出、受到干扰。",
        ),
        Phrase(
            "Look into the program's log for that moment and check cable and plugs, then start the program again.",
            "查看该时刻的程序日志，检查电缆和插头，然后重新启动程序。",
        ),
    ),
    FaultCode.CFG_MISMATCH: Explanation(
        Phrase(
            "Computer and controller do not hold the same settings, so the controller does not fire.",
            "计算机与控制器的设置不一致，因此控制器不喷吹。",
        ),
        Phrase(
            "A second program changed a setting meanwhile, or the controller restarted.",
            "另一个程序改动了设置，或控制器重启过。",
        ),
        Phrase(
            "Let only one program use the controller and start it again: it sends every setting anew.",
            "只让一个程序使用控制器，并重新启动它：它会重新下发全部设置。",
        ),
    ),
    FaultCode.LATE_RATE: Explanation(
        Phrase(
            "More than 1 % of the fire commands of a second reached the controller after their time.",
            "一秒内超过 1% 的喷吹指令在喷吹时刻之后才到达控制器。",
        ),
        Phrase(
            "The computer decides too late or is overloaded, the line is slow or loses frames, or the belt is too fast "
            "for the way from camera to nozzles.",
            "计算机判定太慢或过载，线路太慢或丢帧，或皮带速度相对于相机到喷嘴的距离过快。",
        ),
        Phrase(
            "Run `sortloop-link doctor`, end other programs, use a quicker line or a smaller model, or slow the belt.",
            "运行 `sortloop-link doctor`，关闭其他程序，改用更快的线路或更小的模型，或降低皮带速度。",
        ),
    ),
    FaultCode.QUEUE_OVERRUN: Explanation(
        Phrase(
            "The controller's queue was full and it refused fire commands.",
            "控制器队列已满，拒绝了喷吹指令。",
        ),
        Phrase(
            "More pieces were to be ejected at once than it has slots for, or commands are sent too long ahead.",
            "同时要剔除的物料多于其队列容量，或指令发送得太早。",
        ),
        Phrase(
            "Feed less material, send commands later, or use a controller with more slots (`sortloop-link identify`).",
            "减少给料，推迟发送指令，或使用队列更长的控制器（`sortloop-link identify`）。",
        ),
    ),
}

EJECT_REASONS: Final[Mapping[EjectReason, Explanation]] = {
    EjectReason.LATE_DROPPED: Explanation(
        Phrase(
            "A fire command reached the controller after its time. The valve did not open.",
            "喷吹指令在喷吹时刻之后才到达控制器，喷阀未动作。",
        ),
        Phrase("The decision or the line was too slow.", "判定或线路太慢。"),
        Phrase(
            "A few are harmless. Many: see LATE_RATE.",
            "个别出现无妨；大量出现时参见 LATE_RATE。",
        ),
    ),
    EjectReason.LATE_FIRED: Explanation(
        Phrase(
            "A fire command came late, but within the tolerance: the valve opened at once.",
            "喷吹指令迟到，但在容差之内：喷阀立即动作。",
        ),
        Phrase("The decision or the line was slower than planned.", "判定或线路比预期慢。"),
        Phrase("Nothing to do for a few; many announce LATE_RATE.", "个别无需处理；大量出现预示 LATE_RATE。"),
    ),
    EjectReason.TOO_FAR: Explanation(
        Phrase(
            "A fire command lay farther ahead than the controller accepts (HORIZON_US). The valve did not open.",
            "喷吹时刻超出控制器允许的提前量（HORIZON_US），喷阀未动作。",
        ),
        Phrase(
            "The estimate of the controller's clock is wrong, or the belt nearly stands still.",
            "对控制器时钟的估计有误，或皮带几乎停止。",
        ),
        Phrase("Check the belt's speed and the encoder, then connect again.", "检查皮带速度和编码器，然后重新连接。"),
    ),
    EjectReason.BAD_VALVE: Explanation(
        Phrase("The valve does not exist on this controller.", "该控制器上没有这个喷阀。"),
        Phrase("The machine's settings name more valves than it has.", "机器设置中的喷阀数多于实际。"),
        Phrase(
            "Compare the number of valves in the machine's settings with `sortloop-link identify`.",
            "将机器设置中的喷阀数与 `sortloop-link identify` 的结果比对。",
        ),
    ),
    EjectReason.PULSE_CLAMPED: Explanation(
        Phrase(
            "The pulse was longer than the controller allows (MAX_PULSE_US): it fired, but shorter.",
            "脉冲长于控制器上限（MAX_PULSE_US）：已喷吹，但被缩短。",
        ),
        Phrase("Pulse length and limit do not fit together.", "脉冲长度与上限不匹配。"),
        Phrase(
            "Shorten the pulse, or raise MAX_PULSE_US if the valves bear it.",
            "缩短脉冲；若喷阀允许，可提高 MAX_PULSE_US。",
        ),
    ),
    EjectReason.MERGED: Explanation(
        Phrase(
            "Two pulses met on one valve and became one.",
            "同一喷阀上的两个脉冲相遇，合并为一个。",
        ),
        Phrase("Pieces lie close behind each other.", "物料前后距离太近。"),
        Phrase("Normal; if frequent, feed less material.", "属正常现象；频繁出现时减少给料。"),
    ),
    EjectReason.DUTY_LIMIT: Explanation(
        Phrase(
            "Too many valves would be open at once, or one for too much of the time. The valve did not open.",
            "同时打开的喷阀过多，或某个喷阀打开时间占比过高，喷阀未动作。",
        ),
        Phrase(
            "Very many pieces to eject in one place; the limits protect power supply and coils.",
            "某处需剔除的物料过多；该限制用于保护电源和线圈。",
        ),
        Phrase(
            "Feed less, shorten pulses, or raise MAX_OPEN_VALVES and MAX_DUTY_PERMILLE if the machine bears it.",
            "减少给料，缩短脉冲；若机器允许，可提高 MAX_OPEN_VALVES 和 MAX_DUTY_PERMILLE。",
        ),
    ),
    EjectReason.NOT_ARMED: Explanation(
        Phrase("The controller was not armed. The valve did not open.", "控制器未启用喷吹，喷阀未动作。"),
        Phrase(
            "It had stopped (SAFE), or was not armed yet, when the command came.",
            "指令到达时控制器已停机（SAFE）或尚未启用喷吹。",
        ),
        Phrase("Look for what stopped it: `sortloop-link doctor`.", "用 `sortloop-link doctor` 查找停机原因。"),
    ),
    EjectReason.QUEUE_FULL: Explanation(
        Phrase(
            "The controller had no room for another fire command. The valve did not open.",
            "控制器队列已满，喷阀未动作。",
        ),
        Phrase("More pieces at once than it has slots for.", "同时到来的物料多于其队列容量。"),
        Phrase("See QUEUE_OVERRUN.", "参见 QUEUE_OVERRUN。"),
    ),
    EjectReason.CANCELLED: Explanation(
        Phrase("An accepted fire command was cut before its time.", "已接受的喷吹指令在执行前被取消。"),
        Phrase(
            "The machine went to SAFE, or the program took the command back.",
            "机器进入 SAFE，或程序撤回了指令。",
        ),
        Phrase(
            "If the program did not take it back, look for what stopped the machine.", "若非程序撤回，请查找停机原因。"
        ),
    ),
    EjectReason.UNSUPPORTED: Explanation(
        Phrase(
            "The command counts encoder steps, but this controller has no encoder. The valve did not open.",
            "指令以编码器计数，但该控制器没有编码器，喷阀未动作。",
        ),
        Phrase("The machine's settings ask for encoder times.", "机器设置要求按编码器计时。"),
        Phrase("Use times in ticks, or a controller with an encoder.", "改用时钟计时，或使用带编码器的控制器。"),
    ),
}

_TRANSPORT: Final = Explanation(
    Phrase("The port failed.", "端口失效。"),
    Phrase(
        "The cable was pulled, the adapter or the controller lost power, or the network broke.",
        "电缆被拔出，适配器或控制器断电，或网络中断。",
    ),
    Phrase(
        "Plug it in again; a long or loose USB cable, or one beside motor cables, does this again and again.",
        "重新插好；USB 电缆过长、松动或紧靠电机电缆时会反复出现。",
    ),
)
_SILENT: Final = Explanation(
    Phrase("Nothing was heard from the controller for half a second.", "半秒内没有收到控制器的任何数据。"),
    Phrase("It lost power or hangs, or the line is broken or disturbed.", "控制器断电或死机，或线路中断、受干扰。"),
    Phrase(
        "Check its power and the cable; run `sortloop-link doctor`.", "检查其电源和电缆；运行 `sortloop-link doctor`。"
    ),
)
_NO_ACK: Final = Explanation(
    Phrase("The controller does not acknowledge what it is told.", "控制器不确认收到的指令。"),
    Phrase(
        "The line from computer to controller is broken or disturbed, while the other direction may work.",
        "计算机到控制器方向的线路中断或受干扰，另一方向可能正常。",
    ),
    Phrase(
        "Check that wire, its plug and the ground; run `sortloop-link doctor`.",
        "检查该导线、插头和接地；运行 `sortloop-link doctor`。",
    ),
)
_RESTARTED: Final = Explanation(
    Phrase("The controller has restarted.", "控制器已重启。"),
    Phrase(
        "Its supply dipped, its own watchdog struck, or somebody pressed reset. It does not say which.",
        "电源瞬间跌落、自身看门狗动作，或有人按下复位。控制器不报告具体原因。",
    ),
    Phrase(
        "Measure its supply while many valves fire; look into the controller's own log.",
        "在大量喷阀动作时测量其电源电压；查看控制器自身日志。",
    ),
)

DOWN_REASONS: Final[Mapping[DownReason, Explanation]] = {
    DownReason.NO_ACK: _NO_ACK,
    DownReason.SILENT: _SILENT,
    DownReason.RESTARTED: _RESTARTED,
    DownReason.TRANSPORT: _TRANSPORT,
    DownReason.CLOSED: Explanation(
        Phrase("The program ended the session itself.", "程序自行结束了会话。"),
        Phrase("It was asked to end.", "程序被要求退出。"),
        Phrase("Nothing to do.", "无需处理。"),
    ),
}

LOST_REASONS: Final[Mapping[LostReason, Explanation]] = {
    LostReason.TRANSPORT: _TRANSPORT,
    LostReason.SILENT: _SILENT,
    LostReason.NO_ACK: _NO_ACK,
    LostReason.RESTARTED: _RESTARTED,
    LostReason.UNHEARD: Explanation(
        Phrase(
            "The controller heard nothing from this computer, although the program was there in time.",
            "程序按时发送，但控制器没有收到。",
        ),
        Phrase(
            "The line from computer to controller is broken or disturbed.", "计算机到控制器方向的线路中断或受干扰。"
        ),
        Phrase("Check that wire, its plug and the ground.", "检查该导线、插头和接地。"),
    ),
    LostReason.STALLED: Explanation(
        Phrase(
            "This program was not there in time: the computer did not let it run.",
            "程序未能按时运行：计算机没有给它时间。",
        ),
        Phrase(
            "The computer is overloaded, short of memory, or the program was stopped.",
            "计算机过载、内存不足，或程序被暂停。",
        ),
        Phrase(
            "End other programs and arm again by hand; give the program a processor core of its own.",
            "关闭其他程序并手动重新启用喷吹；为该程序分配独立的处理器核心。",
        ),
    ),
    LostReason.STOPPED: Explanation(
        Phrase(
            "The controller stopped firing without being asked by this program.", "控制器停止喷吹，但不是本程序要求的。"
        ),
        Phrase(
            "An emergency stop, another program, or a changed setting.",
            "急停、其他程序，或设置被改动。",
        ),
        Phrase("Find out who stopped it before arming again.", "重新启用喷吹之前，先查明是谁让它停止的。"),
    ),
}

_CATALOGUES: Final = (LOST_REASONS, DOWN_REASONS, EJECT_REASONS, FAULTS, STATES)
_ALL: Final[Mapping[str, Explanation]] = {
    member.name: explanation for catalogue in _CATALOGUES for member, explanation in catalogue.items()
}


def names() -> tuple[str, ...]:
    """Return every name that `explain` knows, sorted."""
    return tuple(sorted(_ALL))


def explain(name: str) -> Explanation:
    """Return what a code means; upper or lower case.

    Raises:
        KeyError: there is no such name.
    """
    return _ALL[name.upper()]
