#!/bin/sh
# pack.sh FOLDER PACK: all files of the folder as one file: a line "NAME BYTES GZIPPED" for each, an empty line, then each as
# it is and gzipped, in that order. Prints what a browser loads, and fails beyond the budget.
set -eu
LC_ALL=C
export LC_ALL
cd "$1"
out=$OLDPWD/$2
rm -f -- *.gz
: >"$out.part"
scripts=0 first=0 styles=0
for f in *; do
    gzip -9nc "$f" >"$f.gz"
    n=$(wc -c <"$f") z=$(wc -c <"$f.gz")
    echo "$f $n $z" >>"$out.part"
    case $f in
    *.js) scripts=$((scripts + z)) ;;
    *.css) styles=$((styles + z)) ;;
    esac
done
# the first page: the entry and what it imports at once
entry=$(echo main-*.js)
for f in "$entry" $(grep -oE '(from|import) ?"\./chunk-[A-Z0-9]+\.js"' "$entry" | grep -oE 'chunk-[A-Z0-9]+\.js' | sort -u); do
    first=$((first + $(wc -c <"$f.gz")))
done
echo >>"$out.part"
for f in *; do
    case $f in *.gz) continue ;; esac
    cat "$f" "$f.gz" >>"$out.part"
done
echo "web: scripts $scripts bytes gzipped (at most 122880), first page $first (61440), styles $styles (12288)"
[ "$scripts" -le 122880 ] && [ "$first" -le 61440 ] && [ "$styles" -le 12288 ] || { echo "the pages are beyond their budget" >&2; exit 1; }
mv "$out.part" "$out"
