#!/usr/bin/python3
"""What a build of the chaos run does. Its output and its exit code are a pure function of one word, the spec ("lines-17"), so the
checker computes the very bytes that the log must hold. Each start also adds one line to a file outside: that counts executions.

    step.py SPEC FILE       FILE gets `BUILD ATTEMPT SPEC pid`"""
import os, random, sys, time

KINDS = {  # spec kind: weight in the load
    "lines": 40, "odd": 14, "big": 6, "stderr": 8, "fail": 9, "stubborn": 7, "long": 10, "quiet": 6}


def lines(rnd, n, pauses, pause):
    at = set(rnd.sample(range(n), min(n, pauses)))
    for i in range(n):
        yield 1, b"line %d of %d: %s\n" % (i + 1, n, b"%x" % rnd.getrandbits(rnd.choice((16, 64, 300)))), pause if i in at else 0


def odd(rnd):
    pieces = [b"plain\n", b"dos\r\n", b"10%\r20%\r100%\n", b"\x1b[31mred\x1b[0m\n", b"\xff\xfe not UTF-8 \xc3\n", b"\n", b"\n\n\n", b"nul \0 in it\n",
              b"tab\tand \x07 bell\n", b"::group::x\n", "schön – 日本\n".encode(), b"x" * 5000 + b"\n", b"\r", b"half a line"]
    for _ in range(rnd.randrange(5, 60)):
        yield 1, rnd.choice(pieces), rnd.choice((0, 0, 0, 0.02, 0.3))
    if rnd.random() < 0.6:
        yield 1, b"the end has no line feed", 0


def big(rnd):
    block = b"".join(b"%06x " % rnd.getrandbits(24) for _ in range(9000))
    for i in range(rnd.randrange(16, 80)):
        at = rnd.randrange(1000)
        yield 1, b"block %d\n" % i + b"\n".join(block[at + k:at + k + 120] for k in range(0, 60000, 120)) + b"\n", rnd.choice((0, 0, 0.05))


def chunks(spec):
    """(file descriptor, bytes, seconds to sleep behind them), in order; both descriptors go to one pipe."""
    kind = spec.split("-")[0]
    rnd = random.Random(spec)
    if kind == "odd":
        yield from odd(rnd)
    elif kind == "big":
        yield from big(rnd)
    elif kind == "stderr":
        for _, text, pause in lines(rnd, rnd.randrange(10, 120), 6, 0.1):
            yield rnd.choice((1, 2)), text, pause
    elif kind == "long":
        yield from lines(rnd, rnd.randrange(40, 90), 200, rnd.choice((0.05, 0.1, 0.15)))
    elif kind != "quiet":
        yield from lines(rnd, rnd.randrange(10, 400), rnd.randrange(0, 12), 0.1)


def known(spec):
    return b"".join(text for _, text, _ in chunks(spec))


def exit_code(spec):
    return 1 + len(spec) % 7 if spec.startswith("fail") else 0


def stubborn():
    """Children that nobody asked to stay: one ignores TERM, one is a session of its own that holds stdout."""
    for own in (False, True):
        if os.fork() == 0:
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            if own:
                os.setsid()
            time.sleep(300)
            os._exit(0)


def main(spec, count):
    fd = os.open(count, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, f"{os.environ['PAWL_BUILD_ID']} {os.environ['PAWL_ATTEMPT']} {spec} {os.getpid()}\n".encode())
    os.close(fd)
    if spec.startswith("stubborn"):
        stubborn()
    for out, text, pause in chunks(spec):
        while text:
            text = text[os.write(out, text):]
        if pause:
            time.sleep(pause)
    return exit_code(spec)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
