"""Signals that come while a program starts: a reload must not end it, a stop is an orderly one."""
import os, signal
from conftest import CONFIG, until


def state_of(p):
    with open(f"/proc/{p.pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def held_at_start(p, sig):
    """It stopped itself at a fault point of its start; the signal waits there."""
    until(lambda: state_of(p) == "T", 20, "the pause")
    p.send_signal(sig)
    p.send_signal(signal.SIGCONT)


def test_reload_and_stop_while_the_master_starts(pawl, repo):
    repo.commit({"x": "1"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, builders="  - {name: any, project: p, steps: [{run: 'true'}]}\n"))
    p = pawl.start_master(env={"PW_FAULT": "fs.replace:1=pause"}, wait=False)  # its key is made
    held_at_start(p, signal.SIGHUP)
    until(lambda: os.path.exists(os.path.join(pawl.state, "web.addr")) or p.poll() is not None, 20, "the address")
    assert p.poll() is None, pawl.log("master")
    pawl.kill(p, signal.SIGTERM)
    p = pawl.start_master(env={"PW_FAULT": "fs.replace:1=pause"}, wait=False)  # the addresses
    held_at_start(p, signal.SIGTERM)
    assert p.wait(timeout=60) == 0, pawl.log("master")


def test_reload_while_the_agent_starts(pawl, repo):
    repo.commit({"x": "1"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, builders="  - {name: any, project: p, steps: [{run: 'true'}]}\n"))
    pawl.start_master()
    pawl.join("w1")
    p = pawl.start_worker("w1", wait=False, env={"PW_FAULT": "fs.replace:1=pause"})  # the spool's id
    held_at_start(p, signal.SIGHUP)
    until(lambda: p.poll() is not None or pawl.worker("w1")["state"] == "connected", 20, "the worker")
    assert p.poll() is None, pawl.log("worker-w1")
