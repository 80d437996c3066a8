"""A host as a process of its own, for tests that kill it: keeps a controller armed and fires all the time.

    python tests/link_host.py PORT SEED

It prints a line for each thing that happened, with the monotonic clock in front, the same clock in every process:
`lost REASON`, `restored MS ARMED`, `held DETAIL`, `refused DETAIL`, `fired N` and `missed N` (twenty times a second).
After a hold it wants to be armed again at once, as an operator who has had a look would.
"""

import functools
import random
import sys
from collections import Counter

from firmware_bridge.clock import SystemClock
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.keeper_events import ArmingHeld, KeeperSettings, KeeperState, LinkLost, LinkRefused, LinkRestored
from firmware_bridge.link_events import EjectEvent, EjectOutcome
from firmware_bridge.link_keeper import LinkKeeper
from firmware_bridge.transport_open import open_transport

STEP_NS = 2_000_000
LEAD_US = 20_000
EVENTS_A_STEP = 10
VALVES = 250  # each fires every 50 ms: no two pulses meet


def main(port: str, seed: int) -> None:
    clock = SystemClock()
    keeper = LinkKeeper(
        functools.partial(open_transport, port, clock=clock),
        clock,
        {ConfigKey.MAX_PULSE_US: 5000},
        settings=KeeperSettings(max_rearms=1000),
        rng=random.Random(seed),
    )
    keeper.want_armed(True)
    counts: Counter[bool] = Counter()
    valve = 0
    said_ns = due_ns = clock.monotonic_ns()
    while True:
        for event in keeper.poll():
            match event:
                case EjectOutcome():
                    counts[event.has_fired] += 1
                case LinkLost():
                    say(clock, f"lost {event.reason.value} {event.detail}")
                case LinkRestored():
                    say(clock, f"restored {event.after_ms} {event.is_armed}")
                case ArmingHeld():
                    say(clock, f"held {event.detail}")
                    keeper.want_armed(True)
                case LinkRefused():
                    say(clock, f"refused {event.detail}")
                case _:
                    pass
        link = keeper.link
        if keeper.state is KeeperState.ARMED and link is not None and clock.monotonic_ns() >= due_ns:
            due_ns = clock.monotonic_ns() + STEP_NS
            tick = link.tick_now() + LEAD_US
            link.eject(
                [EjectEvent((tick + 100 * n) % 2**32, (valve + n) % VALVES, 1, 1000) for n in range(EVENTS_A_STEP)]
            )
            valve = (valve + EVENTS_A_STEP) % VALVES
        if clock.monotonic_ns() - said_ns > 50_000_000:
            said_ns = clock.monotonic_ns()
            say(clock, f"fired {counts[True]}")
            say(clock, f"missed {counts[False]}")
        clock.sleep_s(0.001)


def say(clock: SystemClock, text: str) -> None:
    sys.stdout.write(f"{clock.monotonic_ns()} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
