#!/bin/bash
# torture.sh SECONDS TEST...: runs each test again and again, another allocation failing each time; at most SECONDS for each
# test. First 1, 2, 4, 8 ... until a run ends before its allocation is reached (exit 77), then what lies between, spread over
# the whole run, so that a test which is too long for all of it is at least sampled everywhere. A test may fail; it must not
# crash, leak or hang.
limit=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bad=0
once() { # TEST N: 77 when the N-th allocation was not reached
    PW_FAIL_ALLOC=$2 ASAN_OPTIONS=exitcode=99 timeout 60 "$1" >"$log" 2>&1
    local rc=$?
    if [ $rc = 99 ] || { [ $rc -ge 124 ] && [ $rc != 255 ]; }; then
        echo "FAULT at allocation $2 in $1: exit $rc"
        cat "$log"
        bad=1
        return 1
    fi
    [ $rc != 77 ] || return 77
}
gcd() { local a=$1 b=$2 c; while [ "$b" != 0 ]; do c=$((a % b)) a=$b b=$c; done; echo "$a"; }
for t in "$@"; do
    end=$((SECONDS + limit)) runs=0 top=1
    while once "$t" $top; rc=$?; runs=$((runs + 1)); [ $rc = 0 ] && [ $SECONDS -lt $end ]; do
        top=$((top * 2))
    done
    [ $rc = 1 ] && continue
    stride=$((top * 618 / 1000 + 1))
    while [ "$(gcd $stride $top)" != 1 ]; do stride=$((stride + 1)); done
    n=0 left=$top reached=$top
    while [ $rc != 1 ] && [ $left -gt 1 ] && [ $SECONDS -lt $end ]; do
        n=$(((n + stride) % top)) left=$((left - 1))
        [ $n -lt $reached ] && [ $((n & (n - 1))) != 0 ] || continue
        once "$t" $n
        rc=$?
        runs=$((runs + 1))
        [ $rc = 77 ] && reached=$n
    done
    [ $rc = 1 ] && continue
    echo "$t: $runs runs of about $reached allocations$([ $left -gt 1 ] && echo ", stopped after $limit s")"
done
exit $bad
