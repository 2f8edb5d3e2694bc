/* message.h - how a message of the outbox (the JSON of notify_body) reads for people, and in the
 * form that each kind of target takes. Pure: what was looked up beside the facts is handed in. Any
 * thread. Texts of strangers (names, subjects, logs) cannot become markup, mentions, headers or
 * commands. */
#ifndef PW_MASTER_NOTIFY_MESSAGE_H
#define PW_MASTER_NOTIFY_MESSAGE_H
#include "master/config/config.h"
#include "shared/base/buf.h"
#include "shared/base/host.h"
#include "shared/json/json.h"

enum {
    NOTIFY_SUSPECTS = 10,
    NOTIFY_FAILING = 5,
    NOTIFY_LINE = 500,       /* bytes of a line of a log */
    NOTIFY_LOG_CHAT = 2000,  /* bytes of its end, in chats */
    NOTIFY_LOG_MAIL = 65536, /* in mails */
    NOTIFY_TEXT_MAX = 256 * 1024
};
typedef struct notify_suspect {
    char *rev, *author, *subject; /* the last two may be NULL */
} notify_suspect;
/* What is known beside the message. All owned: notify_more_clear(). NULL, 0: not known. */
typedef struct notify_more {
    char *step;    /* that failed */
    char *log_url; /* of that step's output */
    char *log;     /* the end of it, plain text */
    char *failing[NOTIFY_FAILING];
    size_t n_failing;
    uint64_t failed;                         /* tests, also those that are not among them */
    notify_suspect suspect[NOTIFY_SUSPECTS]; /* newest first */
    size_t n_suspects;
    bool more_suspects;
    char *thread;   /* what the target calls the first message of the break */
    uint64_t epoch; /* of the database: keys are unique within it */
} notify_more;
void notify_more_clear(notify_more *m);

typedef enum notify_form { NOTIFY_PLAIN, NOTIFY_MARKDOWN, NOTIFY_MRKDWN, NOTIFY_HTML } notify_form;
/* The whole notice. body: parsed. PW_ENOMEM. */
int notify_text(const json_value *body, const notify_more *m, notify_form form, pw_buf *out);
/* One line: "unit is broken on master". */
int notify_line(const json_value *body, pw_buf *out);
/* What a build's messages call each other: the key of the first message of its break to this
 * target ("build/17/chat"). False: it is a part of none, or that first one itself. */
bool notify_root(const json_value *body, const char *target, char out[300]);

/* ---- forms */
/* {"text": ...} of Mattermost (channel may be NULL) and Slack. */
int notify_chat(const json_value *body, const notify_more *m, const config_notify *t, pw_buf *out);
int notify_matrix(const json_value *body, const notify_more *m, pw_buf *out);
/* A message of RFC 5322 with everything; at: its time. */
int notify_mail(const json_value *body, const notify_more *m, const config_notify *t, pw_msec at,
                pw_buf *out);
/* Lines for IRC, each ended by \n, without the command; the first ends with the key. */
int notify_irc(const json_value *body, const notify_more *m, pw_buf *out);
/* The state of a commit: JSON of that forge. context has 120 bytes, state 20. False: the message is
 * none of a build. */
bool notify_status(const json_value *body, config_notify_kind kind, char *context, char *state,
                   pw_buf *out);
#endif
