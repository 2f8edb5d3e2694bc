"""Notices at servers of their kinds: what arrives, how often, under refusals, silence and a kill of the master between sending and
recording. What arrives is counted by key."""
import collections, email, email.policy, email.utils, json, re, subprocess, time
import pytest
from conftest import until
from notices import Irc, IrcClient, Mail, Recorder, states

JUNIT = ('<testsuite name="s"><testcase name="test_login"><failure message="no"/></testcase><testcase name="test_other"/></testsuite>')
CONFIG = """
name: ci.test
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
secrets: {{token: {{env: NOTICE_TOKEN}}, hook: {{env: NOTICE_HOOK}}}}
people:
  - {{name: ada, roles: [developer], logins: {{mail: ada@example.org, irc: "ada!*@*"}}}}
  - {{name: bob, roles: [developer], logins: {{mail: bob@example.org}}}}
projects: [{{name: p, repository: "{repo}", poll: 1s, build_first: false}}]
builders:
  - {{name: unit, project: p, steps: [checkout: {{}}, {{name: test, run: sh test.sh, reports: {{junit: "out.xml"}}}}]}}
  - {{name: any, project: p, collapse: false, steps: [{{name: go, run: "true"}}]}}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master], builders: [unit]}}
notify:
{notify}
"""
GREEN = "printf '%s' '" + JUNIT.replace('<failure message="no"/>', "") + "' >out.xml\n"
RED = f"printf '%s' '{JUNIT}' >out.xml\necho begun\nprintf '\\033[31mAssertionError: <b> @all `x` ```\\033[0m\\n'\nexit 1\n"


@pytest.fixture
def rec():
    r = Recorder()
    yield r
    r.close()


def go(pawl, repo, notify, env=None, worker=True):
    pawl.env["NOTICE_TOKEN"], pawl.env["NOTICE_HOOK"] = "forge-token", "secret-hook"
    repo.commit({"test.sh": GREEN}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, notify=notify))
    pawl.start_master(env)
    if worker:
        pawl.start_worker(slots=4)
    until(lambda: any(p["branches"] for p in pawl.get("/projects")["items"]), what="the first look")


def outbox(pawl, query=""):
    return list(reversed(pawl.get("/outbox?limit=1000" + query)["items"]))


def settled(pawl, n):
    def done():
        rows = outbox(pawl)
        return rows if len(rows) >= n and all(r["state"] in ("sent", "given_up") for r in rows) else None
    return until(done, 60, f"{n} messages to end")


def force(pawl, n=1, builder="any"):
    return [pawl.post("/force", {"builder": builder, "branch": "master", "reason": "test"})["requests"][0] for _ in range(n)]


def story(pawl, repo):
    """Green, red, red again, green: the builds' ids."""
    ids = []
    for text, message in ((GREEN + "# 1\n", "fine"), (RED, "break <!channel> & *all*"), (RED + "# 2\n", "not yet"), (GREEN + "# 2\n", "mend")):
        ids.append(pawl.built("unit", repo.commit({"test.sh": text}, message))["id"])
    return ids


def test_chats(pawl, repo, rec):
    go(pawl, repo, f"""
  - {{kind: mattermost, url: "{rec.url}/hooks/${{secret:hook}}", channel: builds, events: [break, failure, fixed], timeout: 1s}}
  - {{kind: slack, url: "{rec.url}/hooks/slack", events: [break, fixed], name: s}}
  - {{kind: slack, url: "{rec.url}/hooks/bob", events: [failure], people: [bob], name: b}}
""")
    ids = story(pawl, repo)
    settled(pawl, 5)
    by = lambda path: [r["body"]["text"] for r in rec.requests if r["path"] == path]
    mm, slack = by("/hooks/secret-hook"), by("/hooks/slack")
    assert len(mm) == 3 and len(slack) == 2 and not by("/hooks/bob")
    assert all(r["body"]["channel"] == "builds" for r in rec.requests if "secret" in r["path"])
    # BM-01: what, repo, branch, event, link; the failing test, the end of the log, who may have done it
    for text in (mm[0], slack[0]):
        assert "\U0001F4A3 s: test" in text.replace("\\", "") and "FAILED" in text
        for line in ("Build failure `unit`", "Repo: `p`", "Branch: `master`", "Event: `break`", f"{pawl.url}/builds/{ids[1]}", "Step: `test`"):
            assert line in text, (line, text)
        assert "Suspects" in text and "Ada" in text and f"`build/{ids[1]}/" in text
        assert "\033" not in text and "AssertionError" in text and text.count("```") == 2, "no colours; the block ends where it should"
        assert text.count("- `") == 2, "one failing test and one suspect: the change before was green"
    assert "&lt;!channel&gt;" in slack[0] and "<!channel>" not in slack[0] and "&lt;b&gt;" in slack[0]
    assert f"{pawl.url}/builds/{ids[1]}/log/test\n" in mm[0]
    assert mm[1].count("- `") == 3, "two suspects since the last green build"
    assert "green again" in mm[2] and "green again" in slack[1] and f"/builds/{ids[3]}" in mm[2]
    shown = json.dumps(outbox(pawl)) + pawl.log("master")
    assert "secret-hook" not in shown
    with open(f"{pawl.state}/pawl.db", "rb") as f:
        assert b"secret-hook" not in f.read()


def test_chat_refusals(pawl, repo, rec):
    go(pawl, repo, f'  - {{kind: mattermost, url: "{rec.url}/hooks/x", events: [build], timeout: 1s, name: m}}\n'
                   f'  - {{kind: slack, url: "{rec.url}/hooks/y", events: [build], delivery: at_most_once, name: s, builders: [unit]}}\n')
    rec.answers = [(404, {}, {"id": "x", "message": "Couldn't find the channel."}), (403, {}, "invalid_token"), (429, {"Retry-After": "2"}, ""),
                   "lost", None]
    for r in force(pawl, 3):
        pawl.build_of(r)
    rows = settled(pawl, 3)
    assert "HTTP 404: Couldn't find the channel." in rows[0]["reason"] and "HTTP 403: invalid_token" in rows[1]["reason"]
    assert [r["state"] for r in rows] == ["given_up", "given_up", "sent"] and rows[2]["tries"] == 3
    last = rec.requests[2:]
    assert last[1]["at"] - last[0]["at"] >= 2, "as long as it said"
    assert len({r["headers"]["Idempotency-Key"] for r in last}) == 1 and len({r["body"]["text"] for r in last}) == 1
    assert len(rec.chat) == 2 and rec.chat[0] == rec.chat[1] and f"`{rows[2]['key']}`" in rec.chat[0], "twice, with a key that tells so"
    rec.answers = ["lost"]
    before = len(rec.requests)
    pawl.built("unit", repo.commit({"test.sh": GREEN + "# x\n"}))
    rows = settled(pawl, 5)
    assert sum(r["target"] == "s" for r in rows) == 1 and len(rec.requests) <= before + 3


MATRIX = '  - {{kind: matrix, url: "{url}", room: "!r:example.org", token: "${{secret:token}}", events: [break, failure, fixed, build], timeout: 2s}}\n'


def test_matrix(pawl, repo, rec):
    go(pawl, repo, MATRIX.format(url=rec.url))
    pawl.kill(pawl.master)
    pawl.env["NOTICE_TOKEN"] = "matrix-token"
    # an answer is lost, and the master dies between the second sending and its record
    rec.answers = ["lost", None, (429, {}, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1500})]
    pawl.start_master({"PW_FAULT": "outbox.sent:2=kill"})
    a = pawl.built("unit", repo.commit({"test.sh": GREEN + "# 1\n"}))["id"]
    pawl.master.wait(30)
    pawl.start_master()
    b, c, d = [pawl.built("unit", repo.commit({"test.sh": t}, t[:4]))["id"] for t in (RED, RED + "#\n", GREEN + "# 3\n")]
    settled(pawl, 4)
    assert list(rec.transactions) == [f"build/{i}/matrix" for i in (a, b, c, d)], "each once, in order"
    assert collections.Counter(r["path"] for r in rec.requests).most_common(1)[0][1] >= 3
    sent = [body for room, body in rec.events.values() if room == "!r:example.org"]
    assert len(sent) == 4 and "FAILED" in sent[1]["body"] and "&lt;b&gt;" in sent[1]["formatted_body"] and "<pre>" in sent[1]["formatted_body"]
    root = rec.transactions[f"build/{b}/matrix"]
    assert "m.relates_to" not in sent[1], "the break begins a thread"
    assert all(s["m.relates_to"]["event_id"] == root and s["m.relates_to"]["rel_type"] == "m.thread" for s in sent[2:]), "what follows is in it"
    rec.answers = [(403, {}, {"errcode": "M_FORBIDDEN", "error": "not in room"})]
    pawl.build_of(force(pawl)[0])
    assert "HTTP 403: not in room" in settled(pawl, 5)[-1]["reason"]


def test_commit_states(pawl, repo, rec):
    kinds = ("github", "gitlab", "gitea")
    go(pawl, repo, "".join(f'  - {{kind: {k}-status, url: "{rec.url}", repository: acme/thing, token: "${{secret:token}}", builders: [unit], timeout: 2s}}\n'
                           for k in kinds))
    pawl.kill(pawl.master)
    # the first answer of each is lost, and the master dies between sending and recording
    rec.answers = ["lost"] * 3
    pawl.start_master({"PW_FAULT": "outbox.sent:5=kill"})
    rev = repo.commit({"test.sh": RED})
    pawl.master.wait(60)
    pawl.start_master()
    build = pawl.built("unit", rev)
    settled(pawl, 6)
    for kind in kinds:
        rows = rec.statuses[kind, rev]
        assert states(rows) == {"gitlab": ["running", "failed"]}.get(kind, ["pending", "failure"]), "each once, though tried again"
        for r in rows:
            assert (r.get("context") or r.get("name")) == "pawl/unit" and r["target_url"] == f"{pawl.url}/builds/{build['id']}"
    assert sum(r["method"] == "GET" for r in rec.requests) >= 4, "they were looked at"
    # GitHub's other way to say "later"; and a refusal
    rec.own["/repos/"] = [(403, {"Retry-After": "1"}, {"message": "You have exceeded a secondary rate limit"}), None, None, (422, {}, {"message": "No commit found"})]
    rev = repo.commit({"test.sh": GREEN + "# 2\n"})
    pawl.built("unit", rev)
    settled(pawl, 12)
    row = outbox(pawl, "&target=github-status")[-1]
    assert states(rec.statuses["github", rev]) == ["pending"] and row["state"] == "given_up" and "No commit found" in row["reason"]
    assert states(rec.statuses["gitlab", rev]) == ["running", "success"] and states(rec.statuses["gitea", rev]) == ["pending", "success"]
    assert "forge-token" not in pawl.log("master") + json.dumps(outbox(pawl))


def test_rate_and_quiet_hours(pawl, repo, rec):
    now = time.gmtime()
    hour = lambda d: f"{(now.tm_hour + d) % 24:02}:00"
    go(pawl, repo, f"""
  - {{kind: slack, url: "{rec.url}/hooks/rate", events: [build], rate: {{messages: 2, per: 4s}}, name: rate}}
  - {{kind: slack, url: "{rec.url}/hooks/quiet", events: [build], quiet_hours: {{from: "{hour(-2)}", to: "{hour(2)}"}}, name: quiet}}
""")
    pawl.worker("w1")
    for r in force(pawl, 9):
        pawl.build_of(r)

    def told():
        rows = outbox(pawl, "&target=rate")
        return rows if len(rows) == 9 and all(r["state"] == "sent" for r in rows) else None
    rows = until(told, 30, "all of them")
    sent = [r for r in rec.requests if r["path"] == "/hooks/rate"]
    assert 2 <= len(sent) <= 5 and len([r for r in sent if r["at"] < sent[0]["at"] + 3.9]) <= 2
    count = sum(1 + int((re.search(r"and (\d+) more", r["body"]["text"]) or [0, 0])[1]) for r in sent)
    assert count == 9, "nobody is forgotten"
    folded = [r for r in rows if "told in message" in (r["reason"] or "")]
    assert len(folded) == 9 - len(sent)
    assert not [r for r in rec.requests if r["path"] == "/hooks/quiet"]
    assert {r["state"] for r in outbox(pawl, "&target=quiet")} == {"waiting"}


@pytest.fixture
def mails():
    made = []

    def make(**k):
        made.append(Mail(**k))
        return made[-1]
    yield make
    for m in made:
        m.close()


def parsed(envelope):
    return email.message_from_bytes(envelope.content, policy=email.policy.default)


def test_mail(pawl, repo, mails):
    server = mails()
    go(pawl, repo, f'''
  - {{kind: mail, smtp: "smtp://127.0.0.1:{server.port}", from: pawl@ci.test, to: [eng@example.org, ada@example.org], events: [break, failure, fixed], timeout: 3s}}
''')
    # not now; lost after it was taken; and the master dies between the third sending and its record
    server.answers = ["451 try again", "lost"]
    pawl.kill(pawl.master)
    pawl.start_master({"PW_FAULT": "outbox.sent:3=kill"})
    first = pawl.built("unit", repo.commit({"test.sh": GREEN + "#1\n"}))["id"]
    b = pawl.built("unit", repo.commit({"test.sh": RED}, "break\u00fc it"))["id"]
    pawl.master.wait(60)
    pawl.start_master()
    c, d = [pawl.built("unit", repo.commit({"test.sh": t}))["id"] for t in (RED + "#\n", GREEN + "#3\n")]
    rows = settled(pawl, 3)
    assert first and [r["state"] for r in rows] == ["sent"] * 3
    got = [parsed(e) for e in server.messages]
    count = collections.Counter(m["X-Pawl-Key"] for m in got)
    assert count == {f"build/{b}/mail": 3, f"build/{c}/mail": 1, f"build/{d}/mail": 1}, "lost twice, so there thrice; the others once"
    assert len({m["Message-ID"] for m in got}) == 3, "each with one id, whatever it was sent"
    root, again, mended = got[0], got[3], got[4]
    assert re.fullmatch(rf"<build\.{b}\.mail\.[0-9a-f]+@ci\.test>", root["Message-ID"]) and not root["In-Reply-To"]
    for m in (again, mended):
        assert m["In-Reply-To"] == m["References"] == root["Message-ID"], "a break is one thread"
        assert m["Subject"] == "Re: " + root["Subject"]
    assert root["Subject"] == f"[ci.test] unit is broken on master (build {b})" and root["To"] == "eng@example.org, ada@example.org"
    assert server.messages[0].rcpt_tos == ["eng@example.org", "ada@example.org"] and server.messages[0].mail_from == "pawl@ci.test"
    assert root["Auto-Submitted"] == "auto-generated" and email.utils.parsedate_to_datetime(root["Date"]).year >= 2025
    text, html = (root.get_body((k,)).get_content() for k in ("plain", "html"))
    for line in ("FAILED", "Build failure 'unit'", "Repo: 'p'", "Branch: 'master'", "Event: 'break'", f"{pawl.url}/builds/{b}", "AssertionError: <b>", "break\u00fc it"):
        assert line in text, line
    assert "AssertionError: &lt;b&gt;" in html and f'<a href="{pawl.url}/builds/{b}">' in html
    [log] = list(root.iter_attachments())
    assert log.get_filename() == "log.txt" and "begun" in log.get_content() and "AssertionError" in log.get_content()
    assert not list(mended.iter_attachments()) and "green again" in mended.get_body(("plain",)).get_content()
    # a refusal
    server.refuse["ada@example.org"] = "550 no such user here"
    pawl.built("unit", repo.commit({"test.sh": RED + "#4\n"}))
    row = settled(pawl, 4)[-1]
    assert row["state"] == "given_up" and "550 no such user here" in row["reason"]


def certificate(tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


def test_mail_with_tls_and_a_password(pawl, repo, mails, tmp_path):
    cert, key = certificate(tmp_path)
    server, plain = mails(tls=(cert, key), login=("pawl", "forge-token")), mails()
    line = '  - {{kind: mail, smtp: "smtp://127.0.0.1:{port}", from: pawl@ci.test, to: eng@example.org, events: [build], starttls: true, timeout: 3s, ' \
           'name: {name}, user: pawl, password: "${{secret:token}}"{more}}}\n'
    go(pawl, repo, line.format(port=server.port, name="good", more=f", ca: {cert}") + line.format(port=server.port, name="stranger", more="")
       + line.format(port=plain.port, name="plain", more=f", ca: {cert}"))
    pawl.build_of(force(pawl)[0])
    until(lambda: [r["state"] for r in outbox(pawl, "&target=good")] == ["sent"], what="a mail")
    assert server.logins == [(True, "pawl", "forge-token")] and len(server.messages) == 1
    for name, why in (("stranger", "certificate"), ("plain", "STARTTLS")):
        row = until(lambda: (lambda r: r[0] if r and r[0]["tries"] and r[0]["reason"] else None)(outbox(pawl, f"&target={name}")), what=name)
        assert row["state"] != "sent" and why in row["reason"], row
    assert not plain.messages and not plain.logins and "forge-token" not in pawl.log("master") + json.dumps(outbox(pawl))


@pytest.fixture
def irc(tmp_path):
    cert, key = certificate(tmp_path)
    server = Irc(str(tmp_path / "irc"), (cert, key))
    server.cert = cert
    people = []
    server.person = lambda nick: people.append(IrcClient(server.port, nick, "#builds")) or people[-1]
    yield server
    for p in people:
        p.close()
    server.stop()


def test_irc(pawl, repo, irc):
    ada, eve = irc.person("ada"), irc.person("eve")
    line = '  - {{kind: irc, server: "{server}", channel: "#builds", nick: {nick}, name: {nick}, events: [{events}], timeout: 3s{more}}}\n'
    go(pawl, repo, line.format(server=f"irc://127.0.0.1:{irc.port}", nick="pawl", events="break, fixed", more="")
       + line.format(server=f"ircs://127.0.0.1:{irc.tls_port}", nick="tls", events="build", more=f", builders: [any], ca: {irc.cert}")
       + line.format(server=f"ircs://127.0.0.1:{irc.tls_port}", nick="stranger", events="build", more=", builders: [any]"))
    of = lambda nick: [t for n, t in ada.said if n.rstrip("_") == nick]
    reply = lambda nick, text, n=0: until(lambda: next((t for t in of(nick)[n:] if re.search(text, t)), None), what=f"{nick}: {text}")
    # the master dies between a message and its record: it is said twice, with its key
    pawl.kill(pawl.master)
    pawl.start_master({"PW_FAULT": "outbox.sent:1=kill"})
    green = repo.commit({"test.sh": GREEN + "#1\n"})
    pawl.built("unit", green)
    repo.commit({"test.sh": RED}, "break it")
    pawl.master.wait(60)
    pawl.start_master()
    [row] = settled(pawl, 1)
    broken = [t for t in of("pawl") if "is broken" in t]
    assert len(broken) == 2 and len(set(broken)) == 1 and row["state"] == "sent"
    assert broken[0].startswith("unit is broken on master: s: test_login FAILED - " + pawl.url) and broken[0].endswith(f"[{row['key']}]")
    assert len([t for t in of("pawl") if t.startswith("suspects: ")]) == 2
    # what people ask
    n = len(of("pawl"))
    eve.say("pawl: status")
    reply("pawl", r"^0 green, 1 red$|^1 red", n)
    assert reply("pawl", "^red: p/unit on master", n)
    eve.say("pawl: force any master because")
    assert "none of" in reply("pawl", "^no: ", n)
    assert not [b for b in pawl.builds() if b["builder"].endswith("any")]
    ada.say("!pawl force any master because I want to")
    number = re.match(r"request (\d+)", reply("pawl", "^request ", n))[1]
    ada.say(f"pawl, watch {number}")
    assert "(any on master): success" in reply("pawl", "^ada: build ", n)
    build = pawl.build_of(int(number))
    assert pawl.get("/audit")["items"] and any(a["action"] == "force" and a["actor"] == "ada" for a in pawl.get("/audit")["items"]), build
    ada.say(f"why {number}", to="pawl")  # answered to her alone
    until(lambda: any(f" PRIVMSG ada :" in t for t in ada.seen), what="an answer to ada")
    # over TLS, to who has the right certificate
    reply("tls", r"any on master: success .*\[build/")
    until(lambda: any("certificate" in (r["reason"] or "") for r in outbox(pawl, "&target=stranger")), what="a wrong certificate")
    assert not of("stranger")
    # who asks too much is not answered
    before = len(of("pawl"))
    for _ in range(12):
        eve.say("pawl: help")
    ada.say("pawl: status")
    reply("pawl", "green, ", before)
    assert len([t for t in of("pawl")[before:] if t.startswith("status [BRANCH]")]) <= 6
    # the server goes away and comes back: what happened meanwhile is told
    irc.stop()
    pawl.built("unit", repo.commit({"test.sh": GREEN + "#2\n"}))
    row = until(lambda: (lambda r: r[-1] if len(r) == 2 and r[-1]["tries"] else None)(outbox(pawl, "&target=pawl")), what="a try")
    assert row["state"] != "sent"
    irc.start()
    bob = irc.person("bob")
    until(lambda: any("is green again on master" in t for _, t in bob.said), 60, what="the mending")
    settled_one = until(lambda: (lambda r: r if r["state"] == "sent" else None)(outbox(pawl, "&target=pawl")[-1]), what="its record")
    assert settled_one["key"] in [t for _, t in bob.said if "green again" in t][0]


def test_irc_with_an_account(pawl, repo):
    """SASL, which ngircd has not: a server of a few lines, that lets in who says the right words."""
    import base64, socket, threading
    server, seen = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        con = server.accept()[0]
        for line in con.makefile(encoding="utf-8", errors="replace"):
            seen.append(line.rstrip())
            word = line.split()
            say = {"CAP": ":s CAP * ACK :sasl" if "REQ" in word else "", "NICK": "", "USER": "", "PING": f":s PONG s {word[-1]}"}.get(word[0], "")
            if word[:2] == ["AUTHENTICATE", "PLAIN"]:
                say = "AUTHENTICATE +"
            elif word[0] == "AUTHENTICATE":
                good = base64.b64decode(word[1]) == b"\0pawl-account\0forge-token"
                say = ":s 903 pawl :in" if good else ":s 904 pawl :SASL authentication failed"
            elif word == ["CAP", "END"]:
                say = ":s 001 pawl :Welcome"
            elif word[0] == "JOIN":
                say = ":pawl!p@h JOIN #builds"
            if say:
                con.sendall(say.encode() + b"\r\n")
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    go(pawl, repo, f'  - {{kind: irc, server: "irc://127.0.0.1:{server.getsockname()[1]}", channel: "#builds", user: pawl-account, '
                   f'password: "${{secret:token}}", events: [build]}}\n')
    pawl.build_of(force(pawl)[0])
    assert settled(pawl, 1)[0]["state"] == "sent"
    assert any(re.match(r"PRIVMSG #builds :any on master: success", line) for line in seen)
    assert "forge-token" not in pawl.log("master")
    server.close()
