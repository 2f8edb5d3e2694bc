"""Follows /api/v1/events over every restart with Last-Event-ID: no number twice, none left out, none back, one epoch."""
import http.client, threading, time, urllib.parse


class Follower:
    def __init__(self, world, record):
        self.world, self.record = world, record
        self.last, self.halt, self.connects = None, False, 0
        self.thread = threading.Thread(target=self.run, name="events", daemon=True)

    def start(self):
        self.thread.start()

    def finish(self):
        self.halt = True
        self.thread.join(30)

    def run(self):
        while not self.halt:
            try:
                self.listen()
            except (OSError, http.client.HTTPException, ValueError):
                pass
            time.sleep(0.05)

    def listen(self):
        at = urllib.parse.urlsplit(self.world.url)
        c = http.client.HTTPConnection(at.hostname, at.port, timeout=2)
        try:
            c.request("GET", "/api/v1/events", headers={"Last-Event-ID": self.last} if self.last else {})
            a = c.getresponse()
            if a.status != 200:
                return
            self.connects += 1
            event = {}
            while not self.halt:
                line = a.readline()
                if not line:
                    return
                line = line.decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                    continue
                if "event" in event:
                    self.take(event)
                event = {}
        finally:
            c.close()

    def take(self, event):
        kind, number = event["event"], event.get("id")
        if kind == "reset":
            if self.last:
                self.record.violate(f"events: reset behind {self.last}")
            self.last = number or self.last
            return
        if not number:
            return
        epoch, seq = number.split(".")
        if self.last:
            was, n = self.last.split(".")
            if epoch != was:
                self.record.violate(f"events: epoch changed from {was} to {epoch}")
            elif int(seq) != int(n) + 1:
                self.record.violate(f"events: {number} came behind {self.last}")
        self.last = number
        self.record.put("events", int(seq), kind)

