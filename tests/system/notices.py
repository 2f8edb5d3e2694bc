"""Servers that take notices, and record them: chats, Matrix, forges, mail."""
import asyncio, collections, http.server, json, os, re, socket, ssl, subprocess, threading, time, urllib.parse


class Recorder:
    """An HTTP server that speaks to each path as the service whose path it is. `answers`: for the next requests, (status, headers,
    body) or "lost" (acted on, without an answer); then the service's own. `own`: the same for paths that begin so."""

    def __init__(self):
        self.requests, self.answers, self.own, self.lock = [], [], {}, threading.Lock()
        self.chat, self.statuses = [], collections.defaultdict(list)
        self.events, self.transactions = {}, {}
        rec = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                try:
                    rec.take(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass
            do_GET = do_POST = do_PUT = answer

            def log_message(self, *a):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, allow_reuse_address = True, True

            def handle_error(self, *a):
                pass
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def take(self, h):
        raw = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        path = urllib.parse.urlsplit(h.path)
        body = json.loads(raw) if raw else None
        with self.lock:
            self.requests.append({"method": h.command, "path": h.path, "headers": dict(h.headers), "body": body, "at": time.monotonic()})
            mine = next((v for k, v in self.own.items() if path.path.startswith(k) and v), self.answers)
            say = mine.pop(0) if mine else None
            if say is None or say == "lost":
                own = self.act(h, path.path, urllib.parse.parse_qs(path.query), body)
                say = say or own
        if say == "lost":
            h.close_connection = True
            return
        status, headers, text = say
        text = text if isinstance(text, bytes) else text.encode() if isinstance(text, str) else json.dumps(text).encode()
        h.send_response(status)
        for k, v in headers.items():
            h.send_header(k, v)
        h.send_header("Content-Length", str(len(text)))
        h.end_headers()
        h.wfile.write(text)

    # ---- what each service does; under the lock
    def act(self, h, path, query, body):
        if path.startswith("/hooks/"):  # Mattermost, Slack
            if not body.get("text"):
                return 400, {}, "no_text"
            self.chat.append(body["text"])
            return 200, {}, "ok"
        m = re.fullmatch(r"/_matrix/client/v3/rooms/([^/]+)/send/m\.room\.message/([^/]+)", path)
        if m and h.command == "PUT":
            if h.headers["Authorization"] != "Bearer matrix-token":
                return 401, {}, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unrecognised access token"}
            txn = urllib.parse.unquote(m[2])
            if txn not in self.transactions:
                self.transactions[txn] = f"$event{len(self.transactions)}"
                self.events[self.transactions[txn]] = (urllib.parse.unquote(m[1]), body)
            return 200, {}, {"event_id": self.transactions[txn]}
        return self.forge(h, path, query, body)

    def forge(self, h, path, query, body):
        m = re.fullmatch(r"(?:/api/v1)?/repos/acme/thing/(?:commits/)?(?:statuses/)?([0-9a-f]{40})(?:/statuses)?", path)
        g = re.fullmatch(r"/api/v4/projects/acme%2Fthing/(?:repository/commits/)?(?:statuses/)?([0-9a-f]{40})(?:/statuses)?", path)
        if not m and not g:
            return 404, {}, {"message": "Not Found"}
        kind = "gitlab" if g else "gitea" if path.startswith("/api/v1") else "github"
        given = h.headers["PRIVATE-TOKEN"] if g else h.headers["Authorization"]
        if given != {"gitlab": "forge-token", "gitea": "token forge-token", "github": "Bearer forge-token"}[kind]:
            return 401, {}, {"message": "Bad credentials"}
        rows = self.statuses[kind, (m or g)[1]]
        if h.command == "GET":
            return 200, {}, [dict(r) for r in reversed(rows)]
        if kind == "gitlab" and rows and rows[-1]["status"] == body["state"] == "running":
            return 400, {}, {"message": "Cannot transition status via :run from :running"}
        row = dict(body, id=len(rows) + 1)
        if kind == "gitlab":
            row["status"] = row.pop("state")
        rows.append(row)
        return 201, {}, row


def states(rows):
    return [r.get("state") or r.get("status") for r in rows]


class Mail:
    """A real mail server (aiosmtpd). `answers`: to the next messages, a refusal, "lost" (taken, but nobody is told), or None.
    login: (user, password), asked for behind STARTTLS."""

    def __init__(self, tls=None, login=None):
        from aiosmtpd.smtp import AuthResult, SMTP
        self.messages, self.answers, self.refuse, self.logins = [], [], {}, []
        mail = self

        class Handler:
            async def handle_RCPT(self, server, session, envelope, address, options):
                if address in mail.refuse:
                    return mail.refuse[address]
                envelope.rcpt_tos.append(address)
                return "250 OK"

            async def handle_DATA(self, server, session, envelope):
                say = mail.answers.pop(0) if mail.answers else None
                if say in (None, "lost"):
                    mail.messages.append(envelope)
                if say == "lost":
                    server.transport.abort()
                return say or "250 taken"

        def auth(server, session, envelope, mechanism, data):
            mail.logins.append((bool(session.ssl), data.login.decode(), data.password.decode()))
            return AuthResult(success=mail.logins[-1][1:] == login)
        more = {}
        if tls:
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            c.load_cert_chain(*tls)
            more = dict(tls_context=c, require_starttls=True)
        if login:
            more.update(authenticator=auth, auth_required=True)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = asyncio.run_coroutine_threadsafe(
            self.loop.create_server(lambda: SMTP(Handler(), hostname="127.0.0.1", loop=self.loop, **more), "127.0.0.1", 0), self.loop).result(10)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self):
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


class Irc:
    """A real IRC server (ngircd) on ports of its own, without and with TLS."""

    def __init__(self, dir, tls):
        os.makedirs(dir, exist_ok=True)
        self.conf, self.process = os.path.join(dir, "ngircd.conf"), None
        holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.port, self.tls_port = [s.getsockname()[1] for s in holders]
        with open(self.conf, "w") as f:
            f.write(f"[Global]\nName = irc.test\nListen = 127.0.0.1\nPorts = {self.port}\nMotdPhrase = hello\nInfo = test\n"
                    "[Limits]\nMaxConnectionsIP = 20\nMaxPenaltyTime = 1\n"
                    "[Options]\nDNS = no\nIdent = no\nPAM = no\n"
                    f"[SSL]\nCertFile = {tls[0]}\nKeyFile = {tls[1]}\nPorts = {self.tls_port}\n")
        for s in holders:
            s.close()
        self.start()

    def start(self):
        self.process = subprocess.Popen(["ngircd", "-n", "-f", self.conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("ngircd does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()


class IrcClient:
    """Somebody in the channel. `said`: (nick, text) of what was said there."""

    def __init__(self, port, nick, channel):
        self.said, self.seen, self.nick, self.channel = [], [], nick, channel
        self.s = socket.create_connection(("127.0.0.1", port))
        self.send(f"NICK {nick}")
        self.send(f"USER {nick} 0 * :{nick}")
        self.joined = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        assert self.joined.wait(20), self.seen

    def send(self, line):
        self.s.sendall(line.encode() + b"\r\n")

    def say(self, text, to=None):
        self.send(f"PRIVMSG {to or self.channel} :{text}")

    def read(self):
        for line in self.s.makefile(encoding="utf-8", errors="replace"):
            line = line.rstrip("\r\n")
            self.seen.append(line)
            m = re.match(r":([^! ]+)(?:![^ ]*)? PRIVMSG ([^ ]+) :(.*)", line)
            if m:
                self.said.append((m[1], m[3]))
            elif line.startswith("PING"):
                self.send("PONG" + line[4:])
            elif " 001 " in line:
                self.send(f"JOIN {self.channel}")
            elif " 366 " in line:
                self.joined.set()

    def close(self):
        self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()
        self.thread.join()
