#!/bin/sh
# Installs (as root) or names what building and testing needs on Debian 12. --tests: also what only tests and checks need.
set -eu
build="gcc make git pkg-config libc6-dev libzmq3-dev libmsgpack-dev libsqlite3-dev libgit2-dev libcurl4-openssl-dev
libpcre2-dev libmicrohttpd-dev libjansson-dev libyaml-dev libzstd-dev libsodium-dev libsystemd-dev esbuild tzdata ca-certificates"
tests="perl python3 python3-pytest clang clang-tidy clang-format libclang-rt-14-dev llvm-14 cppcheck procps openssh-client openssh-server
lighttpd bubblewrap curl chromium git-lfs gitolite3 openssl python3-aiosmtpd ngircd"
# of any origin: the packages of nodesource bring npm along and do not stand beside Debian's
command -v node >/dev/null || tests="$tests nodejs"
command -v npm >/dev/null || tests="$tests npm"
want=$build
[ "${1:-}" = --tests ] && want="$build $tests"
missing=
for p in $want; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "Missing Debian packages; install them with:" >&2
    echo "    apt-get install$missing" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# servers that tests run by themselves are not to be started for the machine
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends -qq $missing >/tmp/pawl-deps.$$ 2>&1 || {
    apt-get update -qq >>/tmp/pawl-deps.$$ 2>&1 || true
    apt-get install -y --no-install-recommends -qq $missing >>/tmp/pawl-deps.$$ 2>&1 || { cat /tmp/pawl-deps.$$ >&2; rm -f /tmp/pawl-deps.$$; exit 1; }
}
rm -f /tmp/pawl-deps.$$
