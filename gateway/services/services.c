#include "services/services.h"

#include "services/admin.h"
#include "services/application_steps.h"
#include "services/catalogue_methods.h"
#include "services/exchange.h"

extern const struct rpc_method health_check_method;
extern const struct rpc_method health_watch_method;
extern const struct rpc_method reflection_method;
extern const struct rpc_method catalog_list_method;
extern const struct rpc_method catalog_get_method;
extern const struct rpc_method agreement_grant_method;
extern const struct rpc_method agreement_revoke_method;
extern const struct rpc_method agreement_list_method;
extern const struct rpc_method agreement_get_method;
extern const struct rpc_method agreement_explain_method;
extern const struct rpc_method schema_check_method;
extern const struct rpc_method schema_publish_method;
extern const struct rpc_method schema_approve_method;
extern const struct rpc_method schema_diff_method;
extern const struct rpc_method schema_get_method;
extern const struct rpc_method schema_list_method;
extern const struct rpc_method audit_search_method;
extern const struct rpc_method audit_checkpoint_method;
extern const struct rpc_method audit_entry_method;
extern const struct rpc_method audit_inclusion_method;
extern const struct rpc_method audit_consistency_method;
extern const struct rpc_method audit_evidence_method;
extern const struct rpc_method audit_key_change_method;
extern const struct rpc_method audit_statistics_method;
extern const struct rpc_method audit_filter_save_method;
extern const struct rpc_method audit_filter_list_method;
extern const struct rpc_method audit_filter_delete_method;
extern const struct rpc_method audit_opening_request_method;
extern const struct rpc_method audit_opening_approve_method;
extern const struct rpc_method audit_opening_list_method;
extern const struct rpc_method audit_erasure_request_method;
extern const struct rpc_method audit_erasure_approve_method;
extern const struct rpc_method audit_erasure_list_method;
extern const struct rpc_method audit_hold_place_method;
extern const struct rpc_method audit_hold_request_lift_method;
extern const struct rpc_method audit_hold_approve_lift_method;
extern const struct rpc_method audit_hold_list_method;
extern const struct rpc_method audit_archive_announce_method;
extern const struct rpc_method quality_assess_method;
extern const struct rpc_method quality_report_method;
extern const struct rpc_method quality_compare_method;
extern const struct rpc_method quality_list_method;
extern const struct rpc_method quality_view_method;
extern const struct rpc_method quality_replay_method;
extern const struct rpc_method transfer_create_method;
extern const struct rpc_method transfer_get_method;
extern const struct rpc_method transfer_list_method;
extern const struct rpc_method transfer_watch_method;
extern const struct rpc_method transfer_pause_method;
extern const struct rpc_method transfer_resume_method;
extern const struct rpc_method transfer_cancel_method;
extern const struct rpc_method transfer_verify_method;

const struct rpc_method *const services_methods[] = {
    &health_check_method,
    &health_watch_method,
    &reflection_method,
    &catalog_list_method,
    &catalog_get_method,
    &catalogue_import_method,
    &catalogue_step_method,
    &catalogue_entry_method,
    &catalogue_entries_method,
    &catalogue_overlaps_method,
    &exchange_lookup_method,
    &exchange_batch_lookup_method,
    &exchange_query_method,
    &exchange_verify_method,
    &agreement_grant_method,
    &agreement_revoke_method,
    &agreement_list_method,
    &agreement_get_method,
    &agreement_explain_method,
    &application_request_method,
    &application_sign_off_method,
    &application_submit_method,
    &application_ask_supplement_method,
    &application_answer_supplement_method,
    &application_ask_extension_method,
    &application_extend_method,
    &application_decide_method,
    &application_provision_method,
    &application_activate_method,
    &application_suspend_method,
    &application_resume_method,
    &application_terminate_method,
    &application_require_disposal_method,
    &application_confirm_disposal_method,
    &application_get_method,
    &application_list_method,
    &deadlines_due_method,
    &deadlines_scorecard_method,
    &schema_check_method,
    &schema_publish_method,
    &schema_approve_method,
    &schema_diff_method,
    &schema_get_method,
    &schema_list_method,
    &audit_search_method,
    &audit_checkpoint_method,
    &audit_entry_method,
    &audit_inclusion_method,
    &audit_consistency_method,
    &audit_evidence_method,
    &audit_key_change_method,
    &quality_assess_method,
    &quality_report_method,
    &quality_list_method,
    &quality_view_method,
    &quality_compare_method,
    &quality_replay_method,
    &audit_filter_save_method,
    &audit_filter_list_method,
    &audit_statistics_method,
    &audit_filter_delete_method,
    &audit_opening_request_method,
    &audit_opening_approve_method,
    &audit_opening_list_method,
    &audit_erasure_request_method,
    &audit_erasure_approve_method,
    &audit_erasure_list_method,
    &audit_hold_place_method,
    &audit_hold_request_lift_method,
    &audit_hold_approve_lift_method,
    &audit_hold_list_method,
    &audit_archive_announce_method,
    &transfer_create_method,
    &transfer_get_method,
    &transfer_list_method,
    &transfer_watch_method,
    &transfer_pause_method,
    &transfer_resume_method,
    &transfer_cancel_method,
    &transfer_verify_method,
    NULL,
};
