#!/bin/bash
# torture.sh SECONDS TEST...: runs each test again and again, the n-th allocation failing; at most SECONDS for each test.
limit=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for t in "$@"; do
    n=1 end=$((SECONDS + limit)) step=1
    while :; do
        PW_FAIL_ALLOC=$n ASAN_OPTIONS=exitcode=99 timeout 60 "$t" >"$log" 2>&1
        rc=$?
        [ $rc = 77 ] && break
        if [ $rc = 99 ] || [ $rc -ge 124 ]; then
            echo "FAULT at allocation $n in $t: exit $rc"
            cat "$log"
            exit 1
        fi
        [ $SECONDS -ge $end ] && { echo "$t: stopped after $limit s"; break; }
        [ $n -gt 300 ] && step=$((n / 50))
        n=$((n + step))
    done
    echo "$t: up to allocation $n"
done
