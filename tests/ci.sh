#!/bin/bash
# make ci: every stage runs even when an earlier one failed; the last line counts them all.
make=$1 counts=$2
stage() { # name, command...: a stage without counts of its own is one check
    local name=$1 began=$SECONDS
    shift
    if "$@" >"build/ci-$name.log" 2>&1; then
        echo "$name: passed ($((SECONDS - began)) s)"
        echo "1 0 0" >"$counts/check-$name"
    else
        echo "$name: FAILED ($((SECONDS - began)) s)"
        tail -n 60 "build/ci-$name.log"
        echo "0 1 0" >"$counts/check-$name"
    fi
}
mkdir -p "$counts"
stage deps-check $make deps-check
stage docs-check $make docs-check
stage headers $make -j2 hdr-check
stage banned $make banned
stage cppcheck $make cppcheck
stage build $make -j2 all tests-built
for v in release asan tsan; do
    began=$SECONDS
    case $v in
    release) $make unit && $make web-test && $make system && $make ui-test ;;
    *) $make $v ;;
    esac
    code=$?
    echo "$v: exit $code ($((SECONDS - began)) s)"
    [ $code = 0 ] || echo "0 1 0" >"$counts/check-tests-$v"
done
stage fuzz $make fuzz FUZZ_S=5
grep -h number_of_executed build/ci-fuzz.log
# three minutes of each kind of violence, side by side: simulated histories, deaths at fault points, kills of real processes
stage violence-build $make -j2 build/release/sim
(stage sim build/release/sim --seeds 1000000 --seconds 180 --jobs 1) &
(stage faults env PAWL_BUILD="$PWD/build/release" tests/faults/walk.py --seconds 180 --seed 1) &
(stage chaos tests/chaos/chaos.py --build "$PWD/build/release" --seed 1 --seconds 180) &
wait
tail -qn 4 build/ci-sim.log
tail -qn 1 build/ci-faults.log build/ci-chaos.log
tests/counted "$counts" --sum
