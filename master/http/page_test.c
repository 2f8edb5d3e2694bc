/* The pages' shell with its first answers, and the scripts and styles that the program carries. */
#include "master/http/fixture.h"

#include "master/http/assets.h"
#include "tests/tap.h"

static void test_pack(void)
{
    const char *at = NULL;
    size_t offset = 0, n = 0, zipped = 0;
    web_asset a;
    char name[WEB_ASSET_NAME], hash[WEB_ASSETS_HASH];
    bool good = true;
    while (web_asset_next(&at, &offset, &a)) {
        n++;
        zipped += a.zipped_len;
        good = good && a.name_len > 8 && a.name_len < WEB_ASSET_NAME && a.plain_len > 0 &&
               (unsigned char)a.zipped[0] == 0x1f && (unsigned char)a.zipped[1] == 0x8b;
    }
    ok(n >= 2 && good, "the pack is whole: %zu files", n);
    ok(zipped <= 132 * 1024, "scripts and styles have %zu bytes gzipped", zipped);
    ok(web_asset_entry(".js", name, sizeof(name)) && web_asset_find(name, &a) &&
           a.plain_len > a.zipped_len,
       "a script to begin with: %s", name);
    ok(web_asset_entry(".css", name, sizeof(name)) && web_asset_find(name, &a), "and a style");
    ok(!web_asset_find("main", &a) && !web_asset_find("", &a) && !web_asset_entry(".png", name, 9),
       "nothing else");
    web_assets_hash(hash);
    ok(strlen(hash) == 8, "they have a hash");
}

static void test_gzip(void)
{
    ok(web_takes_gzip("gzip, deflate, br") && web_takes_gzip("br;q=0.9,GZIP;q=0.5") &&
           web_takes_gzip("*") && web_takes_gzip("deflate, gzip"),
       "gzip is taken");
    ok(!web_takes_gzip(NULL) && !web_takes_gzip("") && !web_takes_gzip("br, xgzip") &&
           !web_takes_gzip("gzip;q=0") && !web_takes_gzip("gzip;q=0.00, br"),
       "or it is not");
}

static void test_assets(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    char name[WEB_ASSET_NAME] = "", path[WEB_ASSET_NAME + 16], line[200];
    web_asset a = {0};
    (void)web_asset_entry(".js", name, sizeof(name));
    (void)web_asset_find(name, &a);
    (void)snprintf(path, sizeof(path), "/assets/%s", name);
    ok(get(w, path, &r) == 200 && r.body_len == a.plain_len &&
           memcmp(r.body, a.plain, r.body_len) == 0 &&
           has_header(&r, "Content-Type: text/javascript") && !has_header(&r, "Content-Encoding"),
       "a script as it is");
    ok(has_header(&r, "Cache-Control: public, max-age=31536000, immutable") &&
           has_header(&r, "Vary: Accept-Encoding"),
       "kept for ever");
    ok(call(w, "GET", path, "Accept-Encoding: br, gzip\r\n", NULL, &r) == 200 &&
           r.body_len == a.zipped_len && memcmp(r.body, a.zipped, r.body_len) == 0 &&
           has_header(&r, "Content-Encoding: gzip"),
       "gzipped for who takes it");
    (void)snprintf(line, sizeof(line), "If-None-Match: \"%s\"\r\n", name);
    ok(call(w, "GET", path, line, NULL, &r) == 304 && r.body_len == 0, "not again");
    ok(get(w, "/assets/main.js", &r) == 404 && is_error(&r, "not_found") &&
           !has_header(&r, "immutable"),
       "an old name is unknown, and not kept");
}

static void test_shell(const world *w)
{
    static const char *const paths[] = {"/branches",
                                        "/branches/p/feature/a%20b",
                                        "/changes?project=p",
                                        "/builders",
                                        "/requests",
                                        "/workers",
                                        "/promotions",
                                        "/schedulers",
                                        "/landings",
                                        "/breaks",
                                        "/tests",
                                        "/audit",
                                        "/settings",
                                        "/notices",
                                        "/builds?result=failure",
                                        "/builds/2/log/compile"};
    PW_AUTO(reply_clear) reply r = {0};
    char name[WEB_ASSET_NAME] = "", want[WEB_ASSET_NAME + 40];
    bool all = true;
    (void)web_asset_entry(".js", name, sizeof(name));
    (void)snprintf(want, sizeof(want), "<script type=\"module\" src=\"/assets/%s\">", name);
    ok(get(w, "/", &r) == 200 && has(&r, want) && has_header(&r, "Content-Type: text/html"),
       "home names its script");
    ok(has(&r, "id=\"first\">{\"/session\":{\"actor\":null,") && has(&r, "\"/status\":{\"red\":1,"),
       "and carries who asks and how all is");
    ok(has_header(&r, "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
                      "'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'") &&
           has_header(&r, "default-src 'none'") && has_header(&r, "Cache-Control: no-store"),
       "under a strict policy, and is kept by nobody: it knows the reader");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (get(w, paths[i], &r) != 200 || !has(&r, want)) {
            all = false;
            printf("# %s: %d\n", paths[i], r.status);
        }
    ok(all, "so do the other pages");
    ok(get(w, "/builds/2", &r) == 200 && has(&r, "\"/builds/2\":{\"id\":2,\"") &&
           has(&r, "\"builder\":\"fast\""),
       "the page of a build carries it");
    ok(get(w, "/builds/9999999", &r) == 404 && has(&r, want), "a page of nothing says so");
    ok(get(w, "/builders/fast?project=p", &r) == 200 && has(&r, "\"/builders/fast?project=p\":{"),
       "a page's own query goes along");
    ok(get(w, "/builds?colour=red", &r) == 400, "an unknown filter is refused");
    ok(get(w, "/style.css", &r) == 200 && has(&r, "prefers-color-scheme"), "the login's style");
}

int main(void)
{
    world w = {0};
    test_pack();
    test_gzip();
    bool open = world_open(&w, false);
    ok(open, "a server");
    if (open) {
        test_assets(&w);
        test_shell(&w);
    }
    world_close(&w);
    return tap_done();
}
