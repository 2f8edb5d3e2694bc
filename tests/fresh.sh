#!/bin/bash
# The two commands on a fresh machine: makes a minimal Debian 12 by mmdebstrap, puts a clean clone of HEAD into it and runs
# `make demo` and `make test` there. Needs root and a Debian mirror (this machine's is used), some minutes and 3 GB.
# What was printed is left in build/fresh/output.txt; all else is removed at the end, also after a failure.
# FRESH_RUN='...' runs something else inside; FRESH_ENTER=nspawn enters by systemd-nspawn instead of unshare and chroot.
set -u
cd "$(dirname "$0")/.." || exit 1
top=$PWD
base=${FRESH_DIR:-$top/build/fresh}
root=$base/root out=$base/output.txt
run=${FRESH_RUN:-'make demo DEMO_FLAGS=--exit && make test'}
enter=${FRESH_ENTER:-unshare}
child=

say() { printf '%s\n' "fresh: $*"; }
die() { printf '%s\n' "fresh: $*" >&2; exit 1; }
case $enter in unshare | nspawn) ;; *) die "FRESH_ENTER is unshare or nspawn" ;; esac
[ "$(id -u)" = 0 ] || die "making a Debian and entering it needs root"
git rev-parse -q --verify HEAD >/dev/null || die "there is no commit to clone"
[ -z "$(git status --porcelain)" ] || say "the work tree has changes that are not committed; HEAD is what is tested"
if ! command -v mmdebstrap >/dev/null; then
    say "installing mmdebstrap"
    { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap; }; } >/dev/null 2>&1 ||
        die "mmdebstrap cannot be installed"
fi

# Mounts are made in a namespace of their own and vanish with it; this looks again before anything is deleted.
clean() {
    [ -n "$child" ] && kill -KILL "$child" 2>/dev/null && wait "$child" 2>/dev/null
    child=
    if grep -qF " $root/" /proc/self/mounts; then
        awk -v r="$root/" 'index($2, r) == 1 {print $2}' /proc/self/mounts | sort -r | while read -r m; do umount -l "$m"; done
    fi
    if grep -qF " $root/" /proc/self/mounts; then
        say "something is still mounted below $root: it is left there" >&2
    else
        rm -rf --one-file-system "$root" "$base/sources" "$base/apt.conf"
    fi
}
trap 'trap "" INT TERM; clean' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$base" || exit 1
clean
: >"$out"

# ---- a Debian as this machine would install it: its mirrors, its keys, its way to them
{
    [ -f /etc/apt/sources.list ] && cat /etc/apt/sources.list
    for f in /etc/apt/sources.list.d/debian*.list; do [ -f "$f" ] && cat "$f"; done
    true
} | grep -E '^deb .*(debian|bookworm)' >"$base/sources.one"
if [ -s "$base/sources.one" ]; then
    mv "$base/sources.one" "$base/sources"
else
    rm -f "$base/sources.one"
    # in the newer form each stanza ends with an empty line
    for f in /etc/apt/sources.list.d/debian*.sources; do [ -f "$f" ] && cat "$f" && echo; done >"$base/sources"
fi
[ -s "$base/sources" ] || { echo "fresh.sh: this machine names no Debian archive in /etc/apt" >&2; exit 1; }
apt-config dump | grep -E '^Acquire::(http|https|Retries|Check|ForceIPv|Allow)' >"$base/apt.conf"
echo 'APT::Install-Recommends "0";' >>"$base/apt.conf"
say "making a minimal Debian 12"
start=$SECONDS
mmdebstrap --quiet --mode=root --variant=minbase --include=git,make,ca-certificates --aptopt="$base/apt.conf" \
    bookworm "$root" "$base/sources" >"$base/mmdebstrap.txt" 2>&1 || { tail -20 "$base/mmdebstrap.txt" >&2; die "mmdebstrap failed: $base/mmdebstrap.txt"; }
rm -f "$base/mmdebstrap.txt"
for f in /etc/resolv.conf /etc/hosts; do [ -f $f ] && cp -L $f "$root$f"; done
for f in /etc/apt/auth.conf /etc/apt/auth.conf.d/*; do
    [ -f "$f" ] && install -D -m 600 "$f" "$root$f"
done
git clone -q --no-hardlinks "$top" "$root/root/pawl" && git -C "$root/root/pawl" remote remove origin || die "cloning HEAD failed"
say "made in $((SECONDS - start)) s: $(du -sm "$root" | cut -f1) MB, $(ls "$root/var/lib/dpkg/info" | grep -c '\.list$') packages; HEAD is $(git rev-parse --short HEAD)"

# ---- inside
inside="env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb ${SOURCE_DATE_EPOCH:+SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH}"
# the exit keeps the shell as process 1, which takes in orphans
script="cd /root/pawl || exit; set -e; { $run; }; exit \$?"
start=$SECONDS
exec 3> >(exec tee -a "$out")
tee=$!
case $enter in
nspawn)
    systemd-nspawn --quiet --pipe --as-pid2 --register=no --keep-unit -D "$root" $inside bash -c "$script" </dev/null >&3 2>&1 3>&- & ;;
unshare) # processes that are left behind end with the namespace
    unshare --mount --pid --fork --kill-child --propagation private bash -c '
        root=$1 script=$2; shift 2
        mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 125
        exec chroot "$root" "$@" bash -c "$script"' fresh "$root" "$script" $inside </dev/null >&3 2>&1 3>&- & ;;
esac
child=$!
wait "$child" # a signal to this script ends the wait
rc=$?
child=
exec 3>&-
wait "$tee"
say "ended with $rc after $((SECONDS - start)) s: $run" | tee -a "$out"
exit "$rc"
