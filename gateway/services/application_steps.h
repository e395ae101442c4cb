/* The methods of AgreementService that applications are made of; see the table in services.c.
 * Ownership: constants.
 * Callbacks: see struct rpc_method.
 * Limits: those of application_rows.h.
 * Says nothing of what they do: proto/sluice/v1/agreement.proto does. */
#ifndef SLUICE_SERVICES_APPLICATION_STEPS_H
#define SLUICE_SERVICES_APPLICATION_STEPS_H

#include "rpc/call.h"

extern const struct rpc_method application_request_method;
extern const struct rpc_method application_sign_off_method;
extern const struct rpc_method application_submit_method;
extern const struct rpc_method application_ask_supplement_method;
extern const struct rpc_method application_answer_supplement_method;
extern const struct rpc_method application_ask_extension_method;
extern const struct rpc_method application_extend_method;
extern const struct rpc_method application_decide_method;
extern const struct rpc_method application_provision_method;
extern const struct rpc_method application_activate_method;
extern const struct rpc_method application_suspend_method;
extern const struct rpc_method application_resume_method;
extern const struct rpc_method application_terminate_method;
extern const struct rpc_method application_require_disposal_method;
extern const struct rpc_method application_confirm_disposal_method;
extern const struct rpc_method application_get_method;
extern const struct rpc_method application_list_method;
extern const struct rpc_method deadlines_due_method;
extern const struct rpc_method deadlines_scorecard_method;

#endif
