#!/bin/bash
# groups.sh COUNTS NAME BUILD FILE...: runs the files of tests, three side by side, since most of their time is waiting for
# processes, and keeps the counts of each. The longest stand first, so that none of them is left for the end.
export counts=$1 name=$2 build=$3 PYTEST=${PYTEST:-/usr/bin/python3 -m pytest}
shift 3
first="dead_links try notices demo exhaustion fault_points source_master artifacts hygiene outbox checkout trigger fetch backup chaos kill reload checker"
files=()
for f in $first; do
    for g in "$@"; do [[ $g == */test_$f.py ]] && files+=("$g"); done
done
for g in "$@"; do [[ " ${files[*]} " == *" $g "* ]] || files+=("$g"); done
# shellcheck disable=SC2016
printf '%s\n' "${files[@]}" | xargs -P 3 -n 1 bash -c 'tests/counted "$counts" "$name-$(basename "$0" .py)" env PAWL_BUILD="$build" $PYTEST -q -p no:cacheprovider "$0"'
