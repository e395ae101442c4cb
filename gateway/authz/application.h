/* The life of an access application: which step is taken in which state, by whom, and where it leads.
 * Ownership: plain values; names and texts are literals.
 * Never calls back.
 * Limits: none of its own; every combination of values has an answer.
 * Does not know the database, the calendar or who is registered: services/application.c does. */
#ifndef SLUICE_AUTHZ_APPLICATION_H
#define SLUICE_AUTHZ_APPLICATION_H

#include <stdbool.h>

struct err;

/* 政务数据共享条例 (2025) Art. 20-22 and 27: numbers as sluice.v1.Application.State. */
enum application_state {
    APPLICATION_DRAFT = 1,
    APPLICATION_SIGNED_OFF,       /* the requester's own department has agreed */
    APPLICATION_SUBMITTED,        /* with the owner */
    APPLICATION_SUPPLEMENT_ASKED, /* the owner said, once, what is missing */
    APPLICATION_EXTENDED,         /* the authority consented to a later answer */
    APPLICATION_AGREED,
    APPLICATION_REFUSED,
    APPLICATION_PROVISIONING,
    APPLICATION_ACTIVE, /* an agreement is in force */
    APPLICATION_EXPIRED,
    APPLICATION_SUSPENDED,
    APPLICATION_TERMINATED,
    APPLICATION_DISPOSAL_DUE,
    APPLICATION_DISPOSED,
    APPLICATION_STATE_END
};

/* Numbers as sluice.v1.ApplicationStep.Kind. */
enum application_event {
    APPLICATION_SIGN_OFF = 1,
    APPLICATION_SUBMIT,
    APPLICATION_ASK_SUPPLEMENT,
    APPLICATION_ANSWER_SUPPLEMENT,
    APPLICATION_ASK_EXTENSION, /* the state stays: the authority has not consented yet */
    APPLICATION_EXTEND,
    APPLICATION_AGREE,
    APPLICATION_REFUSE,
    APPLICATION_PROVISION,
    APPLICATION_ACTIVATE,
    APPLICATION_EXPIRE,
    APPLICATION_SUSPEND,
    APPLICATION_RESUME,
    APPLICATION_TERMINATE,
    APPLICATION_REQUIRE_DISPOSAL,
    APPLICATION_CONFIRM_DISPOSAL,
    APPLICATION_EVENT_END
};

/* What somebody is to one application. */
enum application_role {
    APPLICATION_APPLICANT = 1, /* who drafted it, and nothing else, whatever the department */
    APPLICATION_COLLEAGUE,     /* another officer of the requesting department */
    APPLICATION_OWNER,         /* an officer of the department that owns the dataset */
    APPLICATION_AUTHORITY, /* an officer of the department in charge of sharing (主管部门) */
    APPLICATION_CLOCK,     /* the gateway, when a time has come */
    APPLICATION_STRANGER,
    APPLICATION_ROLE_END
};

struct application_parties {
    const char *applicant; /* SPIFFE id */
    const char *requester; /* department */
    const char *owner;     /* department */
    const char *authority; /* department, "" when none is configured */
};
/* Bits 1 << enum application_role of what an officer is to the application; never none. */
unsigned application_roles(const struct application_parties *parties, const char *subject,
                           const char *department);

struct application_facts {
    enum application_state state;
    bool open;            /* an OPEN dataset (无条件共享): one working day, no extension */
    bool supplement_used; /* the one request for supplements has been made */
    bool extension_asked;
    bool extension_by_caller; /* and it was the caller who asked */
    bool validity_over;       /* the time that was applied for has ended */
};

/* What follows when somebody who is all of `roles` takes a step: 0 and the new state (which may be
 * the old one), or -1 and why not. NOT_FOUND/APPLICATION_NOT_FOUND for strangers;
 * PERMISSION_DENIED/APPLICATION_ROLE, APPLICATION_OWN; FAILED_PRECONDITION/APPLICATION_STATE,
 * SUPPLEMENT_USED, EXTENSION_OPEN, EXTENSION_ASKED, EXTENSION_NOT_ASKED, VALIDITY_OVER,
 * VALIDITY_LEFT. Values outside their enum are refused likewise. */
int application_next(const struct application_facts *facts, enum application_event event,
                     unsigned roles, enum application_state *next_r, struct err *err);

/* A step that must say why, or what: an empty text is refused before anything else is asked. */
bool application_needs_text(enum application_event event);

/* The rows of the table, for those who show or compare it; false behind the last. */
struct application_rule {
    enum application_event event;
    enum application_state from;
    enum application_state to;
    unsigned roles;
};
bool application_rule_at(unsigned index, struct application_rule *rule_r);

/* "SUPPLEMENT_ASKED", as in the database and in JSON; "" outside the enum. */
const char *application_state_name(enum application_state state);
const char *application_event_name(enum application_event event);
const char *application_role_name(enum application_role role);
/* 0 for no such name. */
enum application_state application_state_of(const char *name);
enum application_event application_event_of(const char *name);

#endif
