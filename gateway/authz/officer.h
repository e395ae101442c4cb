/* What an officer may do at all, whatever agreements and ownership say: roles, set by the operators.
 * Ownership: plain values.
 * Never calls back.
 * Limits: none.
 * Does not know officers: authz.h does. */
#ifndef SLUICE_AUTHZ_OFFICER_H
#define SLUICE_AUTHZ_OFFICER_H

#include <stddef.h>

/* Bits; an officer has one or several of the first three, or the last alone (migration 017). */
enum officer_role {
    OFFICER_REQUESTER = 1, /* 经办: applies, drafts, starts transfers and assessments */
    OFFICER_APPROVER = 2,  /* 审批: signs off, decides, grants, revokes, opens what is sealed */
    OFFICER_AUDITOR = 4,   /* 审计: reads the audit log and changes nothing */
    OFFICER_ADMINISTRATOR =
        8, /* 管理: publishes configuration, sees no record and no audit entry */
    /* Catalogue, agreements, applications, schemas, states of jobs: no record, no audit entry. */
    OFFICER_EVERY = OFFICER_REQUESTER | OFFICER_APPROVER | OFFICER_AUDITOR | OFFICER_ADMINISTRATOR,
    OFFICER_CASEWORK = OFFICER_REQUESTER | OFFICER_APPROVER,
};

/* "requester" ... "administrator", of one bit. */
const char *officer_role_name(enum officer_role role);
/* The bits of names with commas between, unknown ones are no role. */
unsigned officer_roles_parse(const char *text, size_t len);

#endif
