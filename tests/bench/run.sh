#!/bin/sh
# run.sh [ARGUMENTS OF bench.py] - Pawl and Debian's Buildbot, the same work in one run. BUILD is the folder of the programs.
set -eu
here=$(dirname "$0")
missing=
for p in buildbot buildbot-worker; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
case " $* " in *" --only pawl "*) missing= ;; esac
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "bench: what Pawl is compared with is missing; install it with: apt-get install$missing" >&2
        echo "bench: (or measure Pawl alone: tests/bench/run.sh --only pawl)" >&2
        exit 1
    fi
    echo "bench: installing$missing"
    out=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >"$out" 2>&1 ||
        { apt-get update -qq >>"$out" 2>&1 && apt-get install -y -qq --no-install-recommends $missing >>"$out" 2>&1; } ||
        { tail -5 "$out" >&2; rm -f "$out"; echo "bench: cannot install$missing" >&2; exit 1; }
    rm -f "$out"
fi
command -v gcc >/dev/null || { echo "bench: gcc is missing; install it with: apt-get install gcc libc6-dev" >&2; exit 1; }
exec /usr/bin/python3 -B "$here/bench.py" "$@"
