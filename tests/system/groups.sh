#!/bin/bash
# groups.sh COUNTS NAME BUILD FILE...: runs the files of tests in three groups side by side, since most of their time is waiting
# for processes, and keeps the counts of each. The longest files stand first, so that no group gets two of them.
counts=$1 name=$2 build=$3
shift 3
first="dead_links exhaustion fault_points hygiene outbox demo backup chaos kill reload"
files=()
for f in $first; do
    for g in "$@"; do [[ $g == */test_$f.py ]] && files+=("$g"); done
done
for g in "$@"; do [[ " ${files[*]} " == *" $g "* ]] || files+=("$g"); done
code=0
pids=()
for i in 0 1 2; do
    group=()
    for ((k = i; k < ${#files[@]}; k += 3)); do group+=("${files[k]}"); done
    [ ${#group[@]} = 0 ] && continue
    tests/counted "$counts" "$name-$i" env PAWL_BUILD="$build" ${PYTEST:-/usr/bin/python3 -m pytest} -q -p no:cacheprovider "${group[@]}" &
    pids+=($!)
done
for p in "${pids[@]}"; do wait "$p" || code=1; done
exit $code
