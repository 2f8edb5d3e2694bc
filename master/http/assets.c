/* The scripts and styles of the pages, carried in the program as one pack (web/pack.sh): a line
 * "NAME BYTES GZIPPED" for each file, an empty line, then each file as it is and gzipped. Names
 * hold a hash of the content: whoever has one may keep it for ever. */
#include "master/http/assets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "master/http/impl.h"
#include "shared/base/num.h"

#ifndef PW_WEB_PACK
#define PW_WEB_PACK "build/web/pack"
#endif

/* The assembler takes the file as it is; the path is seen from the root, where make runs. */
__asm__(".pushsection .rodata\n"
        ".hidden pw_web_pack\n.globl pw_web_pack\npw_web_pack:\n"
        ".incbin \"" PW_WEB_PACK "\"\n"
        ".hidden pw_web_pack_end\n.globl pw_web_pack_end\npw_web_pack_end:\n.byte 0\n"
        ".popsection\n");
extern const char pw_web_pack[] __attribute__((visibility("hidden")));
extern const char pw_web_pack_end[] __attribute__((visibility("hidden")));

enum { NAME_BYTES = 100 };

/* One number of a line; returns what stands behind it. */
static const char *number(const char *p, size_t *ret)
{
    size_t n = 0;
    while (*p >= '0' && *p <= '9')
        n = n * 10 + (size_t)(*p++ - '0');
    *ret = n;
    return p + 1;
}

/* The pack is our own work: a test walks it whole, here it is believed. */
bool web_asset_next(const char **at, size_t *offset, web_asset *ret)
{
    const char *p = *at ? *at : pw_web_pack, *end = strstr(pw_web_pack, "\n\n");
    size_t plain, zipped;
    if (!end || p > end)
        return false;
    ret->name = p;
    ret->name_len = strcspn(p, " ");
    p = number(p + ret->name_len + 1, &plain);
    p = number(p, &zipped);
    ret->plain = end + 2 + *offset;
    ret->plain_len = plain;
    ret->zipped = ret->plain + plain;
    ret->zipped_len = zipped;
    *offset += plain + zipped;
    *at = p;
    return ret->zipped + zipped <= pw_web_pack_end;
}

bool web_asset_find(const char *name, web_asset *ret)
{
    const char *at = NULL;
    size_t offset = 0, n = strlen(name);
    while (web_asset_next(&at, &offset, ret))
        if (ret->name_len == n && memcmp(ret->name, name, n) == 0)
            return true;
    return false;
}

bool web_asset_entry(const char *ending, char *out, size_t cap)
{
    const char *at = NULL;
    size_t offset = 0, n = strlen(ending);
    web_asset a;
    while (web_asset_next(&at, &offset, &a))
        if (a.name_len > n + 5 && memcmp(a.name, "main-", 5) == 0 &&
            memcmp(a.name + a.name_len - n, ending, n) == 0) {
            (void)snprintf(out, cap, "%.*s", (int)a.name_len, a.name);
            return true;
        }
    return false;
}

void web_assets_hash(char out[WEB_ASSETS_HASH])
{
    uint32_t crc = pw_crc32c(0, pw_web_pack, (uintptr_t)pw_web_pack_end - (uintptr_t)pw_web_pack);
    (void)snprintf(out, WEB_ASSETS_HASH, "%08" PRIx32, crc);
}

bool web_takes_gzip(const char *accept)
{
    for (const char *p = accept; p && *p;) {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, ",");
        size_t word = strcspn(p, " \t;,");
        if ((word == 4 && strncasecmp(p, "gzip", 4) == 0) || (word == 1 && *p == '*')) {
            const char *q = memchr(p, '=', n);
            return !q || q[1] != '0' ||
                   (q[2] == '.' && q[3 + strspn(q + 3, "0")] >= '1' &&
                    q[3 + strspn(q + 3, "0")] <= '9');
        }
        p += n;
    }
    return false;
}

static const char *type_of(const web_asset *a)
{
    static const char *const types[][2] = {{".js", "text/javascript; charset=utf-8"},
                                           {".css", "text/css; charset=utf-8"},
                                           {".svg", "image/svg+xml"}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        size_t n = strlen(types[i][0]);
        if (a->name_len > n && memcmp(a->name + a->name_len - n, types[i][0], n) == 0)
            return types[i][1];
    }
    return "application/octet-stream";
}

void web_get_asset(web_req *q)
{
    web_asset a;
    const char *known = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "If-None-Match");
    if (!web_asset_find(q->at.param[0], &a)) {
        /* an older page asks for what the program before had: the page itself is to be loaded */
        web_fail(q, 404, "not_found", "there is no such file; load the page again");
        return;
    }
    bool zip = web_takes_gzip(
        MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT_ENCODING));
    q->type = type_of(&a);
    q->forever = true;
    web_header(q, "ETag", "\"%.*s%s\"", (int)(a.name_len < NAME_BYTES ? a.name_len : NAME_BYTES),
               a.name, zip ? ".gz" : "");
    web_header(q, "Vary", "Accept-Encoding");
    if (known && strstr(known, q->header[0].value)) {
        q->status = 304;
        return;
    }
    q->status = 200;
    if (zip)
        web_header(q, "Content-Encoding", "gzip");
    (void)pw_buf_add(&q->out, zip ? a.zipped : a.plain, zip ? a.zipped_len : a.plain_len);
}
