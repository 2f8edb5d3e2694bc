"""A worker's own network, when we are root: a namespace with a veth pair to the proxy, so that packets are lost below TCP."""
import os, shutil, subprocess


def run(*argv, check=True):
    p = subprocess.run(argv, capture_output=True, text=True)
    if check and p.returncode != 0:
        raise OSError(f"{' '.join(argv)}: {p.stderr.strip()}")
    return p


def available():
    """None when it can be used, else why not."""
    if os.geteuid() != 0:
        return "not root"
    if not shutil.which("ip"):
        return "no ip program"
    name = f"pawl-try-{os.getpid()}"
    try:
        run("ip", "netns", "add", name)
        run("ip", "netns", "del", name)
        run("ip", "link", "add", f"pt{os.getpid()}", "type", "veth", "peer", "name", f"pu{os.getpid()}")
        run("ip", "link", "del", f"pt{os.getpid()}")
    except OSError as e:
        return str(e)
    return None


class Netns:
    def __init__(self):
        pid = os.getpid()
        self.name, self.outer, self.inner = f"pawl-chaos-{pid}", f"pc{pid}", f"pd{pid}"
        net = f"10.{201 + pid % 50}.{pid // 50 % 250}"
        self.host, self.guest = net + ".1", net + ".2"
        self.nft = shutil.which("nft") is not None
        run("ip", "netns", "add", self.name)
        try:
            run("ip", "link", "add", self.outer, "type", "veth", "peer", "name", self.inner)
            run("ip", "link", "set", self.inner, "netns", self.name)
            run("ip", "addr", "add", self.host + "/24", "dev", self.outer)
            run("ip", "link", "set", self.outer, "up")
            self.inside("ip", "addr", "add", self.guest + "/24", "dev", self.inner)
            self.inside("ip", "link", "set", self.inner, "up")
            self.inside("ip", "link", "set", "lo", "up")
            if self.nft:
                self.inside("nft", "add", "table", "inet", "chaos")
                for hook in ("input", "output"):
                    self.inside("nft", "add", "chain", "inet", "chaos", hook, "{ type filter hook %s priority 0 ; }" % hook)
        except OSError:
            self.close()
            raise

    def inside(self, *argv):
        return run("ip", "netns", "exec", self.name, *argv)

    def wrap(self, argv):
        """`ip netns exec` becomes the program, so its pid is the program's."""
        return ["ip", "netns", "exec", self.name, *argv]

    def fault(self, how):
        """False when this machine cannot."""
        if how == "link":
            self.inside("ip", "link", "set", self.inner, "down")
        elif not self.nft:
            return False
        elif how == "loss":
            for hook in ("input", "output"):
                self.inside("nft", "add", "rule", "inet", "chaos", hook, "numgen", "random", "mod", "100", "<", "30", "drop")
        else:
            self.inside("nft", "add", "rule", "inet", "chaos", {"drop_in": "input", "drop_out": "output"}[how], "drop")
        return True

    def heal(self):
        if self.nft:
            for hook in ("input", "output"):
                self.inside("nft", "flush", "chain", "inet", "chaos", hook)
        self.inside("ip", "link", "set", self.inner, "up")

    def close(self):
        run("ip", "netns", "del", self.name, check=False)
        run("ip", "link", "del", self.outer, check=False)
