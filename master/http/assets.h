/* assets.h - the scripts and styles that the program carries (made by web/build.mk). All is
 * constant: any thread may call. */
#ifndef PW_MASTER_HTTP_ASSETS_H
#define PW_MASTER_HTTP_ASSETS_H
#include <stdbool.h>
#include <stddef.h>

enum { WEB_ASSETS_HASH = 9, WEB_ASSET_NAME = 80 };
typedef struct web_asset {
    const char *name, *plain, *zipped; /* not ended by NUL */
    size_t name_len, plain_len, zipped_len;
} web_asset;
/* Walks the pack: *at NULL and *offset 0 for the first. False: that was all. */
bool web_asset_next(const char **at, size_t *offset, web_asset *ret);
bool web_asset_find(const char *name, web_asset *ret);
/* The name of what a page loads first: "main-XXXX.js" for ".js". */
bool web_asset_entry(const char *ending, char *out, size_t cap);
/* Changes whenever any of them does. */
void web_assets_hash(char out[WEB_ASSETS_HASH]);
/* What Accept-Encoding (NULL: none) says about gzip. */
bool web_takes_gzip(const char *accept);
#endif
