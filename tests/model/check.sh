#!/bin/sh
# Runs every claim and every planted mistake; a line each: what, expected, found, states, seconds. Exit 1 on a surprise.
# Needs spin and gcc (apt-get install spin gcc). About 3 minutes on one core, 1.5 GB.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
bad=0
# one EXPECT(ok|error) NAME MODEL "spin -D" CLAIM("" = assertions only) ["gcc -D" "pan options"]
one() {
    expect=$1 name=$2 model=$3 defs=$4 claim=$5 more=${6:-} opts=${7:-}
    cd "$tmp" && rm -rf ./*
    # shellcheck disable=SC2086
    spin $defs -a "$here/$model.pml" >spin.out 2>&1 || { cat spin.out; exit 2; }
    case $claim in
    "") cc="-DSAFETY -DNOCLAIM" run="" ;;
    true_rows | acked_is_safe | result_is_whole) cc="" run="-a -N $claim" ;;
    *) cc="-DNFAIR=8" run="-a -f -N $claim" ;;
    esac
    # shellcheck disable=SC2086
    gcc -O2 -w -DMEMLIM=4000 -DCOLLAPSE $cc $more -o pan pan.c || exit 2
    t0=$(date +%s)
    # shellcheck disable=SC2086
    nice -n 19 timeout 3600 ./pan -m400000 $run $opts >pan.out 2>&1
    t1=$(date +%s)
    found=unfinished
    grep -q 'errors: 0' pan.out && found=ok
    grep -Eq 'out of memory|max search depth too small|Search not completed' pan.out && found=unfinished
    grep -q '^pan:1:' pan.out && found=error
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out)
    why=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' pan.out)
    [ "$found" = "$expect" ] && mark=" " || { mark="!"; bad=1; }
    printf '%s %-34s %-6s %-10s %10s %4ss  %s\n' "$mark" "$name" "$expect" "$found" "$states" "$((t1 - t0))" "$why"
}
one ok    "job: 2 workers, 1 fault"        job "-DFAULTS=1" ""
one ok    "job: 2 workers, 2 faults"       job "-DFAULTS=2" ""
one ok    "job: 1 worker, 3 faults"        job "-DFAULTS=3 -DNW=1" ""
one ok    "job: 1 worker, 3 attempts"      job "-DFAULTS=3 -DNW=1 -DNA=3" ""
one ok    "job: with a cancel"             job "-DFAULTS=1 -DCANCEL_TOO" ""
one ok    "job: with a restore"            job "-DFAULTS=2 -DNW=1 -DRESTORES=1" ""
one ok    "job: every request ends"        job "-DFAULTS=1" ends
one ok    "job: ends, 2 faults, 1 worker"  job "-DFAULTS=2 -DNW=1" ends
one ok    "job: every spool empties"       job "-DFAULTS=1" tidy
one ok    "job: tidy after a cancel"       job "-DFAULTS=1 -DNW=1 -DCANCEL_TOO" tidy
one ok    "job: ends after a restore"      job "-DFAULTS=1 -DNW=1 -DRESTORES=1" ends
one ok    "job: tidy after a restore"      job "-DFAULTS=1 -DNW=1 -DRESTORES=1" tidy
for b in ACK_BEFORE_COMMIT FORGET_BEFORE_COMMIT NO_OFFSET NO_FENCE NO_SESSION LOCK_ONLY; do
    one error "job: BUG_$b" job "-DFAULTS=2 -DBUG_$b" ""
done
one error "job: BUG_REOFFER_STARTED"       job "-DFAULTS=2 -DNW=1 -DBUG_REOFFER_STARTED -DBUG_NO_CHAIN" ""
one error "job: BUG_NO_REOFFER"            job "-DFAULTS=1 -DBUG_NO_REOFFER" ends
one error "job: BUG_NO_CHAIN"              job "-DFAULTS=2 -DNW=1 -DBUG_NO_CHAIN" ""
one error "job: BUG_NO_EPOCH"              job "-DFAULTS=0 -DNW=1 -DRESTORES=1 -DBUG_NO_EPOCH" ""
one error "job: BUG_REOFFER_RESTORED"      job "-DFAULTS=0 -DNW=1 -DRESTORES=1 -DBUG_REOFFER_RESTORED" ""
one ok    "push: assertions"               push "-DEXT=2" ""
one ok    "push: with kill switch"         push "-DEXT=2 -DSWITCH" ""
one ok    "push: rewind, marker refs"      push "-DEXT=2 -DREWIND=1 -DMARKER -DSWITCH" ""
one ok    "push: rows are true"            push "-DEXT=2 -DSWITCH" true_rows
one ok    "push: effects get their row"    push "-DEXT=2 -DSWITCH" settled
one ok    "push: rows, rewind, marker refs" push "-DREWIND=1 -DMARKER -DSWITCH" settled
one ok    "push: newest green arrives"     push "-DEXT=2" arrives
one error "push: rewind, no marker refs"   push "-DREWIND=1" ""
one error "push: BUG_NO_LEASE"             push "-DBUG_NO_LEASE" ""
one error "push: BUG_PUSH_BRANCH_NAME"     push "-DBUG_PUSH_BRANCH_NAME" ""
one error "push: BUG_RECORD_BEFORE_PUSH"   push "-DBUG_RECORD_BEFORE_PUSH" true_rows
one error "push: BUG_PUSH_BEFORE_INTENT"   push "-DBUG_PUSH_BEFORE_INTENT" settled
one error "push: BUG_DROP_INTENT"          push "-DBUG_DROP_INTENT" settled
one error "push: BUG_ABANDON_FORGETS"      push "-DSWITCH -DBUG_ABANDON_FORGETS" settled
one error "push: BUG_REPUSH"               push "-DREWIND=1 -DMARKER -DBUG_REPUSH" ""
one ok    "store: acknowledged is on disk" store "" acked_is_safe
one ok    "store: a result has its log"    store "" result_is_whole
one ok    "store: the end is reached"      store "" arrives
for b in COMMIT_FIRST ACK_APPLIED TRUST_EOF; do
    one error "store: BUG_$b" store "-DBUG_$b" acked_is_safe
done
one error "store: BUG_END_EARLY"           store "-DBUG_END_EARLY" result_is_whole
exit $bad
