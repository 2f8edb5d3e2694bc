"""The programs of the past, for upgrades in the middle of a run: those from before the last commit that changed the schema or the
messages, built once into build/chaos-old/."""
import os, shutil, subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WATCHED = ("master/store/migrations", "shared/wire/msg.h")
PROGRAMS = ("pawl-master", "pawl-worker", "pawl-run", "pawl")


class NoHistory(Exception):
    pass


def git(*args):
    return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def revision():
    """Newest commit whose schema or messages differ from those of HEAD."""
    now = [git("rev-parse", f"HEAD:{w}") for w in WATCHED]
    for rev in git("log", "--format=%H", "-50", "HEAD", "--", *WATCHED).split():
        before = rev + "~"
        try:
            then = [git("rev-parse", f"{before}:{w}") for w in WATCHED]
        except subprocess.CalledProcessError:  # the first commit, or one from before there was either
            break
        if then != now:
            return git("rev-parse", before)
    raise NoHistory("no older schema or messages in the last 50 commits")


def programs(build):
    """Folder of the old programs, in the same variant as `build` (build/debug: debug)."""
    variant, rev = os.path.basename(build.rstrip("/")), revision()
    place = os.path.join(ROOT, "build/chaos-old", rev[:12])
    out = os.path.join(place, "build", variant)
    if all(os.path.exists(os.path.join(out, p)) for p in PROGRAMS):
        return out
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    print(f"building the programs of {rev[:12]}", flush=True)
    tree = subprocess.Popen(["git", "archive", rev], cwd=ROOT, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", place], stdin=tree.stdout, check=True)
    if tree.wait() != 0:
        raise NoHistory(f"git archive {rev} failed")
    with open(os.path.join(place, "build.log"), "w") as log:
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        subprocess.run(["make", "-j2", f"V={variant}", "all"], cwd=place, env=env, stdout=log, stderr=log, check=True)
    return out
