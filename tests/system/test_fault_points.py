"""Every named fault point once killed, and then others for the rest of a minute (tests/faults/walk.py; all of it: make faults)."""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "faults"))
import walk

SEED = int(os.environ.get("SEED", "1"))


def test_every_point_of_the_sources_is_walked():
    assert walk.names() == set(walk.POINTS) | set(walk.NOT_WALKED)
    assert not set(walk.POINTS) & set(walk.NOT_WALKED)
    for point, test in walk.ELSEWHERE.items():
        assert point in open(os.path.join(walk.ROOT, test)).read(), f"{test} does not pass {point}"


def test_walk(tmp_path):
    crashes, done = walk.walk(SEED, seconds=50, base=str(tmp_path))
    points = {d[0] for d in done}
    print(f"faults: seed {SEED}, {crashes} crashes over {len(points)} points, {len(done)} faults, 0 violations")
    assert points == set(walk.POINTS) and crashes >= len(points)
