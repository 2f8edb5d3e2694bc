/* config.c - the configuration as an object: counting, freeing, finding. */
#include "master/config/load.h"

#include <stdlib.h>
#include <string.h>

static void project_clear(config_project *p)
{
    free(p->name);
    free(p->repository);
    glob_free(p->branches);
    glob_free(p->tags);
    free(p->hook_secret);
    pl_pairs_free(p->properties, p->n_properties);
    free(p->pipeline);
    pl_allow_clear(&p->allow);
    config_login_clear(&p->login);
    config_retention_clear(&p->retention);
}

static void scheduler_clear(config_scheduler *s)
{
    free(s->name);
    pl_strs_clear(&s->names);
    free(s->builders);
    glob_free(s->branches);
    glob_free(s->paths);
    glob_free(s->paths_ignore);
    glob_free(s->authors);
    pl_pairs_free(s->properties, s->n_properties);
    cron_free(s->cron);
    cron_zone_free(s->zone);
    free(s->cron_text);
    free(s->zone_name);
    free(s->branch);
    for (size_t i = 0; i < s->n_params; i++) {
        free(s->params[i].name);
        free(s->params[i].fallback);
        pl_strs_clear(&s->params[i].choices);
        free(s->params[i].label);
    }
    free(s->params);
}

static void promotion_clear(config_promotion *p)
{
    free(p->name);
    free(p->from);
    free(p->to);
    pl_strs_clear(&p->names);
    free(p->builders);
}

static void person_clear(config_person *p)
{
    free(p->name);
    pl_pairs_free(p->logins, p->n_logins);
}

static void notify_clear(config_notify *n)
{
    free(n->name);
    if (n->url)
        explicit_bzero(n->url, strlen(n->url));
    free(n->url);
    free(n->projects);
    free(n->builders);
    glob_free(n->branches);
    free(n->secret);
    free(n->password);
    free(n->user);
    free(n->from);
    free(n->place);
    free(n->ca);
    pl_strs_clear(&n->mails);
    pl_strs_clear(&n->to);
    cron_zone_free(n->quiet_zone);
}

config *config_ref(config *self)
{
    __atomic_add_fetch(&self->refs, 1, __ATOMIC_RELAXED);
    return self;
}

config *config_unref(config *self)
{
    if (!self || __atomic_sub_fetch(&self->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return NULL;
    for (size_t i = 0; i < self->n_projects; i++)
        project_clear(&self->projects[i]);
    for (size_t i = 0; i < self->n_builders; i++)
        pl_builder_clear(&self->builders[i]);
    for (size_t i = 0; i < self->n_schedulers; i++)
        scheduler_clear(&self->schedulers[i]);
    for (size_t i = 0; i < self->n_promotions; i++)
        promotion_clear(&self->promotions[i]);
    for (size_t i = 0; i < self->n_people; i++)
        person_clear(&self->people[i]);
    free(self->people);
    free(self->user);
    for (size_t i = 0; i < self->n_notify; i++)
        notify_clear(&self->notify[i]);
    free(self->notify);
    for (size_t i = 0; i < self->n_providers; i++)
        config_provider_clear(&self->providers[i]);
    free(self->providers);
    for (size_t i = 0; i < self->n_locks; i++)
        free(self->locks[i].name);
    free(self->locks);
    free(self->projects);
    config_retention_clear(&self->retention);
    free(self->builders);
    free(self->schedulers);
    free(self->promotions);
    for (size_t i = 0; i < self->n_secrets; i++)
        config_hidden_clear(&self->secrets[i]);
    free(self->secrets);
    free(self->name);
    free(self->web_listen);
    free(self->web_url);
    free(self->web_cert);
    free(self->web_key);
    free(self->web_user_header);
    free(self->web_proxies);
    free(self->workers_listen);
    free(self->workers_address);
    free(self->text);
    free(self->warnings);
    free(self);
    return NULL;
}

int64_t config_find_builder(const config *self, const char *name)
{
    const char *slash = strrchr(name, '/');
    size_t n_project = slash ? (size_t)(slash - name) : 0;
    int64_t found = -1;
    for (size_t i = 0; i < self->n_builders; i++) {
        const config_builder *b = &self->builders[i];
        const char *project = self->projects[b->project].name;
        if (strcmp(b->name, slash ? slash + 1 : name) != 0)
            continue;
        if (slash && (strlen(project) != n_project || memcmp(project, name, n_project) != 0))
            continue;
        if (found >= 0)
            return -2;
        found = (int64_t)i;
    }
    return found;
}

int64_t config_find_project(const config *self, const char *name)
{
    for (size_t i = 0; i < self->n_projects; i++)
        if (strcmp(self->projects[i].name, name) == 0)
            return (int64_t)i;
    return -1;
}
