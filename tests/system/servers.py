"""Real git servers on 127.0.0.1, as users have them: git daemon, git http-backend behind lighttpd, sshd. Each has a folder and a free
port of its own, and ends with its test."""
import getpass, os, shlex, shutil, socket, subprocess
from conftest import until


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def program(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def write(path, text, mode=0o644):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
        f.write(text)
    return path


class Server:
    """Serves the bare repositories of one folder."""
    scheme = None

    def __init__(self, folder, root):
        self.folder, self.root, self.port, self.process = str(folder), str(root), free_port(), None
        os.makedirs(self.folder, mode=0o700)

    def start(self, argv):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        log.close()
        until(lambda: self.process.poll() is not None or answers(self.port), 20, argv[0])
        assert self.process.poll() is None, self.log()
        return self

    def log(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            return f.read()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)


class Daemon(Server):
    scheme = "git"

    def __init__(self, folder, root):
        super().__init__(folder, root)
        # --detach is not given: it ends with us; the inner program is started directly, so that it is the one that gets the signal
        self.start([program("git"), "daemon", "--listen=127.0.0.1", f"--port={self.port}", f"--base-path={self.root}", "--export-all",
                    "--enable=receive-pack", "--reuseaddr", self.root])

    def url(self, name):
        return f"git://127.0.0.1:{self.port}/{name}"


class Http(Server):
    """With basic authentication for everything."""
    scheme, user, password = "http", "bot", "Pass/w0rd+é'x"

    def __init__(self, folder, root):
        super().__init__(folder, root)
        write(os.path.join(self.folder, "users"), f"{self.user}:{self.password}\n", 0o600)
        conf = write(os.path.join(self.folder, "l.conf"), f'''
server.document-root = "{self.folder}"
server.port = {self.port}
server.bind = "127.0.0.1"
server.upload-dirs = ("{self.folder}")
server.modules = ("mod_auth", "mod_authn_file", "mod_alias", "mod_setenv", "mod_cgi")
alias.url = ({self.config(self.root)}"/git/" => "/usr/lib/git-core/git-http-backend/")
cgi.assign = ("" => "")
setenv.add-environment = ("GIT_PROJECT_ROOT" => "{self.root}", "GIT_HTTP_EXPORT_ALL" => "1", "HOME" => "{self.folder}", "PATH" => "/usr/bin:/bin")
auth.backend = "plain"
auth.backend.plain.userfile = "{self.folder}/users"
auth.require = ("" => ("method" => "basic", "realm" => "git", "require" => "valid-user"))
''')
        self.start([program("lighttpd"), "-D", "-f", conf])

    def config(self, root):
        """More of alias.url."""
        return ""

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/git/{name}"


class Ssh(Server):
    """Lets the one key in that it made, as the user who runs the tests."""
    scheme = "ssh"

    def __init__(self, folder, root):
        super().__init__(folder, root)
        self.key, self.other = self.make_key("id"), self.make_key("other")
        host = self.make_key("host")
        shutil.copy(self.key + ".pub", os.path.join(self.folder, "keys"))
        self.known = f"[127.0.0.1]:{self.port} " + " ".join(open(host + ".pub").read().split()[:2]) + "\n"
        self.stranger = f"[127.0.0.1]:{self.port} " + " ".join(open(self.other + ".pub").read().split()[:2]) + "\n"
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        conf = write(os.path.join(self.folder, "sshd_config"), f'''
Port {self.port}
ListenAddress 127.0.0.1
HostKey {host}
PidFile none
AuthorizedKeysFile {self.folder}/keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
''')
        self.start([program("sshd"), "-D", "-e", "-f", conf])

    def make_key(self, name):
        path = os.path.join(self.folder, name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True, timeout=30)
        return path

    def url(self, name):
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.root}/{name}"

    def pusher(self):
        """How the test itself pushes."""
        known = write(os.path.join(self.folder, "known"), self.known)
        return f"ssh -F /dev/null -i {shlex.quote(self.key)} -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={shlex.quote(known)}"


def credentials(server, right=True):
    """What stands in master.yaml for it: secrets and a project's credentials."""
    if server.scheme == "http":
        write(os.path.join(server.folder, "pass"), server.password if right else "not the password", 0o600)
        return f"secrets: {{login: {{file: {server.folder}/pass}}}}\n", f", credentials: {{user: {server.user}, password: login}}"
    if server.scheme == "ssh":
        key = server.key if right else server.other
        known = write(os.path.join(server.folder, "known_hosts"), server.known)
        return f"secrets: {{login: {{file: {key}}}}}\n", f", credentials: {{ssh_key: login, known_hosts: {known}}}"
    return "", ""


class Gitolite(Ssh):
    """gitolite3 behind sshd, as the user who runs the tests but with a home of its own: `admin` may all, `bot` what the rules say."""

    def __init__(self, folder, root):
        super().__init__(folder, root)
        self.home = os.path.join(self.folder, "home")
        os.mkdir(self.home)
        self.admin = self.make_key("admin")
        self.run("setup", "-pk", self.admin + ".pub")
        shutil.copy(self.key + ".pub", os.path.join(self.home, ".gitolite", "keydir", "bot.pub"))

    def run(self, *args):
        env = dict(os.environ, HOME=self.home, GIT_CONFIG_NOSYSTEM="1")
        p = subprocess.run([program("gitolite"), *args], env=env, capture_output=True, text=True, timeout=60)
        assert p.returncode == 0, p.stdout + p.stderr

    def rules(self, *lines):
        """Of repository `repo`, beside that admin may all."""
        write(os.path.join(self.home, ".gitolite", "conf", "gitolite.conf"), "repo gitolite-admin\n    RW+ = admin\nrepo repo\n    RW+ = admin\n" + "".join(f"    {x}\n" for x in lines))
        if os.path.exists(os.path.join(self.home, "repositories", "repo.git")):
            self.run("compile")  # all that new rules need
            return
        self.run("setup")
        with open(os.path.join(self.home, ".ssh", "authorized_keys")) as f:
            write(os.path.join(self.folder, "keys"), f.read().replace('command="', f'command="HOME={self.home} '))

    def url(self, name):
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}/{name}"

    def pusher(self):
        return super().pusher().replace(self.key, self.admin)
