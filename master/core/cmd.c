/* Commands as objects: made, freed, refused. */
#include "master/core/cmd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/core/parts.h"

core_cmd *core_cmd_new(core_cmd_kind kind, pw_err *err)
{
    core_cmd *c = calloc(1, sizeof(*c));
    if (!c) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    c->kind = kind;
    pw_buf_init(&c->body, 1024 * 1024);
    pw_buf_init(&c->data, CORE_HOOK_BYTES);
    return c;
}

core_cmd *core_cmd_free(core_cmd *c)
{
    if (!c)
        return NULL;
    free(c->idem);
    free(c->actor);
    free(c->project);
    free(c->builder);
    free(c->branch);
    free(c->revision);
    free(c->reason);
    free(c->name);
    free(c->person);
    free(c->scheduler);
    free(c->keep);
    free(c->delivery);
    free(c->event);
    free(c->target);
    free(c->title);
    free(c->author);
    core_cmd_try_clear(c);
    pw_buf_clear(&c->data);
    core_props_clear(&c->props);
    pw_buf_clear(&c->body);
    free(c);
    return NULL;
}

void core_cmd_fail(core_cmd *c, int status, const char *code, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->status = status;
    pw_buf_reset(&c->body);
    (void)pw_buf_addf(&c->body, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    (void)pw_buf_json(&c->body, text);
    (void)pw_buf_adds(&c->body, "}}");
}
