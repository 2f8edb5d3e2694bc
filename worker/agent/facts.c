/* facts.c - what the machine is, for hello. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/wire/msg.h"
#include "worker/agent/conf.h"
#include "worker/agent/home.h"
#include "worker/agent/tools.h"

enum { OS_RELEASE_MAX = 64 * 1024, VALUE_BYTES = 200 };

/* KEY=value or KEY="value" of /etc/os-release. */
static void os_value(const char *text, const char *key, char *out, size_t cap)
{
    size_t n = strlen(key);
    out[0] = '\0';
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, key, n) != 0 || line[n] != '=')
            continue;
        const char *v = line + n + 1;
        char quote = *v == '"' || *v == '\'' ? *v++ : '\n';
        size_t len = 0;
        while (v[len] && v[len] != quote && v[len] != '\n')
            len++;
        (void)snprintf(out, cap, "%.*s", (int)(len < cap ? len : cap - 1), v);
        return;
    }
}

static void os_name(char out[VALUE_BYTES])
{
    char id[64] = "", version[64] = "";
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(OS_RELEASE_MAX);
    if (pw_fs_read("/etc/os-release", OS_RELEASE_MAX, &b, NULL) == 0) {
        os_value(pw_buf_str(&b), "ID", id, sizeof(id));
        os_value(pw_buf_str(&b), "VERSION_ID", version, sizeof(version));
    }
    (void)snprintf(out, VALUE_BYTES, "%s%s%s", id[0] ? id : "linux", version[0] ? "-" : "",
                   version);
}

int facts_add(pw_list *facts, const char *name, const char *value, pw_err *err)
{
    bool failed = false;
    msg_pair *v = realloc(facts->v, (facts->n + 1) * sizeof(msg_pair));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    facts->v = v;
    msg_pair p = {pw_strdup(name, &failed), pw_strdup(value, &failed)};
    if (failed) {
        free(p.name);
        free(p.value);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    v[facts->n++] = p;
    return 0;
}

void facts_clear(pw_list *facts)
{
    msg_pair *v = facts->v;
    for (size_t i = 0; i < facts->n; i++) {
        free(v[i].name);
        free(v[i].value);
    }
    free(v);
    *facts = (pw_list){NULL, 0};
}

int facts_read(pw_list *ret, pw_err *err)
{
    pw_list f = {NULL, 0};
    struct utsname u;
    struct sysinfo si;
    char os[VALUE_BYTES], cpus[32], memory[32] = "0";
    memset(&u, 0, sizeof(u));
    (void)uname(&u);
    os_name(os);
    (void)snprintf(cpus, sizeof(cpus), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    if (sysinfo(&si) == 0)
        (void)snprintf(memory, sizeof(memory), "%" PRIu64, (uint64_t)si.totalram * si.mem_unit);
    const char *const pairs[][2] = {
        {"os", os},         {"arch", u.machine},      {"cpus", cpus},
        {"memory", memory}, {"hostname", u.nodename}, {"kernel", u.release}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(pairs) / sizeof(pairs[0]); i++)
        rc = facts_add(&f, pairs[i][0], pairs[i][1], err);
    if (rc < 0) {
        facts_clear(&f);
        return rc;
    }
    *ret = f;
    return 0;
}

int facts_all(const worker_conf *conf, const char *cgroup, pw_list *ret, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    pw_list f = {NULL, 0};
    int rc = facts_read(&f, err);
    for (size_t i = 0; rc == 0 && i < conf->isolation.n; i++)
        rc = pw_buf_addf(&b, "%s%s", i ? "," : "", conf->isolation.v[i]);
    if (rc == 0)
        rc = facts_add(&f, "isolation", pw_buf_str(&b), err);
    if (rc == 0 && cgroup)
        rc = facts_add(&f, "cgroup", cgroup, err);
    if (rc == 0)
        rc = facts_add(&f, "untrusted", conf->untrusted ? "true" : "false", err);
    if (rc == 0)
        rc = tools_read(conf, &f, err);
    if (rc < 0) {
        facts_clear(&f);
        return rc;
    }
    *ret = f;
    return 0;
}
