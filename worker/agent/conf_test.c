#include "worker/agent/conf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "tests/tap.h"

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define HEAD "name: w1\nmaster:\n  address: \"tcp://ci.example.org:9989\"\n  key: \"" KEY "\"\n"

/* Parses text; the errors' text goes into out. */
static int parse(const char *text, worker_conf *c, char *out, size_t cap)
{
    yaml_errors errors = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    int rc = worker_conf_parse("/etc/pawl/worker.yaml", text, strlen(text), c, &errors);
    (void)yaml_errors_text(&errors, &b);
    (void)snprintf(out, cap, "%s", pw_buf_str(&b));
    yaml_errors_clear(&errors);
    return rc;
}

static void good(void)
{
    char out[4000];
    worker_conf c = {0};
    ok(parse(HEAD, &c, out, sizeof(out)) == 0, "the least: %s", out);
    if (c.name) {
        ok(!strcmp(c.name, "w1") && !strcmp(c.address, "tcp://ci.example.org:9989"),
           "name and address");
        ok(!strcmp(c.spool, "/var/lib/pawl/worker") &&
               !strcmp(c.key, "/var/lib/pawl/worker/worker.key"),
           "default paths");
        ok(c.slots == 1 && c.tags.n == 0 && c.isolation.n == 1 && !strcmp(c.isolation.v[0], "none"),
           "defaults");
        ok(c.spool_limit == 20ULL << 30 && c.low_disk == 2ULL << 30 && !c.untrusted && !c.ssh_key,
           "more defaults");
    }
    worker_conf_clear(&c);
    int rc = parse(
        HEAD "key: my.key\nspool: /s\nslots: 256\ntags: [linux, gpu]\nisolation: [none, bwrap]\n"
             "env_pass: [CCACHE_DIR]\nspool_limit: 1G\nlow_disk: 512M\nuntrusted: true\n"
             "git: {ssh_key: id, known_hosts: hosts}\nhigh_load: 16\ntools: {gcc: gcc  --version , "
             "x: [a, 'b c']}\n",
        &c, out, sizeof(out));
    ok(rc == 0, "every key: %s", out);
    if (rc == 0) {
        ok(!strcmp(c.key, "/etc/pawl/my.key") && !strcmp(c.ssh_key, "/etc/pawl/id") &&
               !strcmp(c.known_hosts, "/etc/pawl/hosts"),
           "relative to the file");
        ok(c.slots == 256 && c.tags.n == 2 && !strcmp(c.tags.v[1], "gpu") && c.untrusted, "values");
        ok(c.high_load == 16 && c.n_tools == 2 && !strcmp(c.tools[0].name, "gcc") &&
               c.tools[0].argv.n == 2 && !strcmp(c.tools[0].argv.v[1], "--version") &&
               c.tools[1].argv.n == 2 && !strcmp(c.tools[1].argv.v[1], "b c"),
           "tools, as words or as a list");
        ok(c.spool_limit == 1ULL << 30 && c.low_disk == 512ULL << 20 && c.env_pass.n == 1, "sizes");
    }
    worker_conf_clear(&c);
}

static const struct {
    const char *text, *want; /* what the errors must say */
} wrong[] = {
    {"name: w\n", ":1:1: required key \"master\""},
    {"master: {address: \"tcp://a:1\", key: \"" KEY "\"}\n", "\"name\" is missing"},
    {HEAD "slots: 0\n", ":5:8: \"slots\" must be a number from 1 to 256"},
    {HEAD "slots: 257\n", ":5:8: \"slots\""},
    {HEAD "slot: 2\n", ":5:1: unknown key \"slot\"; did you mean \"slots\"?"},
    {HEAD "tags: [ok, 'not ok']\n", ":5:12: \"not ok\" in \"tags\""},
    {HEAD "isolation: [none, jail]\n", ":5:19: \"jail\" in \"isolation\" is not one of"},
    {HEAD "env_pass: [A=B]\n", ":5:12: \"A=B\" in \"env_pass\""},
    {HEAD "low_disk: much\n", ":5:11: \"low_disk\" must be a size"},
    {HEAD "untrusted: maybe\n", ":5:12: \"untrusted\" must be true or false"},
    {HEAD "cgroup: maybe\n", ":5:9: "},
    {HEAD "job_memory: 16777215\n", ":5:13: \"job_memory\" must be 0 (no limit) or at least 16M"},
    {HEAD "job_processes: 15\n", ":5:16: \"job_processes\" must be 0 (no limit) or at least 16"},
    {HEAD "job_processes: 4194305\n", ":5:16: \"job_processes\""},
    {HEAD "high_load: -1\n", ":5:12: \"high_load\" must be a number from 0 to 100000"},
    {HEAD "tools: gcc\n", ":5:8: \"tools\" must be a mapping"},
    {HEAD "tools: {G++: g++}\n", ":5:9: \"G++\" is no name of a tool"},
    {HEAD "tools: {gcc: ' '}\n", ":5:14: the command of tool \"gcc\" is empty"},
    {HEAD "tools: {gcc: [{}]}\n", ":5:15: "},
    {HEAD "git: {sshkey: x}\n", "did you mean \"ssh_key\"?"},
    {HEAD "git: {ssh_key: \"a'b\"}\n", "ssh cannot be given a path"},
    {HEAD "git: {known_hosts: a%b}\n", "ssh cannot be given a path"},
    {HEAD "spool: [a]\n", ":5:8: \"spool\" must be a text"},
    {"name: \"a\\u0001b\"\nmaster: {address: \"tcp://a:1\", key: \"" KEY "\"}\n",
     ":1:7: \"name\" holds a control"},
    {"name: w\nmaster: {address: \"http://a:1\", key: \"" KEY "\"}\n",
     ":2:19: \"address\" must be like"},
    {"name: w\nmaster: {address: \"tcp://a\", key: \"" KEY "\"}\n",
     ":2:19: \"address\" must be like"},
    {"name: w\nmaster: {address: \"tcp://a:65536\", key: \"" KEY "\"}\n",
     "\"address\" must be like"},
    {"name: w\nmaster: {address: \"tcp://a:*\", key: \"" KEY "\"}\n", "\"address\" must be like"},
    {"name: w\nmaster: {address: \"tcp://a:1\", key: short}\n",
     ":2:37: \"key\" must be the 40 characters"},
    {"name: w\nmaster: tcp://a:1\n", ":2:9: \"master\" must be a mapping"},
    {"- a\n", "worker.yaml must be a mapping"},
    {"", "worker.yaml must be a mapping"},
    {"name: [\n", "/etc/pawl/worker.yaml:"},
};

static void mistakes(void)
{
    char out[4000];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        worker_conf c = {0};
        int rc = parse(wrong[i].text, &c, out, sizeof(out));
        ok(rc == PW_EINVAL && strstr(out, wrong[i].want) && !c.name, "mistake %zu: %s", i,
           wrong[i].want);
        if (!strstr(out, wrong[i].want))
            printf("# %s\n", out);
        worker_conf_clear(&c);
    }
    worker_conf c = {0};
    ok(parse(HEAD "slots: 0\nlow_disk: x\nfoo: 1\n", &c, out, sizeof(out)) == PW_EINVAL &&
           strstr(out, "slots") && strstr(out, "low_disk") && strstr(out, "foo"),
       "all mistakes at once");
    worker_conf_clear(&c);
}

static void limits(void)
{
    char out[4000];
    worker_conf c = {0};
    ok(parse(HEAD, &c, out, sizeof(out)) == 0 && c.cgroup == CGROUP_AUTO && !c.limits.memory &&
           c.limits.processes == CONF_PROCESSES && c.limits.by_default,
       "limits by default");
    worker_conf_clear(&c);
    ok(parse(HEAD "cgroup: require\njob_memory: 16M\njob_processes: 16\n", &c, out, sizeof(out)) ==
               0 &&
           c.cgroup == CGROUP_REQUIRE && c.limits.memory == CONF_MEMORY_MIN &&
           c.limits.processes == CONF_PROCESSES_MIN && !c.limits.by_default,
       "the least that there is");
    worker_conf_clear(&c);
    ok(parse(HEAD "cgroup: off\njob_memory: 0\njob_processes: 0\n", &c, out, sizeof(out)) == 0 &&
           c.cgroup == CGROUP_OFF && !c.limits.memory && !c.limits.processes,
       "none");
    worker_conf_clear(&c);
}

static void written(void)
{
    char out[4000], tag0[] = "linux", tag1[] = "a\"b", name[] = "w \"1\"", addr[] = "tcp://[::1]:9",
                    key[] = "/k/worker.key", spool[] = "/sp ool";
    char *tags[] = {tag0, tag1};
    worker_conf c = {
        .name = name, .address = addr, .key = key, .spool = spool, .slots = 3, .tags = {tags, 2}};
    worker_conf back = {0};
    memset(c.master_key, 7, sizeof(c.master_key));
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(CONF_FILE_MAX);
    ok(worker_conf_text(&c, &b) == 0, "write");
    ok(parse(pw_buf_str(&b), &back, out, sizeof(out)) == 0, "what join writes can be read: %s",
       out);
    if (back.name)
        ok(!strcmp(back.name, name) && !strcmp(back.address, addr) && !strcmp(back.key, key) &&
               !strcmp(back.spool, spool) && back.slots == 3 && back.tags.n == 2 &&
               !strcmp(back.tags.v[1], tag1) && !memcmp(back.master_key, c.master_key, CRYPT_KEY),
           "with the same values");
    worker_conf_clear(&back);
}

static void keys(const char *dir)
{
    pw_err err = {0};
    uint8_t pub[CRYPT_KEY] = {0}, sec[CRYPT_KEY] = {0}, p[CRYPT_KEY] = {0}, s[CRYPT_KEY] = {0};
    PW_AUTO(pw_freep) char *file = pw_path_join(dir, "worker.key");
    if (!file)
        return;
    ok(worker_key_read(file, pub, sec, &err) == PW_ENOTFOUND, "no key yet");
    ok(worker_key_make(file, pub, sec, &err) == 0, "made");
    ok(worker_key_read(file, p, s, &err) == 0 && !memcmp(p, pub, CRYPT_KEY) &&
           !memcmp(s, sec, CRYPT_KEY),
       "read back");
    struct stat st = {0};
    ok(stat(file, &st) == 0 && (st.st_mode & 0777) == 0600, "only its owner may read it");
    (void)chmod(file, 0640);
    ok(worker_key_read(file, p, s, &err) == PW_EDENIED, "a key that others may read is refused");
    (void)chmod(file, 0600);
    ok(truncate(file, 60) == 0, "a key file is cut");
    ok(worker_key_read(file, p, s, &err) == PW_ECORRUPT, "a cut key file is told");
    char two[2 * CRYPT_Z85 + 1];
    uint8_t other[CRYPT_KEY], unused[CRYPT_KEY];
    char a[CRYPT_Z85], z[CRYPT_Z85];
    crypt_keypair(other, unused);
    crypt_z85(other, a);
    crypt_z85(sec, z);
    (void)snprintf(two, sizeof(two), "%s\n%s\n", a, z);
    if (pw_fs_replace(file, two, strlen(two), 0600, NULL) == 0)
        ok(worker_key_read(file, p, s, &err) == PW_ECORRUPT, "halves of two pairs are told");
}

int main(void)
{
    char dir[] = "/tmp/pawl-conf-XXXXXX";
    if (crypt_init(NULL) < 0 || !mkdtemp(dir)) {
        ok(false, "set up");
        return tap_done();
    }
    good();
    mistakes();
    limits();
    written();
    keys(dir);
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
