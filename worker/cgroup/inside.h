/* inside.h - one folder of a hierarchy, for the files of this folder. */
#ifndef PW_WORKER_CGROUP_INSIDE_H
#define PW_WORKER_CGROUP_INSIDE_H
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "worker/cgroup/cgroup.h"

/* DIR/FILE, owned; NULL when memory ran out. */
char *group_path(const char *dir, const char *file);
bool group_has(const char *dir, const char *file);
/* 0, or -1 with errno. */
int group_write(const char *dir, const char *file, const char *text);
/* By whatever means the folder offers. */
void group_kill(const char *dir);
bool group_empty(const char *dir);
#endif
