/* Lines of IRC as servers and people send them; who is meant by a mask; what is asked of us. */
#include "master/net/irc_line.h"

#include <stdio.h>
#include <string.h>

#include "tests/tap.h"

static void lines(void)
{
    static const struct {
        const char *text, *who, *command;
        size_t n;
        const char *last;
    } rows[] = {
        {"PING :a b", "", "PING", 1, "a b"},
        {":ada!a@h PRIVMSG #b :pawl: status x", "ada!a@h", "PRIVMSG", 2, "pawl: status x"},
        {":irc.h 001 pawl :Welcome", "irc.h", "001", 2, "Welcome"},
        {"@time=x :a JOIN #b", "a", "JOIN", 1, "#b"},
        {"QUIT", "", "QUIT", 0, NULL},
        {":a  MODE   #b  +o  c  ", "a", "MODE", 3, "c"},
        {":a X :", "a", "X", 1, ""},
        {"X 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "", "X", 15, "15 16"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[200];
        irc_line l;
        (void)snprintf(text, sizeof(text), "%s", rows[i].text);
        ok(irc_parse(text, &l) && strcmp(l.who, rows[i].who) == 0 &&
               strcmp(l.command, rows[i].command) == 0 && l.n == rows[i].n &&
               (!l.n || strcmp(l.param[l.n - 1], rows[i].last) == 0),
           "%s", rows[i].text);
    }
    static const char *const none[] = {"", ":a", ":a ", "@x", " "};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        char text[20];
        irc_line l;
        (void)snprintf(text, sizeof(text), "%s", none[i]);
        ok(!irc_parse(text, &l), "no line: \"%s\"", none[i]);
    }
}

static void masks(void)
{
    static const struct {
        const char *mask, *who;
        bool is;
    } rows[] = {
        {"ada!*@*", "ada!x@h", true},
        {"ada!*@*", "Ada!x@h", true},
        {"ada!*@*", "adam!x@h", false},
        {"*!*@*.example.org", "a!b@c.example.org", true},
        {"*!*@*.example.org", "a!b@c.example.org.evil", false},
        {"a?a!*", "aba!", true},
        {"[x]!*@h", "{X}!u@h", true},
        {"", "a", false},
        {"*", "", true},
        {"ada!*@h", "ada!@h", true},
        {"*a*b*c", "xxaxxbxxbxc", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ok(irc_mask(rows[i].mask, rows[i].who) == rows[i].is, "%s %s", rows[i].mask, rows[i].who);
    ok(irc_same("Pawl[1]", "pawl{1}") && !irc_same("pawl", "pawl_"), "names");
}

static void asked(void)
{
    static const struct {
        const char *text;
        bool channel;
        const char *want;
    } rows[] = {
        {"pawl: status", true, "status"},
        {"Pawl, why 3", true, "why 3"},
        {"!pawl force x", true, "force x"},
        {"pawl status", true, NULL},
        {"pawler: x", true, NULL},
        {"status", true, NULL},
        {"status", false, "status"},
        {"\1VERSION\1", false, NULL},
        {"pawl:", true, NULL},
        {"", false, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *is = irc_asked(rows[i].text, "pawl", rows[i].channel);
        ok(rows[i].want ? is && strcmp(is, rows[i].want) == 0 : !is, "asked: %s", rows[i].text);
    }
}

int main(void)
{
    lines();
    masks();
    asked();
    return tap_done();
}
