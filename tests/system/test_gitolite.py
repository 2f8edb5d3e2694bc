"""gitolite3 behind sshd: polled, checked out, promoted to; and what its rules refuse."""
import pytest
from conftest import Repo, until
from servers import Gitolite, credentials, program
from test_checkout import CONFIG


def test_gitolite(pawl, tmp_path):
    """Poller, worker and promotion over gitolite; what its rules refuse is said in its words, and pushed when they permit it."""
    if not program("gitolite"):
        pytest.skip("needs gitolite3")
    server = Gitolite(tmp_path / "ssh", tmp_path)
    try:
        server.rules("R = bot")
        repo = Repo(str(tmp_path / "repo"))
        repo.env["GIT_SSH_COMMAND"] = server.pusher()
        repo.git("remote", "set-url", "origin", server.url("repo"))
        rev = repo.commit({".pawl.yaml": "builders: {test: {steps: [{checkout: {}}, {name: look, run: cat a}]}}\n", "a": "1\n"})
        secrets, more = credentials(server)
        secrets += "promotions:\n  - {name: stable, kind: green, project: p, from: master, to: stable}\n"
        pawl.configure(CONFIG.format(repo=server.url("repo"), secrets=secrets, more=more + ", build_first: true"))
        pawl.start_master()
        pawl.start_worker()
        b = pawl.built("test", rev)
        assert b["result"] == "success" and pawl.raw_log(b["id"], "look") == b"1\n"

        def promotion():
            return next(e for e in pawl.get("/promotions?edges=1")["items"] if e["edge"] == "stable")

        def refused(words):
            return until(lambda: words in (promotion()["reason"] or "") and promotion(), 30, lambda: f"{words}: {promotion()}")
        # no right to write at all; then to other branches only
        p = refused("W any repo bot DENIED by fallthru")
        assert "the server refuses to move" in p["reason"] and "mend its \"ssh_key\", or what it may do there" in p["reason"], p
        server.rules("RW master$ = bot", "R = bot")
        pawl.post("/promotions/stable/run")
        refused("W refs/heads/stable repo bot DENIED")
        second = repo.commit({"a": "2\n"})
        b = pawl.built("test", second)
        assert pawl.raw_log(b["id"], "look") == b"2\n", "the poller and the worker go on"
        server.rules("RW stable$ = bot", "R = bot")
        pawl.post("/promotions/stable/run")
        until(lambda: repo.git("ls-remote", "origin", "refs/heads/stable").startswith(second), 30, "the promotion")
        # a key that may not even read: the project says so
        server.rules("RW = admin")
        trouble = until(lambda: pawl.get("/projects")["items"][0]["trouble"], 30, "the refusal")
        assert 'does not take the "credentials" of project "p"' in trouble, trouble
    finally:
        server.stop()
