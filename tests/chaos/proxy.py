"""A TCP proxy in front of the master's worker port that can fail in the ways of a network. One thread, one selector; each worker
has a listener of its own. Nothing is reordered or changed: TCP would not, either.

    cut              both sides get a reset
    delay            everything that arrives meanwhile comes later by `delay`
    hole             nothing passes in either direction, new connections are accepted and get no answer
    half_up/_down    one direction passes nothing
    half_close_up    the master's side is closed, the worker's stays open and silent; _down: the other way round
    duplicate        the worker's side is reset and connects anew while the master's side of the old one stays open

When a fault that stalls is over, connections go on (as after a dropped cable: nothing was lost) or are cut, as the plan says."""
import collections, os, selectors, socket, struct, threading, time

BLOCK = 65536
HELD_MAX = 4 << 20  # bytes on their way in one direction; then the sender has to wait


class Half:
    """One direction of a link: what was read from `source` and waits for `sink`."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.waiting = collections.deque()  # (time from which on it may go, bytes)
        self.size = 0
        self.ended = False


class Link:
    def __init__(self, gate, down, up):
        self.gate, self.down, self.up = gate, down, up  # sockets: the worker's, the master's
        self.halves = {"up": Half(down, up), "down": Half(up, down)}


class Gate:
    """A listener of one worker, with its fault."""

    def __init__(self, name, host):
        self.name = name
        self.sock = socket.create_server((host, 0))
        self.sock.setblocking(False)
        self.address = "tcp://%s:%d" % self.sock.getsockname()[:2]
        self.links, self.stalled, self.delay, self.over = [], set(), 0.0, None
        self.mute = []  # sockets that stay open and silent until the fault is over


def reset(sock):
    if sock is None:
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    except OSError:
        pass


class Proxy:
    def __init__(self, upstream):
        """upstream: a function that gives (host, port) of the master, or None."""
        self.upstream = upstream
        self.gates = {}
        self.sel = selectors.DefaultSelector()
        self.read_end, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.orders, self.lock = collections.deque(), threading.Lock()
        self.carried = 0
        self.stopping = False
        self.broken = None
        self.sel.register(self.read_end, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run, name="proxy", daemon=True)

    def gate(self, name, host="127.0.0.1"):
        """Before start()."""
        self.gates[name] = Gate(name, host)
        return self.gates[name].address

    def start(self):
        for g in self.gates.values():
            self.sel.register(g.sock, selectors.EVENT_READ, g)
        self.thread.start()

    def stop(self):
        self.order(("stop",))
        self.thread.join(10)
        for g in self.gates.values():
            g.sock.close()
            for link in list(g.links):
                reset(link.down), reset(link.up)
            for s in g.mute:
                reset(s)
        self.sel.close()
        os.close(self.read_end), os.close(self.write_end)

    def fault(self, worker, how, seconds, delay=0.0, resume=True):
        self.order(("fault", worker, how, seconds, delay, resume))

    def heal(self):
        self.order(("heal",))

    def order(self, what):
        self.orders.append(what)
        try:
            os.write(self.write_end, b"x")
        except BlockingIOError:
            pass

    # ---- below: the proxy's own thread
    def run(self):
        try:
            while not self.stopping:
                self.turn()
        except Exception as e:  # told by whoever asks: a dead proxy must not look like a quiet one
            self.broken = repr(e)

    def turn(self):
        now = time.monotonic()
        soon = min([0.5] + [h.waiting[0][0] - now for g in self.gates.values() for k in g.links for h in k.halves.values() if h.waiting and h.waiting[0][0] > now]
                   + [g.over[0] - now for g in self.gates.values() if g.over])
        for key, events in self.sel.select(max(0, soon)):
            if key.data is None:
                os.read(self.read_end, 4096)
            elif isinstance(key.data, Gate):
                self.accept(key.data)
            else:
                link, side = key.data
                if events & selectors.EVENT_READ and link in link.gate.links:
                    self.read(link, side)
        while self.orders:
            self.obey(self.orders.popleft())
        now = time.monotonic()
        for g in self.gates.values():
            if g.over and g.over[0] <= now:
                self.over(g)
            for link in list(g.links):
                self.pump(link, now)

    def obey(self, what):
        if what[0] == "stop":
            self.stopping = True
        elif what[0] == "heal":
            for g in self.gates.values():
                if g.over:
                    self.over(g)
        else:
            _, worker, how, seconds, delay, resume = what
            g = self.gates[worker]
            if g.over:
                self.over(g)
            g.over = (time.monotonic() + seconds, resume)
            if how == "cut":
                self.cut(g)
            elif how == "delay":
                g.delay = delay
            elif how == "hole":
                g.stalled = {"up", "down"}
            elif how in ("half_up", "half_down"):
                g.stalled = {how[5:]}
            else:
                for link in list(g.links):
                    keep = link.down if how == "half_close_up" else link.up
                    self.forget(link)
                    reset(link.up if keep is link.down else link.down)
                    g.mute.append(keep)

    def over(self, g):
        resume = g.over[1]
        g.over, g.delay = None, 0.0
        if g.stalled and not resume:
            self.cut(g)
        g.stalled = set()
        for s in g.mute:
            reset(s)
        g.mute = []

    def cut(self, g):
        for link in list(g.links):
            self.drop(link)

    def forget(self, link):
        for s in (link.down, link.up):
            try:
                self.sel.unregister(s)
            except (KeyError, ValueError):
                pass
        if link in link.gate.links:
            link.gate.links.remove(link)

    def drop(self, link):
        self.forget(link)
        reset(link.down), reset(link.up)

    def accept(self, g):
        try:
            down, _ = g.sock.accept()
        except OSError:
            return
        at, up = self.upstream(), None
        try:
            up = socket.create_connection(at, timeout=1) if at else None
        except OSError:
            pass
        if up is None:
            reset(down)
            return
        link = Link(g, down, up)
        for s, side in ((down, "up"), (up, "down")):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sel.register(s, selectors.EVENT_READ, (link, side))
        g.links.append(link)

    def read(self, link, side):
        half = link.halves[side]
        if half.size > HELD_MAX or side in link.gate.stalled:
            return
        try:
            data = half.source.recv(BLOCK)
        except BlockingIOError:
            return
        except OSError:
            self.drop(link)
            return
        if data:
            half.waiting.append((time.monotonic() + link.gate.delay, data))
            half.size += len(data)
        else:
            half.ended = True

    def pump(self, link, now):
        for side, half in link.halves.items():
            while half.waiting and half.waiting[0][0] <= now and side not in link.gate.stalled:
                at, data = half.waiting.popleft()
                try:
                    n = half.sink.send(data)
                except BlockingIOError:
                    n = 0
                except OSError:
                    self.drop(link)
                    return
                half.size -= n
                self.carried += n
                if n < len(data):
                    half.waiting.appendleft((now + 0.005, data[n:]))
                    break
            if half.ended and not half.waiting and side not in link.gate.stalled:
                self.drop(link)
                return
            self.listen(link, half, side)

    def listen(self, link, half, side):
        """A direction that is stalled, full or at its end is not read; the selector must not spin on it."""
        want = side not in link.gate.stalled and half.size <= HELD_MAX and not half.ended
        try:
            key = self.sel.get_map().get(half.source.fileno())
        except ValueError:
            return
        if want and key is None:
            self.sel.register(half.source, selectors.EVENT_READ, (link, side))
        elif not want and key is not None:
            self.sel.unregister(half.source)
