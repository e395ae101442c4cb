/* The life of a catalogue entry: which step is taken in which state, by whom, and where it leads.
 * Ownership: plain values; names and texts are literals.
 * Never calls back.
 * Limits: none of its own; every combination of values has an answer.
 * Does not know the database, the calendar or who is registered: services/catalogue.c does. */
#ifndef SLUICE_AUTHZ_CATALOGUE_H
#define SLUICE_AUTHZ_CATALOGUE_H

#include <stdbool.h>

struct err;

/* 政务数据共享条例 (2025) Art. 13 to 17: numbers as sluice.v1.CatalogueEntry.State. */
enum catalogue_state {
    CATALOGUE_DRAFT = 1,
    CATALOGUE_ASSESSED,
    CATALOGUE_DEPT_APPROVED,
    CATALOGUE_SUBMITTED, /* with the authority */
    CATALOGUE_PUBLISHED,
    CATALOGUE_CHANGE_DUE, /* in force, and to be updated */
    CATALOGUE_RETIRED,
    CATALOGUE_STATE_END
};

/* Numbers as sluice.v1.CatalogueStep.Kind. */
enum catalogue_event {
    CATALOGUE_WRITE = 1,
    CATALOGUE_ASSESS,
    CATALOGUE_APPROVE,
    CATALOGUE_SUBMIT,
    CATALOGUE_PUBLISH,
    CATALOGUE_RETURN,
    CATALOGUE_RETURN_CHANGE,
    CATALOGUE_CHANGE,
    CATALOGUE_ASK_EXTENSION,
    CATALOGUE_EXTEND,
    CATALOGUE_RETIRE,
    CATALOGUE_EVENT_END
};

/* What somebody is to one entry. */
enum catalogue_role {
    CATALOGUE_AUTHOR = 1, /* who wrote the latest edition, and nothing else */
    CATALOGUE_COLLEAGUE,  /* another officer of the department that shares */
    CATALOGUE_AUTHORITY,  /* an officer of the department in charge of sharing (主管部门) */
    CATALOGUE_STRANGER,
    CATALOGUE_ROLE_END
};

struct catalogue_parties {
    const char *author;     /* SPIFFE id */
    const char *department; /* that shares */
    const char *authority;  /* department, "" when none is configured */
};
/* Bits 1 << enum catalogue_role of what an officer is to the entry; never none. */
unsigned catalogue_roles(const struct catalogue_parties *parties, const char *subject,
                         const char *department);

struct catalogue_facts {
    enum catalogue_state state;
    bool published; /* an edition is in force */
    bool fresh;     /* the latest edition is not the one in force */
    bool assessed;  /* the latest edition is */
    bool took_part; /* the caller approved or submitted it */
    bool extension_asked;
    bool extension_by_caller;
    bool extended;
};

/* What follows when somebody who is all of `roles` takes a step: 0 and the new state (which may be
 * the old one), or -1 and why not. NOT_FOUND/CATALOGUE_NOT_FOUND for strangers;
 * PERMISSION_DENIED/CATALOGUE_ROLE, CATALOGUE_OWN; FAILED_PRECONDITION/CATALOGUE_STATE,
 * CATALOGUE_UNCHANGED, CATALOGUE_UNASSESSED, EXTENSION_ASKED, EXTENSION_NOT_ASKED,
 * EXTENSION_GIVEN; INVALID_ARGUMENT/CATALOGUE_STEP for what is no step. */
int catalogue_next(const struct catalogue_facts *facts, enum catalogue_event event, unsigned roles,
                   enum catalogue_state *next_r, struct err *err);

/* A step that must say why: an empty text is refused before anything else is asked. */
bool catalogue_needs_text(enum catalogue_event event);

/* The rows of the table, for those who show or compare it; false behind the last. */
struct catalogue_rule {
    enum catalogue_event event;
    enum catalogue_state from;
    enum catalogue_state to;
    unsigned roles;
};
bool catalogue_rule_at(unsigned index, struct catalogue_rule *rule_r);

/* "CHANGE_DUE", as in the database and in JSON; "" outside the enum. */
const char *catalogue_state_name(enum catalogue_state state);
const char *catalogue_event_name(enum catalogue_event event);
const char *catalogue_role_name(enum catalogue_role role);
/* 0 for no such name. */
enum catalogue_state catalogue_state_of(const char *name);
enum catalogue_event catalogue_event_of(const char *name);

#endif
