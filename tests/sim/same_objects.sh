#!/bin/bash
# same_objects.sh SIM MAP "WRAPS" "ARCHIVES OF THE PROGRAMS" OBJECT...: fails unless what decides in the simulator SIM is what
# decides in the programs, object for object. MAP: the linker's own list of what it took; WRAPS: the names that sim.mk has the
# linker send elsewhere; OBJECT: what the simulator is made of besides the archives.
set -u
sim=$1 map=$2 wraps=" $3 " programs=" $4 "
shift 4
# what the simulator is about: none of it may come from elsewhere
decides="master_core master_store master_logs master_link master_promote master_server worker_agent worker_spool shared_journal
 shared_base shared_job shared_wire"
members="master_server.a(turn.o) master_server.a(repos.o) master_server.a(state.o) master_server.a(janitor.o)
 master_core.a(core.o) master_link.a(ingest.o) master_store.a(commit.o) master_logs.a(logs.o) master_promote.a(promote.o)
 worker_agent.a(agent.o) worker_agent.a(jobs.o) worker_agent.a(ship.o) worker_spool.a(spool.o) shared_journal.a(journal.o)"
bad=0
say() { echo "same_objects: $*" >&2; bad=1; }
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
defined() { nm --defined-only -g "$@" 2>/dev/null | awk 'NF == 3 && $2 ~ /^[A-TX-Z]$/ { print $3 }' | sort -u; }

# 1. every object in the program comes from an archive that the programs link too, or is one of the simulator's own
sed -n 's/^LOAD //p' "$map" | grep -v '^/' | sort -u >"$tmp/loaded"
[ -s "$tmp/loaded" ] || say "$map names no file: nothing was looked at"
while read -r f; do
    case $f in
    */lib/*.a) ;;
    *.o) [[ " $* " == *" $f "* ]] || say "$f is linked, and is none of the simulator's objects" ;;
    esac
done <"$tmp/loaded"
for d in $decides; do
    a=$(grep "/lib/$d\.a$" "$tmp/loaded")
    [ -n "$a" ] && [[ $programs == *" $a "* ]] || say "$d.a is not the programs' own (\"$a\")"
done
for m in $members; do
    grep -qF "/lib/$m" "$map" || say "$m was not taken from its archive"
done

# 2. no object of the simulator defines what an archive of ours does, but for the wraps that sim.mk lists
defined $(for d in $decides; do grep "/lib/$d\.a$" "$tmp/loaded"; done) >"$tmp/ours"
[ "$(wc -l <"$tmp/ours")" -gt 300 ] || say "the archives define next to nothing: nothing was looked at"
twice() { # objects...
    defined "$@" | comm -12 - "$tmp/ours"
    defined "$@" | sed -n 's/^__wrap_//p' | while read -r w; do [[ $wraps == *" $w "* ]] || echo "__wrap_$w"; done
}
again=$(twice "$@")
[ -z "$again" ] || say "the simulator defines by itself what the programs define:" $again

# 3. each function in the simulator is as long as in the archive, so nothing took its place on another way
nm -S --defined-only "$sim" | awk '$3 ~ /^[TR]$/ { print $4, $2 }' | sort -u >"$tmp/in_sim"
nm -S --defined-only -g $(for d in $decides; do grep "/lib/$d\.a$" "$tmp/loaded"; done) 2>/dev/null |
    awk 'NF == 4 && $3 ~ /^[TR]$/ { print $4, $2 }' | sort -u >"$tmp/in_lib"
join "$tmp/in_sim" "$tmp/in_lib" | awk '$2 != $3 { print $1 }' >"$tmp/differ"
[ "$(join "$tmp/in_sim" "$tmp/in_lib" | wc -l)" -gt 200 ] || say "$sim has next to nothing of the archives"
[ ! -s "$tmp/differ" ] || say "of another size than in its archive:" $(cat "$tmp/differ")

# 4. this check itself: two mistakes that it must see
printf 'int core_commit(void);\nint core_commit(void) { return 0; }\n' | gcc -c -x c -o "$tmp/planted.o" - &&
    twice "$@" "$tmp/planted.o" | grep -qx core_commit || say "a second core_commit would not be seen"
printf 'int __wrap_core_commit(void);\nint __wrap_core_commit(void) { return 0; }\n' | gcc -c -x c -o "$tmp/planted.o" - &&
    twice "$@" "$tmp/planted.o" | grep -qx __wrap_core_commit || say "a wrapped core_commit would not be seen"
exit $bad
