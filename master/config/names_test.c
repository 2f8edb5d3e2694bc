/* Mistakes, each with the place and the text that a person would see. */
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "tests/tap.h"

#define P "projects: [{name: p, repository: /r}]\n"
#define B "builders: [{name: b, project: p, steps: [{run: x}]}]\n"
#define BUILDER(more) P "builders: [{name: b, project: p, steps: [{run: x}], " more "}]\n"
#define STEP(more) P "builders: [{name: b, project: p, steps: [{" more "}]}]\n"
#define SCHED(more) P B "schedulers: [{name: s, project: p, " more "}]\n"
#define PARAM(more) SCHED("kind: force, parameters: [{" more "}]")
#define PROMO(more) P B "promotions: [{name: e, project: p, " more "}]\n"

static const struct mistake {
    const char *text;
    unsigned line, column;
    const char *want;
} mistakes[] = {
    /* the file */
    {"", 1, 1, "the file must be a mapping, not nothing"},
    {"- a\n", 1, 1, "the file must be a mapping, not a list"},
    {"projects: {p: 1}\n", 1, 11, "\"projects\" must be a list"},
    {"projects: [a]\n", 1, 12, "a project must be a mapping, not a text"},
    {"web: {listn: x}\n", 1, 7, "unknown key \"listn\"; did you mean \"listen\"?"},
    {"schedulrs: []\n", 1, 1, "unknown key \"schedulrs\"; did you mean \"schedulers\"?"},
    {"zzzzzz: []\n", 1, 1, "unknown key \"zzzzzz\"; the file takes name, user, web"},
    {"name: a\nname: b\n", 2, 1, "key \"name\" is given twice, first in line 1"},
    {"name: [a]\n", 1, 7, "\"name\" must be a text"},
    {"web:\n  listen: [\n", 3, 1, "not YAML: "},
    {"gates: []\n", 1, 1, "\"gates\" is not supported by this version"},
    {"duty: {people: [a]}\n", 1, 1, "\"duty\" is not supported by this version"},
    {"triage: {}\n", 1, 1, "\"triage\" is not supported by this version"},
    /* people */
    {"people: {ada: [admin]}\n", 1, 9, "\"people\" must be a list"},
    {"people: [ada]\n", 1, 10, "a person must be a mapping, not a text"},
    {"people: [{name: ada}]\n", 1, 10, "required key \"roles\" is missing"},
    {"people: [{roles: [admin]}]\n", 1, 10, "required key \"name\" is missing"},
    {"people: [{name: a b, roles: [admin]}]\n", 1, 17, "\"a b\" is no name: letters"},
    {"people: [{name: ada, roles: []}]\n", 1, 29, "\"roles\" must name at least one"},
    {"people: [{name: ada, roles: [boss]}]\n", 1, 30,
     "\"boss\" is no role: it must be one of reader, developer, operator, admin"},
    {"people: [{name: ada, roles: [admin], login: {}}]\n", 1, 38,
     "unknown key \"login\"; did you mean \"logins\"?"},
    {"people:\n  - {name: a, roles: reader}\n  - {name: a, roles: reader}\n", 3, 12,
     "person \"a\" exists already, in f.yaml:2"},
    {"people: [{name: a, roles: reader, logins: [x]}]\n", 1, 43,
     "\"logins\" must be a mapping like {github: ada}"},
    {"people: [{name: a, roles: reader, logins: {GitHub: x}}]\n", 1, 44,
     "\"GitHub\" is no name of a forge"},
    {"people: [{name: a, roles: reader, logins: {github: \"\"}}]\n", 1, 52,
     "\"github\" must be a login of 1 to 200 bytes"},
    {"people:\n  - {name: a, roles: reader, logins: {github: x}}\n"
     "  - {name: b, roles: reader, logins: {github: x}}\n",
     3, 47, "\"x\" is the login of \"a\" already"},
    {"user: \"a b\"\n", 1, 7, "\"user\" must be the name of a user of this machine"},
    {"user: [a]\n", 1, 7, "\"user\" must be the name of a user of this machine"},
    {"locks: [{name: a}, {name: a}]\n", 1, 27, "lock \"a\" exists already"},
    {"locks: [{name: a, per: wrker}]\n", 1, 24, "did you mean \"worker\"?"},
    {"locks: [{name: a, count: 0}]\n", 1, 26, "\"count\" must be a number from 1 to 100000"},
    {"include: [x.yaml]\n", 1, 11, "\"x.yaml\" cannot be included here"},
    {"include: [/etc/passwd]\n", 1, 11, "\"/etc/passwd\" cannot be included here"},
    {"include: {a: b}\n", 1, 10, "\"include\" must be a list of paths"},
    /* web and workers */
    {"web: {listen: 8010}\n", 1, 15, "\"listen\" must be HOST:PORT, not \"8010\""},
    {"web: {listen: \"127.0.0.1:65536\"}\n", 1, 15, "must be HOST:PORT"},
    {"web: {listen: \"127.0.0.300:80\"}\n", 1, 15, "must be HOST:PORT"},
    {"web: {listen: \"::1:80\"}\n", 1, 15, "must be HOST:PORT"},
    {"web: {listen: \"*:80\"}\n", 1, 15, "\"*:80\" is reachable by others"},
    {"web: {listen: \"ci.example.org:80\", insecure: false}\n", 1, 15, "say \"insecure: true\""},
    {"web: {listen: \"[::]:80\"}\n", 1, 15, "is reachable by others"},
    {"web: {url: ci.example.org}\n", 1, 12, "\"url\" must be like https://"},
    {"web: {read: all}\n", 1, 13, "\"read\" must be one of open, token, not \"all\""},
    {"workers: {listen: \"*:9989\"}\n", 1, 19, "\"listen\" must be tcp://HOST:PORT"},
    {"workers: {address: \"tcp://*:9989\"}\n", 1, 20,
     "\"address\" must be tcp://HOST:PORT as workers reach it"},
    {"workers: {address: \"tcp://a:0\"}\n", 1, 20, "\"address\" must be"},
    {"workers: {lost_after: 999ms}\n", 1, 23, "\"lost_after\" must be at least 1s"},
    /* projects */
    {"projects: [{name: p}]\n", 1, 12, "required key \"repository\" is missing"},
    {"projects: [{repository: /r}]\n", 1, 12, "required key \"name\" is missing"},
    {"projects: [{name: , repository: /r}]\n", 1, 19, "\"name\" must not be empty"},
    {"projects: [{name: a b, repository: /r}]\n", 1, 19, "\"a b\" is no name: letters"},
    {"projects: [{name: .a, repository: /r}]\n", 1, 19, "\".a\" is no name"},
    {"projects:\n  - {name: p, repository: /r}\n  - {name: p, repository: /s}\n", 3, 12,
     "project \"p\" exists already, in f.yaml:2"},
    {"projects: [{name: p, repository: /r, poll: 999ms}]\n", 1, 44, "\"poll\" must be at least 1s"},
    {"projects: [{name: p, repository: /r, poll: 60}]\n", 1, 44,
     "\"poll\" must be a duration like"},
    {"projects: [{name: p, repository: /r, poll: 366d}]\n", 1, 44, "\"poll\" must be at most 365d"},
    {"projects: [{name: p, repository: /r, branches: [a, /(/]}]\n", 1, 52, "\"branches\": "},
    {"projects: [{name: p, repository: /r, branches: []}]\n", 1, 48,
     "\"branches\" must name at least one"},
    {"projects: [{name: p, repository: /r, pipeline: ../x}]\n", 1, 48,
     "\"pipeline\" is the path of a file"},
    {"projects: [{name: p, repository: /r, pipeline: x}]\nbuilders: [{name: a, project: p, steps: "
     "[{run: x}]}]\n",
     2, 31, "it has one or the other"},
    {"projects: [{name: p, repository: /r, credentials: {ssh_key: k}}]\n", 1, 61,
     "no secret \"k\""},
    {"projects: [{name: p, repository: /r, retention: {artifact: 1d}}]\n", 1, 50,
     "did you mean \"artifacts\"?"},
    {"projects: [{name: p, repository: /r, source: worker}]\n", 1, 46, "\"worker\""},
    {"projects: [{name: p, repository: \"ext::sh -c id\"}]\n", 1, 34, "names a helper program"},
    {"projects: [{name: p, repository: --upload-pack=x}]\n", 1, 34,
     "\"repository\" is no repository"},
    {"projects: [{name: p, repository: \"ftp://a/b\"}]\n", 1, 34, "no scheme that is known"},
    {"projects: [{name: p, repository: \"https://u:pw@a/b\"}]\n", 1, 34, "has a password in it"},
    {"projects: [{name: p, repository: \"https://ghp_01234567890abcde@a/b\"}]\n", 1, 34,
     "has what looks like a token in it"},
    {"projects: [{name: p, repository: \"https://a\"}]\n", 1, 34, "\"repository\" is not complete"},
    {"projects: [{name: p, repository: \"https://${secret:x}/b\"}]\n", 1, 34,
     "a secret may stand in \"env\" of builders and steps, and in \"url\", \"password\""},
    /* builders */
    {P "builders: [{name: b, project: q, steps: [{run: x}]}]\n", 2, 31, "no project \"q\""},
    {"projects: [{name: launchpad, repository: /r}]\nbuilders: [{name: b, project: lanchpad, "
     "steps: [{run: x}]}]\n",
     2, 31, "no project \"lanchpad\"; did you mean \"launchpad\"?"},
    {P "builders: [{name: b, steps: [{run: x}]}]\n", 2, 12, "required key \"project\" is missing"},
    {P "builders: [{name: b, project: p}]\n", 2, 12, "required key \"steps\" is missing"},
    {P "builders: [{name: b, project: p, steps: []}]\n", 2, 41,
     "\"steps\" must be a list of at least one step"},
    {P "builders:\n  - {name: b, project: p, steps: [{run: x}]}\n  - {name: b, project: p, steps: "
       "[{run: x}]}\n",
     4, 12, "builder \"b\" exists already, in f.yaml:3"},
    {BUILDER("timout: 1h"), 2, 53, "unknown key \"timout\"; did you mean \"timeout\"?"},
    {BUILDER("timeout: 0s"), 2, 62, "\"timeout\" must be at least 1ms"},
    {BUILDER("retries: 101"), 2, 62, "\"retries\" must be a number from 0 to 100, not \"101\""},
    {BUILDER("retries: -1"), 2, 62, "\"retries\" must be a number"},
    {BUILDER("collapse: 2"), 2, 63, "\"collapse\" must be true or false"},
    {BUILDER("locks: [{name: db}]"), 2, 68, "no lock \"db\" in \"locks\""},
    {BUILDER("locks: db"), 2, 60, "\"locks\" is a list like"},
    {BUILDER("locks: [{name: db, mod: counting}]"), 2, 72, "did you mean \"mode\"?"},
    {"locks: [{name: database}]\n" BUILDER("locks: [{name: databse, mode: counting}]"), 3, 68,
     "no lock \"databse\" in \"locks\"; did you mean \"database\"?"},
    {"locks: [{name: db}]\n" BUILDER("locks: [{name: db, mode: counted}]"), 3, 78,
     "must be one of exclusive, counting, not \"counted\""},
    {BUILDER("needs: [c]"), 2, 61, "\"needs\": no builder \"c\""},
    {BUILDER("matrix: {a: []}"), 2, 65, "axis \"a\" needs at least one value"},
    {BUILDER("shards: 0"), 2, 61, "\"shards\" must be a number from 1 to 256, not \"0\""},
    {BUILDER("isolation: \"podman:-v\""), 2, 64, "\"podman:-v\" names no image"},
    {BUILDER("isolation: \"podman:\""), 2, 64, "names no image"},
    {BUILDER("isolation: podman"), 2, 64, "\"isolation\" must be"},
    {BUILDER("network: false"), 2, 62, "\"network: false\" needs \"isolation: bwrap\""},
    {BUILDER("isolation: user, network: false"), 2, 79, "needs \"isolation: bwrap\""},
    {BUILDER("isolation: nne"), 2, 64, "did you mean \"none\"?"},
    {BUILDER("requires: {memory: \">=\"}"), 2, 72,
     "\"memory\" of \"requires\" must be a text like"},
    {BUILDER("requires: {memory: [a, [b]]}"), 2, 76, "must list texts"},
    {BUILDER("requires: {mem ory: a}"), 2, 64, "\"mem ory\" is no name of a fact"},
    {BUILDER("requires: {and: a}"), 2, 64, "\"and\" is no name of a fact"},
    {BUILDER("requires: \"memory > 2X\""), 2, 73, "character 10: this is no number"},
    {BUILDER("requires: memory = 2"), 2, 70, "character 8: \"=\" is no comparison"},
    {BUILDER("requires: [a]"), 2, 63, "\"requires\" is a mapping like"},
    {BUILDER("requires: {tags: [a, b c]}"), 2, 74, "\"b c\" is no tag"},
    {BUILDER("env: {1A: x}"), 2, 59, "\"1A\" is no name of an environment variable"},
    {BUILDER("env: {PAWL_X: x}"), 2, 59, "\"PAWL_X\" is set by Pawl"},
    {BUILDER("env: {A: [x]}"), 2, 62, "\"A\" must be a text"},
    {BUILDER("env: {A: \"${secret:x}\"}"), 2, 62, "no secret \"x\" in \"secrets\""},
    {BUILDER("env: [A]"), 2, 58, "\"env\" must be a mapping of names to texts"},
    {BUILDER("properties: {Upper: x}"), 2, 66, "\"Upper\" is no name of a property"},
    {BUILDER("properties: {branch: x}"), 2, 66, "property \"branch\" is set by Pawl"},
    /* steps */
    {STEP("name: a"), 2, 42, "a step needs \"run\", \"checkout\", "},
    {STEP("run: a, checkout: {}"), 2, 43, "a step has one of \"run\", \"checkout\", "},
    {STEP("run: {a: b}"), 2, 48, "\"run\" must be a script, or a list"},
    {STEP("run: \" \""), 2, 48, "\"run\" must be a script"},
    {STEP("run: []"), 2, 48, "\"run\" as a list must begin with a program"},
    {STEP("run: [a, [b]]"), 2, 52, "an item of \"run\" must be a text, not a list"},
    {STEP("run: \"echo ${secret:x}\""), 2, 48, "a secret must not stand in \"run\""},
    {STEP("run: [echo, \"${secret:x}\"]"), 2, 55, "a secret must not stand in \"run\""},
    {STEP("run: [a], shell: bash"), 2, 53, "\"shell\" has no use where \"run\" is a list"},
    {STEP("run: a, shell: zsh"), 2, 58, "\"shell\" must be one of sh, bash"},
    {STEP("run: a, dir: ../x"), 2, 56, "\"dir\" must be a path below the work directory"},
    {STEP("run: a, dir: x/.."), 2, 56, "\"dir\" must be a path below"},
    {STEP("run: a, dir: /x"), 2, 56, "\"dir\" must be a path below"},
    {STEP("run: a, timeout: 0s"), 2, 60, "\"timeout\" must be at least 1ms"},
    {STEP("run: a, log_limit: 4095"), 2, 62, "\"log_limit\" must be from 4K to 1024G"},
    {STEP("run: a, log_limit: lots"), 2, 62, "\"log_limit\" must be a size like"},
    {STEP("run: a, if: x ="), 2, 57, "character 3: \"=\" is no comparison"},
    {STEP("run: a, if: \"x == 'a\""), 2, 61, "character 6: the text is not closed"},
    {STEP("run: a, if: \"x =~ 'a('\""), 2, 64, "missing closing parenthesis"},
    {STEP("run: a, if: [x]"), 2, 55, "\"if\" must be a condition"},
    {STEP("run: a, locks: [db]"), 2, 59, "no lock \"db\""},
    {STEP("run: a, reports: {junti: x}"), 2, 61, "did you mean \"junit\"?"},
    {STEP("run: a, reports: x"), 2, 60, "\"reports\" must be a mapping, not a text"},
    {STEP("run: a, reports: {optional: true}"), 2, 60,
     "\"reports\" must name at least one of junit"},
    {STEP("run: a, reports: {junit: {optional: true}}"), 2, 68, "\"paths\" must name at least one"},
    {STEP("run: a, reports: {tap: ../x}"), 2, 66, "\"../x\" must be a path or pattern below"},
    {STEP("run: a, artifacts: [x, ../y]"), 2, 66, "\"../y\" must be a path or pattern below"},
    {STEP("run: a, artifacts: [/etc/passwd]"), 2, 63, "must be a path or pattern below"},
    {STEP("run: a, artifacts: [a/./b]"), 2, 63, "must be a path or pattern below"},
    {STEP("run: a, artifacts: []"), 2, 62, "\"artifacts\" must name at least one pattern"},
    {STEP("artifacts: {path: x}"), 2, 55, "did you mean \"paths\"?"},
    {STEP("artifacts: {paths: x, retention: 1}"), 2, 76, "\"retention\""},
    {STEP("artifacts: {paths: x}, dir: y"), 2, 66, "\"dir\" is for steps with \"run\""},
    {STEP("artifacts: x, reports: {tap: y}"), 2, 43, "a step has one of"},
    {STEP("trigger: {schedler: x}"), 2, 53, "unknown key \"schedler\""},
    {STEP("set_property: x"), 2, 57, "\"set_property\" takes {NAME: VALUE}"},
    {STEP("set_property: {Upper: x}"), 2, 58, "\"Upper\" is no name of a property"},
    {STEP("set_property: {branch: x}"), 2, 58, "property \"branch\" is set by Pawl"},
    {STEP("set_property: {a: {run: x, file: y}}"), 2, 61, "a property is set to a text, or by"},
    {STEP("set_property: {a: {fil: y}}"), 2, 62, "unknown key \"fil\"; did you mean \"file\"?"},
    {STEP("set_property: {a: {file: ../y}}"), 2, 68, "\"file\" must be a path below"},
    {STEP("set_property: {a: x}, shell: sh"), 2, 65, "\"shell\" is for steps with \"run\""},
    {STEP("set_property: {a: \"${secret:x}\"}"), 2, 61, "a secret may stand in \"env\""},
    {STEP("annotate: {}"), 2, 53, "\"annotate\" takes one of \"text\" and \"file\""},
    {STEP("annotate: {text: a, file: b}"), 2, 53, "\"annotate\" takes one of"},
    {STEP("annotate: {text: a, style: loud}"), 2, 70, "\"style\" must be one of info"},
    {STEP("http: {}"), 2, 49, "required key \"url\" is missing"},
    {STEP("http: {url: a, method: get}"), 2, 66, "\"method\" must be one of GET"},
    {STEP("http: {url: a, headers: {\"a b\": x}}"), 2, 68, "\"a b\" is no name of a header"},
    {STEP("http: {url: a, headers: {a: {}}}"), 2, 71, "a header is a text, or {env: VARIABLE}"},
    {STEP("http: {url: a, expect: [ok]}"), 2, 67, "\"expect\" takes statuses of HTTP"},
    {STEP("cache: {key: a}"), 2, 50, "\"paths\" must name at least one path"},
    {STEP("cache: {paths: [a]}"), 2, 50, "required key \"key\" is missing"},
    {STEP("cache: {key: a, paths: [/x]}"), 2, 67, "\"paths\": \"/x\" must be a path below"},
    {STEP("cache: {key: a, paths: [x], hash_files: ../y}"), 2, 83, "\"hash_files\": \"../y\" must"},
    {STEP("cache: {key: a, paths: [x]}, run: b"), 2, 72, "a step has one of"},
    {STEP("rum: a"), 2, 43, "unknown key \"rum\"; did you mean \"run\"?"},
    {STEP("run: a, name: a b"), 2, 57, "\"a b\" is no name of a step"},
    {STEP("run: a, name: x.stderr"), 2, 57, "\"x.stderr\" is no name of a step"},
    {STEP("checkout: {mode: celan}"), 2, 60, "did you mean \"clean\"?"},
    {STEP("checkout: clean"), 2, 53, "\"checkout\" must be a mapping, not a text"},
    {STEP("checkout: {lfs: perhaps}"), 2, 59, "\"lfs\" must be true or false"},
    {STEP("checkout: {sparse: []}"), 2, 62, "\"sparse\" must name at least one folder"},
    {STEP("checkout: {sparse: [a, ../b]}"), 2, 66, "\"sparse\": \"../b\" must be a path below"},
    {STEP("checkout: {sparse: ./}"), 2, 62, "\"sparse\": the root is in it always"},
    {STEP("checkout: {}, dir: x"), 2, 57, "\"dir\" is for steps with \"run\""},
    /* schedulers */
    {SCHED("builders: [b]"), 3, 14, "required key \"kind\" is missing"},
    {SCHED("kind: brnch"), 3, 42, "did you mean \"branch\"?"},
    {SCHED("kind: dependent"), 3, 14, "required key \"after\" is missing"},
    {SCHED("kind: dependent, after: z"), 3, 60, "there is no scheduler \"z\""},
    {SCHED("kind: dependent, after: s"), 3, 60, "scheduler \"s\" comes after itself"},
    {P B
     "schedulers:\n  - {name: one, project: p, kind: branch}\n  - {name: two, project: p, kind: "
     "dependent, after: onee}\n",
     5, 53, "there is no scheduler \"onee\"; did you mean \"one\"?"},
    {P B
     "schedulers:\n  - {name: a, project: p, kind: dependent, after: b}\n  - {name: b, project: "
     "p, kind: dependent, after: a}\n",
     4, 51, "scheduler \"a\" comes after itself"},
    {SCHED("kind: branch, after: s"), 3, 50, "\"after\" is for kind dependent, not branch"},
    {SCHED("kind: branch, fail_fast: 3"), 3, 61, "\"fail_fast\" must be true or false"},
    {SCHED("kind: branch, supersede: quued"), 3, 61, "did you mean \"queued\"?"},
    {SCHED("kind: force, supersede: queued"), 3, 49,
     "\"supersede\" is for kind branch or dependent, not force"},
    {SCHED("kind: force, testfix: true"), 3, 49, "\"testfix\" is for kind branch, not force"},
    {SCHED("kind: try"), 3, 42, "kind \"try\" is not supported by this version"},
    {SCHED("kind: branch, parameters: []"), 3, 50, "\"parameters\" is for kind force, not branch"},
    {SCHED("kind: force, parameters: {}"), 3, 61, "\"parameters\" must be a list of at most 50"},
    {PARAM("type: int"), 3, 62, "required key \"name\" is missing"},
    {PARAM("name: Level"), 3, 69, "\"Level\" is no name of a property"},
    {PARAM("name: branch"), 3, 69, "property \"branch\" is set by Pawl"},
    {PARAM("name: a}, {name: a"), 3, 80, "parameter \"a\" is there twice"},
    {PARAM("name: a, type: itn"), 3, 78, "did you mean \"int\"?"},
    {PARAM("name: a, type: int, default: x"), 3, 92,
     "\"default\" must be a whole number, not \"x\""},
    {PARAM("name: a, type: bool, default: 1"), 3, 93, "\"default\" must be true or false"},
    {PARAM("name: a, type: choice"), 3, 62, "type choice needs \"choices\""},
    {PARAM("name: a, type: choice, choices: [x, y], default: z"), 3, 112,
     "\"default\" must be one of x, y, not \"z\""},
    {PARAM("name: a, choices: [x]"), 3, 72, "\"choices\" is for type choice, not string"},
    {PARAM("name: a, default: x, required: true"), 3, 84,
     "a parameter with a \"default\" is never missing"},
    {SCHED("kind: branch, builders: [c]"), 3, 61, "project \"p\" has no builder \"c\""},
    {SCHED("kind: branch, builders: [b, b]"), 3, 64, "builder \"b\" is named twice"},
    {SCHED("kind: branch, builders: []"), 3, 60, "\"builders\" must name at least one"},
    {SCHED("kind: branch, builders: {}"), 3, 60, "\"builders\" must be a list of names, or all"},
    {SCHED("kind: branch, cron: \"* * * * *\""), 3, 50, "\"cron\" is for kind nightly, not branch"},
    {SCHED("kind: periodic, every: 1h, quiet: 1s"), 3, 63,
     "\"quiet\" is for kind branch, not periodic"},
    {SCHED("kind: periodic"), 3, 14, "required key \"every\" is missing"},
    {SCHED("kind: periodic, every: 500ms"), 3, 59, "\"every\" must be at least 1s"},
    {SCHED("kind: nightly"), 3, 14, "required key \"cron\" is missing"},
    {SCHED("kind: nightly, cron: \"61 * * * *\""), 3, 57, "\"cron\": minute"},
    {SCHED("kind: nightly, cron: \"1 2 * * *\", zone: Europe/Brlin"), 3, 76, "\"zone\": "},
    {SCHED("kind: nightly, cron: \"1 2 * * *\", branch: a..b"), 3, 78,
     "\"a..b\" is no name of a branch"},
    {SCHED("kind: branch, paths: [a, /(/]"), 3, 61, "\"paths\": "},
    {SCHED("kind: branch, priority: 1000001"), 3, 60, "\"priority\" must be a number"},
    {P B "schedulers:\n  - {name: s, project: p, kind: branch}\n  - {name: s, project: p, kind: "
         "force}\n",
     5, 12, "scheduler \"s\" exists already, in f.yaml:4"},
    {"projects: [{name: p, repository: /r}, {name: q, repository: /r}]\n" B
     "schedulers: [{name: s, project: q, kind: force, builders: [b]}]\n",
     3, 60, "builder \"b\" is of project \"p\", not of \"q\""},
    /* promotions */
    {PROMO("from: a, to: b"), 3, 14, "required key \"kind\" is missing"},
    {PROMO("kind: merge, from: a, to: b"), 3, 42,
     "kind \"merge\" is not supported by this version"},
    {PROMO("kind: merge_back, from: a, to: b"), 3, 42,
     "kind \"merge_back\" is not supported by this version"},
    {PROMO("kind: green, to: b"), 3, 14, "required key \"from\" is missing"},
    {PROMO("kind: green, from: a"), 3, 14, "required key \"to\" is missing"},
    {PROMO("kind: green, from: a, to: a"), 3, 62, "\"from\" and \"to\" are the same branch"},
    {PROMO("kind: green, from: refs/heads/a, to: b"), 3, 55, "without refs/heads/"},
    {PROMO("kind: green, from: a, to: b, sticky: [b]"), 3, 65,
     "\"sticky\" is not supported by this version"},
    {PROMO("kind: green, from: a, to: b, freeze: true"), 3, 65,
     "\"freeze\" is not supported by this version"},
    {PROMO("kind: green, from: a, to: b, builders: [bb]"), 3, 76,
     "has no builder \"bb\"; did you mean \"b\"?"},
    {P "promotions: [{name: e, project: p, kind: green, from: a, to: b}]\n", 2, 14,
     "project \"p\" has no builder that could be green"},
    {P B "promotions:\n  - {name: e, project: p, kind: green, from: a, to: c}\n"
         "  - {name: f, project: p, kind: green, from: b, to: c}\n",
     5, 53, "branch \"c\" is moved by promotion \"e\" already"},
    {P B "promotions:\n  - {name: e, project: p, kind: green, from: a, to: b}\n"
         "  - {name: f, project: p, kind: green, from: b, to: a}\n",
     4, 46, "promotions go in a circle: a -> b -> a"},
    {P B "promotions:\n  - {name: d, project: p, kind: green, from: b, to: z}\n"
         "  - {name: e, project: p, kind: green, from: a, to: b}\n"
         "  - {name: f, project: p, kind: green, from: b, to: c}\n  - {name: g, project: p, kind: "
         "green, from: c, to: a}\n",
     5, 46, "promotions go in a circle: a -> b -> c -> a"},
    {P B "promotions:\n  - {name: e, project: p, kind: green, from: a, to: b}\n"
         "  - {name: e, project: p, kind: green, from: b, to: c}\n",
     5, 12, "promotion \"e\" exists already, in f.yaml:4"},
};

/* Texts with an include are given without a place: nothing may be read for them. */
static void test_mistake(const struct mistake *m)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pw_buf_clearp) pw_buf all = PW_BUF(100000);
    const char *file = strncmp(m->text, "include", 7) == 0 ? NULL : "f.yaml";
    PW_AUTO(config_unrefp) config *c = config_load_text(file, m->text, strlen(m->text), &e);
    bool is = !c && e.n == 1 && e.v[0].line == m->line && e.v[0].column == m->column &&
              strstr(e.v[0].text, m->want) && strcmp(e.v[0].file, file ? file : "-") == 0;
    ok(is, "%u:%u %s", m->line, m->column, m->want);
    if (!is) {
        (void)yaml_errors_text(&e, &all);
        printf("# got %s\n", pw_buf_str(&all));
    }
}

/* Right values that stand next to wrong ones. */
static void test_right(void)
{
    static const char *const texts[] = {
        "name: x\n",
        "web: {listen: \"127.0.0.1:0\"}\n",
        "web: {listen: \"127.9.9.9:65535\"}\n",
        "web: {listen: \"localhost:80\"}\n",
        "web: {listen: \"[::1]:80\"}\n",
        "web: {listen: \"*:80\", insecure: true}\n",
        "web: {listen: \"0.0.0.0:80\", insecure: yes}\n",
        "workers: {listen: \"tcp://*:0\"}\n",
        "projects: [{name: p, repository: \"git@h:x.git\", poll: 1s}]\n",
        "projects: [{name: p, repository: \"ssh://git@[::1]:22/x.git\", poll: 365d, source: "
        "origin}]\n",
        "projects: [{name: p, repository: \"file:///x\", pipeline: null}]\n",
        BUILDER("retries: 100, timeout: 1ms, isolation: none"),
        BUILDER("env: {_a1: '', PAWLS: x}, properties: {a_1: x}"),
        STEP("run: a, dir: a/..b, idle_timeout: 0s, log_limit: 4K"),
        STEP("run: 'echo $secret ${other}'"),
        STEP("checkout: "),
        SCHED("kind: branch, builders: b"),
        SCHED("kind: branch, builders: all, paths: []"),
        PROMO("kind: green, from: a/b, to: v1.0, every: 0s"),
        P B "promotions:\n  - {name: e, project: p, kind: green, from: a, to: b}\n"
            "  - {name: f, project: p, kind: green, from: b, to: c}\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        PW_AUTO(config_unrefp)
        config *c = config_load_text("f.yaml", texts[i], strlen(texts[i]), &e);
        ok(c && !e.n, "right value %zu", i);
        if (e.n)
            printf("# %s: %s\n", texts[i], e.v[0].text);
    }
}

static void test_all_at_once(void)
{
    static const char text[] = "promotions:\n"
                               "  - {name: e, project: p, kind: grn, from: a, to: b}\n"
                               "schedulers:\n"
                               "  - {name: s, project: p, kind: branch, builders: [bulid, other]}\n"
                               "web: {listen: 1}\n"
                               "projects:\n"
                               "  - {name: p, repository: /r, poll: fast}\n"
                               "builders:\n"
                               "  - {name: build, project: p, steps: [{run: x, timeout: 1}]}\n"
                               "  - {name: other, project: p, steps: [{run: x}]}\n";
    static const char want[] =
        "f.yaml:2:33: \"kind\" must be one of green, not \"grn\"\n"
        "f.yaml:4:52: project \"p\" has no builder \"bulid\"; did you mean \"build\"?\n"
        "f.yaml:5:15: \"listen\" must be HOST:PORT, not \"1\"\n"
        "f.yaml:7:37: \"poll\" must be a duration like 500ms, 90s, 20m, 1h or 7d, not \"fast\"\n"
        "f.yaml:9:57: \"timeout\" must be a duration like 500ms, 90s, 20m, 1h or 7d, not \"1\"\n";
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", text, strlen(text), &e);
    (void)yaml_errors_text(&e, &b);
    bool is = !c && e.n == 5 && strcmp(pw_buf_str(&b), want) == 0;
    ok(is, "five mistakes, five errors, in the order of the file");
    if (!is)
        printf("# got %zu:\n%s\n", e.n, pw_buf_str(&b));
}

/* One wrong name is told once, not again by all that refer to it. */
static void test_no_echo(void)
{
    static const char text[] =
        "projects: [{name: a b, repository: /r}, {name: p, repository: /r}]\n"
        "builders: [{name: x y, project: p, steps: [{run: x}]}, {name: z, project: pp, steps: "
        "[{run: x}]}]\n"
        "schedulers: [{name: s, project: p, kind: force, builders: [x y, z]}]\n";
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", text, strlen(text), &e);
    ok(!c && e.n == 3 && e.v[0].line == 1 && e.v[1].line == 2 && e.v[2].line == 2,
       "no second error for the first one's sake");
}

int main(void)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        test_mistake(&mistakes[i]);
    test_right();
    test_all_at_once();
    test_no_echo();
    return tap_done();
}
