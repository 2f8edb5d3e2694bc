"""Each file of walks/ is a test: a real browser on the pages of a real master (README.md)."""
import importlib.util, json, os, shutil, subprocess
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HOME = os.environ.get("UI_HOME", os.path.join(ROOT, "build/ui"))
spec = importlib.util.spec_from_file_location("ui_site", os.path.join(HERE, "site.py"))  # Python has a "site" of its own
ui_site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ui_site)
# in this order: those that stop the master stand last, the others by name
LAST = ["restart"]
WALKS = sorted(f[:-4] for f in os.listdir(os.path.join(HERE, "walks")) if f.endswith(".mjs"))
WALKS = [w for w in WALKS if w not in LAST] + [w for w in LAST if w in WALKS]
if os.environ.get("UI_WALK"):
    WALKS = os.environ["UI_WALK"].split()


def packages():
    """The two packages by the lock file, into build/; None, or why not."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "needs node and npm (tests/deps.sh --tests)"
    if not os.path.exists(os.environ.get("UI_CHROMIUM", "/usr/bin/chromium")):
        return "needs chromium (tests/deps.sh --tests)"
    os.makedirs(HOME, exist_ok=True)
    lock = open(os.path.join(HERE, "package-lock.json")).read()
    stamp = os.path.join(HOME, "node_modules/.lock-of-ui-tests")
    if os.path.exists(stamp) and open(stamp).read() == lock:
        return None
    for f in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, f), HOME)
    try:
        p = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], cwd=HOME, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "npm ci could not get playwright-core and axe-core in two minutes"
    if p.returncode:
        return "npm ci could not get playwright-core and axe-core: " + " ".join(x[10:] for x in p.stderr.splitlines() if x.startswith("npm error"))[:300]
    with open(stamp, "w") as f:
        f.write(lock)
    return None


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    why = packages()
    if why:
        pytest.skip(why)
    site = ui_site.Site(tmp_path_factory.mktemp("ui"))
    driver = subprocess.Popen(["node", os.path.join(HERE, "driver.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ, UI_HOME=HOME))
    try:
        site.build()
        ready = json.loads(driver.stdout.readline() or "{}")
        assert "ready" in ready, "the browser did not start"
        yield site, driver
    finally:
        driver.stdin.close()
        try:
            driver.wait(timeout=20)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
        site.close()


@pytest.mark.parametrize("walk", WALKS)
def test_walk(world, walk):
    site, driver = world
    done, failed = ui_site.ask(driver, site, {"walk": walk, "url": site.url, "token": site.token(), "facts": site.facts})
    assert done is not None, failed
