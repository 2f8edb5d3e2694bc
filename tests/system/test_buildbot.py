"""What Buildbot was measured to do wrong with processes (M2 to M5), as one small test each; M7, the half-open link, is
test_m7_black_hole in test_dead_links.py. More ways to hide, on more kinds of machines, are in test_hygiene.py."""
from conftest import alive, until
from test_hygiene import world  # noqa: F401, a fixture


def started(w, pid):
    """Waits for the file that holds a pid."""
    path = f"{w.pawl.dir}/{pid}"

    def read():
        try:
            return int(open(path).read())
        except (OSError, ValueError):
            return None
    return until(read, 30, f"the process that writes {pid}")


def cancel_when_started(w, cmd):
    w.pawl.configure(open(w.pawl.config).read().replace("{name: go, ", "{name: go, grace: 1s, "))
    w.pawl.kill(w.pawl.master, 15)
    w.pawl.start_master()
    r = w.force(cmd)
    pid = started(w, "pid")
    assert alive(pid)
    build = next(b["id"] for b in w.pawl.builds() if b["request"] == r)
    w.pawl.post(f"/builds/{build}/cancel", {"reason": "measured"})
    b = w.pawl.build_of(r)
    assert b["result"] == "cancelled", b
    until(lambda: not alive(pid) and not w.living(), 20, "the end of all of it")  # the master does not wait for it


def test_m2_child_that_ignores_term_dies(world):
    """Buildbot: the step is "done" after its sigtermTime, the child lives on; only the leader of the group gets the KILL."""
    w = world("off")
    cancel_when_started(w, f"sh -c 'trap \"\" TERM; echo $$ >{w.pawl.dir}/pid; while :; do sleep 1; done' & wait")


def test_m3_child_with_setsid_dies(world):
    """Buildbot: what called setsid is out of reach of a signal to the group."""
    w = world("off")
    cancel_when_started(w, f"setsid sh -c 'echo $$ >{w.pawl.dir}/pid; exec sleep 1000' & wait")


def test_m4_background_child_of_a_green_step_dies(world):
    """Buildbot: it lives on into the next build."""
    w = world("off")
    b = w.run(f"sh -c 'echo $$ >{w.pawl.dir}/pid; exec sleep 1000' >/dev/null 2>&1 </dev/null & until test -s {w.pawl.dir}/pid; do sleep 0.01; done")
    pid = started(w, "pid")
    assert b["result"] == "success" and not alive(pid) and not w.living(), b
    assert f"pawl: killed process {pid} (sleep), left behind by this step" in w.log(b)


def test_m5_step_ends_with_its_process_not_with_its_output(world):
    """Buildbot: the step goes on for as long as a background child holds stdout, 12 s here; for a daemon until the time without output."""
    w = world("off")
    b = w.run(f"sh -c 'echo $$ >{w.pawl.dir}/pid; exec sleep 1000' & until test -s {w.pawl.dir}/pid; do sleep 0.01; done; echo end")
    pid = started(w, "pid")
    assert b["result"] == "success" and w.log(b).startswith("end\n") and not alive(pid), (b, w.log(b))
