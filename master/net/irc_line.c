#include "master/net/irc_line.h"

#include <string.h>

bool irc_parse(char *text, irc_line *ret)
{
    static char none[] = "";
    *ret = (irc_line){.who = none};
    if (*text == '@') { /* tags, which we did not ask for */
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    if (*text == ':') {
        ret->who = text + 1;
        text += strcspn(text, " ");
        if (*text)
            *text++ = '\0';
        text += strspn(text, " ");
    }
    ret->command = text;
    text += strcspn(text, " ");
    if (text == ret->command)
        return false;
    while (*text) {
        *text++ = '\0';
        text += strspn(text, " ");
        if (!*text)
            break;
        if (*text == ':' || ret->n == IRC_PARAMS - 1) {
            ret->param[ret->n++] = text + (*text == ':');
            return true;
        }
        ret->param[ret->n++] = text;
        text += strcspn(text, " ");
    }
    return true;
}

static char low(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c + 32);
    return c == '[' ? '{' : c == ']' ? '}' : c == '\\' ? '|' : c == '^' ? '~' : c;
}

bool irc_same(const char *a, const char *b)
{
    while (*a && low(*a) == low(*b)) {
        a++;
        b++;
    }
    return !*a && !*b;
}

bool irc_mask(const char *mask, const char *who)
{
    const char *star = NULL, *back = who;
    while (*who) {
        if (*mask == '*') {
            star = mask++;
            back = who;
        } else if (*mask && (*mask == '?' || low(*mask) == low(*who))) {
            mask++;
            who++;
        } else if (star) {
            mask = star + 1;
            who = ++back;
        } else {
            return false;
        }
    }
    while (*mask == '*')
        mask++;
    return !*mask;
}

const char *irc_asked(const char *text, const char *nick, bool in_channel)
{
    size_t n = strlen(nick);
    const char *p = text;
    bool meant = false;
    if (strncmp(p, "!pawl ", 6) == 0) {
        p += 6;
        meant = true;
    } else if (strlen(p) > n && (p[n] == ':' || p[n] == ',')) {
        meant = true;
        for (size_t i = 0; i < n; i++)
            meant &= low(p[i]) == low(nick[i]);
        p += meant ? n + 1 : 0;
    }
    p += strspn(p, " ");
    return (meant || !in_channel) && *p && *p != '\1' ? p : NULL;
}
