#!/bin/bash
# wraps.sh "WRAPS" LIBRARY...: fails when the libraries' objects call something on files that the linker does not send to the
# virtual disk. Left to the system: readlink (of the running program), getcwd (of a configuration file's relative paths), mmap
# (memory that fault points share with forked processes, no file).
wraps=" $1 "
shift
calls="open creat openat read readv write writev pread preadv preadv2 pwrite pwritev pwritev2 lseek close dup dup2 dup3
 stat lstat fstat fstatat statx access faccessat euidaccess rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat
 remove mkdir mkdirat rmdir opendir fdopendir readdir readdir_r rewinddir seekdir telldir dirfd closedir scandir ftw nftw fts_open
 fsync fdatasync syncfs sync sync_file_range truncate ftruncate fallocate posix_fallocate posix_fadvise flock lockf fcntl
 statfs fstatfs statvfs fstatvfs mkfifo mkfifoat mknod mknodat mkstemp mkostemp mkstemps mkostemps mkdtemp tmpfile chmod fchmod
 fchmodat chown fchown lchown fchownat utime utimes utimensat futimens realpath canonicalize_file_name readlinkat chdir fchdir
 fopen freopen fdopen fgets fgetc getline fread sendfile copy_file_range splice glob syscall
 __open_2 __openat_2 __read_chk __pread_chk __realpath_chk __readlinkat_chk __fgets_chk __fread_chk"
used=" $(nm -u "$@" | awk '$1 == "U" { sub(/@.*/, "", $2); sub(/64$/, "", $2); print $2 }' | sort -u | tr '\n' ' ')"
bad=
for c in $calls; do
    [[ $used == *" $c "* && $wraps != *" $c "* ]] && bad+=" $c"
done
[ -z "$bad" ] || { echo "calls on files that SIM_WRAPS does not name:$bad" >&2; exit 1; }
[[ $used == *" open "* ]] || { echo "no object opens a file: nothing was looked at" >&2; exit 1; }
