# The house's plan: every folder, what it may include, and the one third-party library that it alone may touch.
# The link uses this table (a test links its folder and what stands below it, nothing else), `make deps-check`
# holds the includes against it.
#
# folder         may use                                                       library (pkg-config)
MODULES := shared/base shared/wire shared/job shared/journal shared/zip shared/crypt shared/link shared/yaml \
           shared/json shared/http shared/cron shared/scan shared/expr shared/notify shared/gitlogin shared/pipeline \
           worker/spool worker/cgroup worker/isolate worker/reports worker/run worker/agent \
           master/config master/store master/logs master/blobs master/promote master/notify master/core master/link master/git master/net master/provider master/give master/http \
           master/server master/backup master/doctor \
           client

USES_shared/base    :=
USES_shared/wire    := shared/base
LIB_shared/wire     := msgpack
USES_shared/job     := shared/wire shared/base
USES_shared/journal := shared/base
USES_shared/zip     := shared/base
LIB_shared/zip      := libzstd
USES_shared/crypt   := shared/base
LIB_shared/crypt    := libsodium
USES_shared/link    := shared/wire shared/base
LIB_shared/link     := libzmq
USES_shared/yaml    := shared/base
LIB_shared/yaml     := yaml-0.1
USES_shared/json    := shared/base
LIB_shared/json     := jansson
USES_shared/http    := shared/base
LIB_shared/http     := libcurl
USES_shared/cron    := shared/base
USES_shared/scan    := shared/base
LIB_shared/scan     := libpcre2-8
USES_shared/expr    := shared/scan shared/base
USES_shared/notify  := shared/base
LIB_shared/notify   := libsystemd
USES_shared/pipeline := shared/yaml shared/expr shared/scan shared/job shared/wire shared/base
USES_shared/gitlogin := shared/base

USES_worker/spool   := shared/crypt shared/base
USES_worker/cgroup  := shared/base
USES_worker/reports := shared/json shared/base
LIB_worker/reports  := expat
USES_worker/isolate := shared/base
USES_worker/run     := worker/spool worker/cgroup worker/isolate worker/reports shared/gitlogin shared/expr shared/scan shared/crypt shared/job shared/journal shared/zip shared/wire shared/base
USES_worker/agent   := worker/spool worker/cgroup worker/isolate shared/link shared/job shared/journal shared/wire shared/yaml shared/crypt shared/base

USES_master/config  := shared/pipeline shared/gitlogin shared/yaml shared/scan shared/cron shared/job shared/base
USES_master/store   := shared/job shared/wire shared/base
LIB_master/store    := sqlite3
USES_master/logs    := master/store shared/job shared/zip shared/wire shared/base
USES_master/blobs   := shared/crypt shared/base
USES_master/promote := shared/job shared/base
USES_master/notify  := master/config shared/pipeline shared/json shared/cron shared/scan shared/job shared/base
USES_master/core    := master/promote master/notify master/store master/config shared/pipeline shared/expr shared/job shared/wire shared/cron shared/scan shared/crypt shared/base
USES_master/link    := master/core master/logs master/blobs master/store master/config shared/pipeline shared/link shared/job shared/journal \
                       shared/wire shared/crypt shared/base
USES_master/git     := shared/gitlogin shared/crypt shared/base
LIB_master/git      := libgit2
USES_master/net     := shared/http shared/json shared/crypt shared/base
USES_master/provider := shared/base
USES_master/give    := master/blobs master/store shared/job shared/wire shared/crypt shared/base
USES_master/http    := master/core master/logs master/blobs master/store master/config shared/pipeline shared/scan shared/json shared/job shared/crypt shared/base
LIB_master/http     := libmicrohttpd
USES_master/server  := master/http master/link master/git master/net master/provider master/give master/notify master/core master/logs master/blobs master/store master/config shared/pipeline shared/link \
                       shared/json shared/job shared/crypt shared/notify shared/base
USES_master/backup  := master/blobs master/store shared/zip shared/json shared/crypt shared/base
USES_master/doctor  := master/logs master/blobs master/store master/config shared/pipeline shared/crypt shared/base
USES_client         := worker/spool shared/pipeline shared/expr shared/yaml shared/scan shared/job shared/journal shared/zip shared/wire \
                       shared/json shared/http shared/cron shared/crypt shared/base

# programs: their main file, and the folders that they stand on
PROGRAMS := pawl-master pawl-worker pawl-run pawl
MAIN_pawl-master := master/main.c
USES_pawl-master := master/server master/backup master/doctor
MAIN_pawl-worker := worker/main.c
USES_pawl-worker := worker/agent shared/notify shared/crypt
MAIN_pawl-run    := worker/run/main.c
USES_pawl-run    := worker/run
MAIN_pawl        := client/main.c
USES_pawl        := client
