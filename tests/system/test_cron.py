"""`pawl cron` against a model that walks every minute of the zone's own clock (zoneinfo), by the policy of core.md:
an hour field without `*`: each listed local time fires once a day, in a gap at the first instant after it (several there
once), in an overlap the first time; an hour field with `*`: every real minute whose local time matches."""
import datetime, subprocess, zoneinfo
import pytest
from conftest import BUILD

UTC = datetime.timezone.utc
EPOCH = datetime.date(1970, 1, 1).toordinal()
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
# zone, the first day of a year with both transitions: half an hour of DST, odd offsets, DST at midnight, a day that was
# left out, DST that is switched off for a month, no DST at all
ZONES = [("Europe/Berlin", "2026-01-01"), ("America/New_York", "2026-01-01"), ("Australia/Lord_Howe", "2026-01-01"), ("Asia/Kathmandu", "1985-07-01"),
         ("Pacific/Chatham", "2026-01-01"), ("America/Sao_Paulo", "2018-01-01"), ("Pacific/Apia", "2011-06-01"), ("Africa/Casablanca", "2025-01-01"),
         ("America/St_Johns", "2026-01-01"), ("Europe/Dublin", "2026-01-01"), ("Asia/Tehran", "2021-06-01"), ("Africa/Cairo", "2024-01-01")]
LINES = ["0 3 * * *", "30 2 * * *", "15 0,1,2,3,4 * * *", "0 0 * * *", "59 23 * * *", "*/20 1-3 * * *", "0 12 29 2 *", "0 4 L * *", "5 6 * * 1#2", "0 0 1 * mon",
         "30 0,2 13 * Fri", "45 */2 * * *", "7 * 1,15 * *", "0 * * jan-mar sun", "10 5 */10 * *", "20 8 * */3 1-5", "0 9 L * 5#1", "0 7 * * 7", "30 1 1-7 * SAT"]


def numbers(text, low, high, names, first):
    """The values of one field; None stands for what is not a plain value (L, D#N)."""
    found = set()
    for part in text.lower().split(","):
        body, _, step = part.partition("/")
        if body == "*":
            a, b = low, high
        else:
            a, dash, b = body.partition("-")
            a = names.index(a) + first if a in names else int(a)
            b = names.index(b) + first if b in names else int(b) if dash else (high if step else a)
        found |= set(range(a, b + 1, int(step or 1)))
    return found


class Line:
    def __init__(self, text):
        minute, hour, dom, month, dow = text.split()
        self.minutes = {h * 60 + m for h in numbers(hour, 0, 23, [], 0) for m in numbers(minute, 0, 59, [], 0)}
        self.every = hour.startswith("*")
        self.months = numbers(month, 1, 12, MONTHS, 1)
        self.last = "L" in dom.upper()
        self.dom = numbers(dom, 1, 31, [], 1) if not self.last else set()
        self.nth = [tuple(map(int, p.split("#"))) for p in dow.split(",") if "#" in p]
        self.dow = {d % 7 for d in numbers(dow, 0, 7, DAYS, 0)} if not self.nth else set()
        self.both = dom.startswith("*") or dow.startswith("*")

    def day(self, d):
        if d.month not in self.months:
            return False
        tomorrow = d + datetime.timedelta(1)
        week = d.isoweekday() % 7
        by_day = d.day in self.dom or (self.last and tomorrow.month != d.month)
        by_week = week in self.dow or any(week == w % 7 and (d.day - 1) // 7 + 1 == n for w, n in self.nth)
        return by_day and by_week if self.both else by_day or by_week


class Walk:
    """Every real minute of a stretch: the local day and minute of the day that the zone's clock shows."""

    def __init__(self, zone, start, days):
        self.zone = zoneinfo.ZoneInfo(zone)
        self.start = int(datetime.datetime.combine(start, datetime.time(), UTC).timestamp())
        self.day, self.minute, self.first = [], [], {}
        t = self.start
        for _ in range(days * 48):  # offsets change on half hours of UTC at most (Lord Howe), never within one
            local = datetime.datetime.fromtimestamp(t, UTC).astimezone(self.zone)
            base = local.toordinal() * 1440 + local.hour * 60 + local.minute
            again = datetime.datetime.fromtimestamp(t + 29 * 60, UTC).astimezone(self.zone)
            inside = again.toordinal() * 1440 + again.hour * 60 + again.minute == base + 29
            for k in range(30):
                if not inside:
                    local = datetime.datetime.fromtimestamp(t + 60 * k, UTC).astimezone(self.zone)
                    base = local.toordinal() * 1440 + local.hour * 60 + local.minute - k
                self.day.append((base + k) // 1440)
                self.minute.append((base + k) % 1440)
            t += 1800
        self.high, most = [], -1  # the highest local time seen so far
        for d, m in zip(self.day, self.minute):
            most = max(most, d * 1440 + m)
            self.high.append(most)

    def fires(self, line):
        days = {d: line.day(datetime.date.fromordinal(d)) for d in range(self.day[0], self.day[-1] + 2)}
        if line.every:
            return [self.start + 60 * i for i, (d, m) in enumerate(zip(self.day, self.minute)) if m in line.minutes and days[d]]
        found, i = set(), 0
        begun = self.high[0]
        for d in sorted(days):
            for m in sorted(line.minutes) if days[d] else ():
                at = d * 1440 + m
                if at < begun:
                    continue
                while i < len(self.high) and self.high[i] < at:
                    i += 1
                if i == len(self.high):
                    return sorted(found)
                found.add(self.start + 60 * i)
        return sorted(found)

    def text(self, t):
        return datetime.datetime.fromtimestamp(t, UTC).astimezone(self.zone).isoformat()


def pawl_cron(line, zone, start, n):
    p = subprocess.run([f"{BUILD}/pawl", "cron", line, "--zone", zone, "--from", start, "-n", str(n)], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0, p.stderr
    return p.stdout.split("\n")[:-1]


@pytest.mark.parametrize("zone,start", ZONES)
def test_a_year_minute_by_minute(zone, start):
    first = datetime.date.fromisoformat(start)
    walk = Walk(zone, first, 372)
    jumps = {walk.high[i] - i for i in range(0, len(walk.high), 30)}
    assert len(jumps) > 1, "the stretch has no transition"
    for text in LINES:
        # the first minute of the walk is no firing for `strictly after`
        want = [t for t in walk.fires(Line(text)) if t > walk.start]
        end = walk.start + 371 * 86400
        want = [walk.text(t) for t in want if t < end][:9000]
        if not want:
            continue
        got = pawl_cron(text, zone, start + "T00:00:00Z", len(want))
        assert got == want, (zone, text, next((a, b) for a, b in zip(got, want) if a != b))


def test_leap_days_and_weeks_over_years():
    """29 February over the eight years without one (2096 to 2104), and with days of the week; a fifth Monday in February."""
    for line, days in (("0 12 29 2 *", ["2096-02-29", "2104-02-29", "2108-02-29"]), ("0 12 L 2 *", ["2095-02-28", "2096-02-29", "2097-02-28"]),
                       ("0 12 29 2 1", ["2095-02-07", "2095-02-14", "2095-02-21"]), ("0 12 * 2 1#5", ["2112-02-29"])):
        start = "2095-01-01T00:00:00Z" if "#5" not in line else "2106-01-01T00:00:00Z"
        assert [t[:10] for t in pawl_cron(line, "UTC", start, len(days))] == days, line


def test_m1_nightly_over_dst_in_berlin_2026():
    """M1: `0 3 * * *` fired at 04:00 on 29 March and twice on 25 October; `30 2 * * *` at 03:30, and twice on 26 October."""
    three = pawl_cron("0 3 * * *", "Europe/Berlin", "2026-01-01T00:00:00+01:00", 365)
    assert len({t[:10] for t in three}) == 365 and three[-1][:10] == "2026-12-31"
    assert all(t[11:16] == "03:00" for t in three)
    assert "2026-03-29T03:00:00+02:00" in three and "2026-10-25T03:00:00+01:00" in three
    half = pawl_cron("30 2 * * *", "Europe/Berlin", "2026-01-01T00:00:00+01:00", 365)
    assert len({t[:10] for t in half}) == 365 and half[-1][:10] == "2026-12-31"
    assert [t for t in half if t[11:16] != "02:30"] == ["2026-03-29T03:00:00+02:00"], "in the gap: the first instant after it"
    assert [t for t in half if t[5:10] in ("10-25", "10-26")] == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
