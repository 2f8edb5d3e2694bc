#include "master/http/origin.h"

#include <string.h>
#include <strings.h>

/* "https://ci.example.org" of "https://ci.example.org/pawl" */
static size_t origin_len(const char *url)
{
    const char *at = strstr(url, "://");
    return at ? (size_t)(at + 3 - url) + strcspn(at + 3, "/") : 0;
}

bool web_same_origin(const char *fetch_site, const char *origin, const char *host, const char *url)
{
    size_t n = origin_len(url);
    if (fetch_site)
        return strcmp(fetch_site, "same-origin") == 0;
    if (!origin)
        return false;
    if (n && strlen(origin) == n && strncasecmp(origin, url, n) == 0)
        return true;
    const char *at = strstr(origin, "://");
    return at && host && *host && strcasecmp(at + 3, host) == 0;
}
