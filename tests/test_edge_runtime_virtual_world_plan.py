"""Every block passes every camera once, in the order of time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.schemas import Camera, Lane, Machine
from edge_runtime.virtual_world_plan import Agenda, MomentKind, WorldPlan, plan_for

plans = st.builds(
    WorldPlan,
    st.integers(0, 10**12),
    st.floats(1000.0, 200_000.0),
    st.integers(1, 512),
    st.lists(st.integers(0, 10**8), min_size=1, max_size=4).map(tuple),
)


@settings(deadline=None)
@given(plans, st.lists(st.integers(0, 10**8), max_size=12))
def test_moments_come_once_each_in_order_however_often_one_looks(plan: WorldPlan, pauses: list[int]) -> None:
    agenda, whole = Agenda(plan), Agenda(plan)
    now_ns, moments = plan.line_0_ns, []
    for pause_ns in pauses:
        now_ns += min(pause_ns, 50 * plan.block_lines * int(plan.line_ns))
        moments += agenda.due(now_ns)

    assert moments == sorted(moments)
    assert moments == [moment for moment in whole.due(now_ns) if pauses]
    assert agenda.next_ns > now_ns or not pauses
    for camera in range(len(plan.offsets_ns)):
        begun = [m.block for m in moments if m.camera == camera and m.kind is MomentKind.BEGIN]
        ended = [m.block for m in moments if m.camera == camera and m.kind is MomentKind.END]
        assert begun == list(range(len(begun)))
        assert ended == list(range(len(ended)))
        assert len(ended) <= len(begun)


@settings(deadline=None)
@given(plans, st.integers(0, 2**40), st.integers(0, 3))
def test_a_stamp_tells_block_and_camera(plan: WorldPlan, block: int, camera: int) -> None:
    camera %= len(plan.offsets_ns)
    number = plan.frame_no(camera, block)

    assert number == (block * len(plan.offsets_ns) + camera) % 2**32
    assert len({plan.frame_no(other, block) for other in range(len(plan.offsets_ns))}) == len(plan.offsets_ns)


@settings(deadline=None)
@given(plans, st.integers(0, 10**10))
def test_the_next_block_has_not_begun_anywhere(plan: WorldPlan, later_ns: int) -> None:
    now_ns = plan.line_0_ns + later_ns
    block = plan.next_block(now_ns)

    assert all(plan.begins_ns(camera, block) >= now_ns for camera in range(len(plan.offsets_ns)))


def test_a_nearer_camera_sees_the_same_line_later() -> None:
    far, near = Camera("far", pixel_mm=0.1, to_valves_mm=300.0), Camera("near", pixel_mm=0.1, to_valves_mm=200.0)
    plan = plan_for(Machine("m", (near, far), (Lane(0, 0.0, 5.0),), belt_mm_s=2000.0), 100, 1_000)

    assert plan.offsets_ns == (50_000_000, 0)
    assert plan.line_passes_ns(1, 10) == 1_000 + 500_000
    assert plan.ends_ns(0, 3) == plan.begins_ns(0, 4)
