"""What happens in the simulated world: fire, smoke, water, heat; the same again from a seed."""

from __future__ import annotations

from ops.sim.sensors.device import HEAT_C, SMOKE_ON_PERCENT, WATER_MM
from ops.sim.sensors.world import STEP_S, World


def state(world: World) -> list[tuple[float, float, float, float]]:
    return [
        (zone.temperature_c, zone.humidity_percent, zone.smoke_percent, zone.water_mm)
        for zone in world.zones.values()
    ]


def first_s(world: World, reached: object, limit_s: float = 120.0) -> float:
    assert callable(reached)
    while not reached():
        world.advance(STEP_S)
        assert world.steps * STEP_S < limit_s
    return world.steps * STEP_S


def test_same_seed_and_steps_give_the_same_state_however_time_was_cut() -> None:
    worlds = [World(["A", "B"], seed=7) for _ in range(2)]
    for world in worlds:
        world.ignite("A")
    for _ in range(300):
        worlds[0].advance(0.1)
    for pause_s in (0.04, 0.21, 9.75, 20.0):
        worlds[1].advance(pause_s)
    assert worlds[0].steps == worlds[1].steps == 300
    assert state(worlds[0]) == state(worlds[1])
    assert state(worlds[0]) != state(World(["A", "B"], seed=8))


def test_a_fire_smokes_at_once_heats_later_and_reaches_its_neighbour_last() -> None:
    world = World(["A", "B", "C"], seed=1)
    a, b = world.zones["A"], world.zones["B"]
    world.ignite("A")
    smoke_s = first_s(world, lambda: a.smoke_percent >= SMOKE_ON_PERCENT)
    assert smoke_s < 3
    neighbour_s = first_s(world, lambda: b.smoke_percent >= SMOKE_ON_PERCENT)
    heat_s = first_s(world, lambda: a.temperature_c >= HEAT_C)
    assert smoke_s < neighbour_s < heat_s < 30
    assert world.zones["C"].smoke_percent < SMOKE_ON_PERCENT


def test_smoke_and_heat_go_away_once_the_fire_is_out() -> None:
    world = World(["A"], seed=1)
    zone = world.zones["A"]
    world.ignite("A")
    world.advance(25)
    world.put_out()
    world.advance(240)
    assert zone.smoke_percent < 0.1
    assert abs(zone.temperature_c - zone.ambient_c) < 1


def test_fresh_air_drives_smoke_and_heat_out_at_once() -> None:
    world = World(["A", "B"], seed=1)
    world.ignite("A")
    world.advance(20)
    world.put_out()
    world.ventilate("A")
    zone = world.zones["A"]
    assert (zone.smoke_percent, zone.temperature_c) == (0.0, zone.ambient_c)
    assert world.zones["B"].smoke_percent > 0


def test_water_rises_and_runs_off() -> None:
    world = World(["pit"], seed=1)
    zone = world.zones["pit"]
    world.flood("pit")
    assert first_s(world, lambda: zone.water_mm >= WATER_MM) < 3
    world.flood("pit", flooding=False)
    world.advance(5)
    assert zone.water_mm == 0


def test_the_transformer_warms_and_cools() -> None:
    world = World([], seed=1)
    before_c = world.oil_c
    world.warm_transformer(2.0)
    world.advance(10)
    assert abs(world.oil_c - before_c - 20) < 0.1
    world.warm_transformer(0)
    world.advance(600)
    assert abs(world.oil_c - before_c) < 0.1
