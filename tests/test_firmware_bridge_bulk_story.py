"""A transfer over a line that does anything, between ends that forget: it arrives whole, and nothing else does."""

import random
from dataclasses import dataclass, field

import pytest
from bulk_ends import FILE, MS, answer, hear, noise
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from firmware_bridge.bulk_receiver import BulkReceiver
from firmware_bridge.bulk_sender import BulkRules, BulkSender
from firmware_bridge.link_events import TransferDone, TransferProgress
from firmware_bridge.messages import TransferStatus, XferAck, XferData, XferDone, XferOpen

FATES = ("drop", "double", "first", "last")


@dataclass
class Life:
    """One receiver from start to restart."""

    receiver: BulkReceiver = field(default_factory=BulkReceiver)
    received: list[bytes] = field(default_factory=list)
    furthest: tuple[int, int] = (0, 0)  # (transfer, bytes in order)


class Story:
    """A sender, the lives of a receiver, and what is on its way between them."""

    def __init__(self, sizes: list[int], *, max_body_b: int, line_baud: int = 0) -> None:
        self.max_body_b = max_body_b
        self.datas = [noise(size_b, number) for number, size_b in enumerate(sizes)]
        self.now_ns = 0
        self.sender = BulkSender(BulkRules(line_baud=line_baud))
        for data in self.datas:
            self.sender.submit(data, FILE, "name")
        self.lives = [Life()]
        self.out: list[XferOpen | XferData] = []
        self.back: list[XferAck | XferDone] = []
        self.events: list[TransferProgress | TransferDone] = []
        self.restart_session()

    def restart_session(self) -> None:
        """What is on its way belongs to the session before, and is dropped by its epoch."""
        self.lives[-1].receiver.end_session()
        self.sender.end_session()
        self.out.clear()
        self.back.clear()
        self.sender.start_session(max_body_b=self.max_body_b, rx_window_b=4096)

    def restart_receiver(self) -> None:
        self.lives.append(Life())

    def send(self, count: int, *, is_quiet: bool) -> None:
        self.now_ns += MS
        for _ in range(count):
            message = self.sender.next_message(self.now_ns, is_quiet=is_quiet)
            if message is None:
                break
            self.sender.count_sent(100, self.now_ns)
            self.out.append(message)

    def arrive(self, count: int) -> None:
        life = self.lives[-1]
        for message in self.out[:count]:
            told = answer(life.receiver, message)
            if told is not None:
                self.back.append(told)
        del self.out[:count]
        life.received += [item.data for item in life.receiver.take_received()]

    def answers_arrive(self, count: int) -> None:
        for message in self.back[:count]:
            hear(self.sender, message, self.now_ns)
        del self.back[:count]
        self.events += self.sender.take_events()

    def check(self) -> None:
        """Nothing wrong is received, nothing twice in one life, and progress never goes back."""
        for life in self.lives:
            assert life.received == [data for data in self.datas if data in life.received]
        life = self.lives[-1]
        progress = life.receiver.progress
        if progress is not None:
            done_b, size_b = progress
            number = [len(data) for data in self.datas].index(size_b)
            assert (number, done_b) >= life.furthest
            life.furthest = (number, done_b)

    def end_well(self) -> None:
        """Let the line do its work from now on; everything must arrive."""
        for _ in range(5000):
            self.send(10, is_quiet=True)
            self.arrive(1000)
            self.answers_arrive(1000)
            self.now_ns += 5 * MS
            if not self.sender.open_transfers:
                break
        self.check()
        done = [event for event in self.events if isinstance(event, TransferDone)]
        assert done == [TransferDone(number, TransferStatus.OK) for number in range(1, len(self.datas) + 1)]
        assert {data for life in self.lives for data in life.received} == set(self.datas)


def disturb(line: list[XferOpen | XferData] | list[XferAck | XferDone], at: int, fate: str) -> None:
    """Drop or double one message, let it overtake all others or be overtaken by them."""
    if not line:
        return
    message = line[at % len(line)]
    if fate != "double":
        del line[at % len(line)]
    if fate == "first":
        line.insert(0, message)  # type: ignore[arg-type]  # what came from the list fits the list
    elif fate != "drop":
        line.append(message)  # type: ignore[arg-type]  # the same


class BulkStory(RuleBasedStateMachine):
    """Stories that hypothesis makes up and makes short."""

    @initialize(
        sizes=st.lists(st.integers(0, 2500), min_size=1, max_size=3, unique=True),
        max_body_b=st.sampled_from([60, 264, 1032]),
    )
    def begin(self, sizes: list[int], max_body_b: int) -> None:
        self.story = Story(sizes, max_body_b=max_body_b)

    @rule(count=st.integers(1, 10), is_quiet=st.booleans())
    def send(self, count: int, is_quiet: bool) -> None:
        self.story.send(count, is_quiet=is_quiet)

    @rule(count=st.integers(1, 10))
    def arrive(self, count: int) -> None:
        self.story.arrive(count)

    @rule(count=st.integers(1, 10))
    def answers_arrive(self, count: int) -> None:
        self.story.answers_arrive(count)

    @rule(at=st.integers(0, 9), fate=st.sampled_from(FATES), is_out=st.booleans())
    def disturb(self, at: int, fate: str, is_out: bool) -> None:
        disturb(self.story.out if is_out else self.story.back, at, fate)

    @rule(delay_ms=st.integers(1, 700))
    def wait(self, delay_ms: int) -> None:
        self.story.now_ns += delay_ms * MS

    @rule()
    def restart_session(self) -> None:
        self.story.restart_session()

    @rule()
    def restart_receiver(self) -> None:
        self.story.restart_receiver()

    @invariant()
    def all_is_well(self) -> None:
        if hasattr(self, "story"):
            self.story.check()

    def teardown(self) -> None:
        if hasattr(self, "story"):
            self.story.end_well()


TestBulkStory = BulkStory.TestCase
TestBulkStory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def check_story(seed: int) -> None:
    """Run a long story with many of everything, and check it at every step and at its end."""
    rng = random.Random(seed)
    sizes = rng.sample(range(12_000), rng.randint(1, 4))
    story = Story(sizes, max_body_b=rng.choice([60, 264, 1032]), line_baud=rng.choice([0, 115_200, 921_600]))
    trouble, forgetting = rng.choice([0.0, 0.05, 0.3]), rng.choice([0.0, 0.01, 0.05])
    for _ in range(rng.randint(20, 300)):
        story.send(rng.randint(1, 8), is_quiet=rng.random() < 0.7)
        for line in (story.out, story.back):
            while rng.random() < trouble:
                disturb(line, rng.randrange(10), rng.choice(FATES))
        if rng.random() < 0.7:
            story.arrive(rng.randint(1, 12))
        if rng.random() < 0.7:
            story.answers_arrive(rng.randint(1, 12))
        if rng.random() < 0.1:
            story.now_ns += rng.randrange(400) * MS
        if rng.random() < forgetting:
            rng.choice([story.restart_session, story.restart_receiver])()
        story.check()
    story.end_well()


@pytest.mark.parametrize("block", range(4))
def test_whatever_the_line_does_all_arrives_and_nothing_else(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        check_story(seed)


@pytest.mark.long
def test_whatever_the_line_does_all_arrives_and_nothing_else_in_a_long_run() -> None:
    for seed in range(1000, 11_000):
        check_story(seed)
