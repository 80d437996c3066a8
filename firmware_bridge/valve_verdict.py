"""What a self-test says about one valve: numbers in, a verdict and what to do out. Pure.

>>> from firmware_bridge.messages import SelftestFlag
>>> judge_valve(SelftestRes(7, coil_ma=0, open_us=0, flags=SelftestFlag.NONE), SelftestMode.FIRE, ValveLimits())
<ValveVerdict.NO_COIL: 'no_coil'>
>>> ADVICE[ValveVerdict.NO_COIL].what.en
'No current flows through the coil.'
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

from firmware_bridge.messages import SelftestFlag, SelftestMode, SelftestRes
from firmware_bridge.phrase import Explanation, Phrase

__all__ = ["ADVICE", "ValveLimits", "ValveVerdict", "judge_valve"]


class ValveVerdict(Enum):
    """How a valve is, as far as current and opening time tell."""

    OK = "ok"
    NO_COIL = "no_coil"
    SHORT = "short"
    SLOW = "slow"
    STUCK = "stuck"
    NO_SENSE = "no_sense"


class ValveLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a good valve shows. The defaults are for small 24 V valves of 2 to 10 W; the data sheet has yours.

    Attributes:
        coil_ma_low: least current of an intact coil, mA.
        coil_ma_high: most current of an intact coil, mA.
        open_us_max: latest opening after the start of the pulse, us.
    """

    coil_ma_low: int = 80
    coil_ma_high: int = 420
    open_us_max: int = 3_000


def judge_valve(answer: SelftestRes, mode: SelftestMode, limits: ValveLimits) -> ValveVerdict:
    """Return the verdict on a valve; the first thing that is wrong decides.

    Note: without air (SelftestMode.MEASURE) only the coil is judged; whether the valve opens stays unknown.
    """
    if answer.flags & SelftestFlag.NO_SENSE:
        return ValveVerdict.NO_SENSE
    if answer.coil_ma < limits.coil_ma_low:
        return ValveVerdict.NO_COIL
    if answer.coil_ma > limits.coil_ma_high:
        return ValveVerdict.SHORT
    if mode is SelftestMode.MEASURE:
        return ValveVerdict.OK
    if answer.open_us == 0:
        return ValveVerdict.STUCK
    return ValveVerdict.SLOW if answer.open_us > limits.open_us_max else ValveVerdict.OK


ADVICE: Final[Mapping[ValveVerdict, Explanation]] = {
    ValveVerdict.OK: Explanation(
        Phrase("The valve is good.", "喷阀正常。"),
        Phrase("Its figures lie within the limits.", "测量值在限值之内。"),
        Phrase("Nothing to do.", "无需处理。"),
    ),
    ValveVerdict.NO_COIL: Explanation(
        Phrase("No current flows through the coil.", "线圈中没有电流。"),
        Phrase("Plug loose, wire broken, coil burnt through, or no 24 V.", "插头松动、导线断开、线圈烧断或没有 24 V。"),
        Phrase(
            "Check plug and wire; if its neighbour's plug works here, replace the valve, else the output.",
            "检查插头和导线；换接相邻喷阀可用则更换喷阀，否则更换输出通道。",
        ),
    ),
    ValveVerdict.SHORT: Explanation(
        Phrase("The coil draws too much current.", "线圈电流过大。"),
        Phrase(
            "Shorted turns, chafed wire, water in the plug, or another type of valve.",
            "匝间短路、导线磨破、插头进水，或喷阀型号不同。",
        ),
        Phrase(
            "Unplug it at once, look at wire and plug, replace the valve.",
            "立即拔下，检查导线和插头，更换喷阀。",
        ),
    ),
    ValveVerdict.SLOW: Explanation(
        Phrase("The valve opens too late.", "喷阀打开太慢。"),
        Phrase(
            "Dirt or wear, air pressure too low, or supply voltage too low.", "脏污或磨损、气压过低或电源电压过低。"
        ),
        Phrase(
            "Check air and 24 V first; if only this valve is slow, clean or replace it.",
            "先检查气压和 24 V；若只有该喷阀慢，清洁或更换。",
        ),
    ),
    ValveVerdict.STUCK: Explanation(
        Phrase("The coil works, but the valve does not open.", "线圈正常，但喷阀不打开。"),
        Phrase("Armature stuck, nozzle blocked, or no air.", "阀芯卡死、喷嘴堵塞或没有气源。"),
        Phrase("Check the air, free the nozzle, else replace the valve.", "检查气源，疏通喷嘴，否则更换喷阀。"),
    ),
    ValveVerdict.NO_SENSE: Explanation(
        Phrase("The controller cannot measure this valve.", "控制器无法测量该喷阀。"),
        Phrase("It has no current or pressure sensing.", "控制器没有电流或压力检测。"),
        Phrase(
            "Use --mode fire and listen at the nozzles, valve by valve.",
            "使用 --mode fire，逐个在喷嘴处听声音判断。",
        ),
    ),
}
