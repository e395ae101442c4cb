/* The gateway's configuration: one YAML file, constant for the life of a process.
 * Ownership: a struct conf owns all its texts until conf_free.
 * Never calls back; loading is synchronous.
 * Limits: each option's own, in the option table (conf_options), which the manual is made from.
 * Does not open the files it names: the process that needs one does, and reports it. */
#ifndef SLUICE_CONF_CONF_H
#define SLUICE_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum {
    CONF_SOURCES_MAX = 64,
    CONF_WORKERS_MAX = 64,
    /* Floors that the law sets; docs/audit.md names it. As in migration 013. */
    CONF_USAGE_DAYS_MIN = 1096,
    CONF_NETWORK_DAYS_MIN = 183,
    CONF_DAYS_MAX = 36525,
};

/* One department database. */
struct conf_source {
    char *name;
    char *database; /* libpq conninfo, secret */
    int64_t shared_connections;
    int64_t leased_connections;
};

/* A department database that transfers write to. */
struct conf_target {
    char *name;     /* of the source whose tables it is about */
    char *database; /* libpq conninfo, secret */
};

struct conf {
    char *instance;
    char *trust_domain;
    int64_t workers;

    char *listen_systems; /* "address:port" */
    char *listen_officers;
    char *listen_ops;

    char *tls_certificate;
    char *tls_key;
    char *tls_client_ca;
    char *tls_crl;
    bool tls_allow_tls12;

    char *control_database;

    bool audit_enabled; /* false: bench only, loudly */
    char *audit_database;
    char *audit_origin;
    char *audit_signing_key;
    char *audit_sm2_key;
    char *audit_salt_key;
    char *audit_person_key;
    char *audit_checkpoint_file;
    int64_t audit_usage_days;   /* from CONF_USAGE_DAYS_MIN */
    int64_t audit_network_days; /* from CONF_NETWORK_DAYS_MIN */

    char *token_key;
    char *mask_key;          /* "" : none */
    char *schemas_from;      /* files control */
    char *schemas_directory; /* this and the next are set with "files" */
    char *schemas_descriptors;
    bool schemas_single_officer;

    int64_t connection_age_max_ms;
    int64_t connections_max; /* of one worker */
    int64_t request_bytes_max;
    int64_t deadline_default_ms;
    int64_t deadline_max_ms;
    int64_t stream_seconds_max;
    int64_t streams_per_source;
    int64_t drain_ms;
    int64_t lookup_timeout_ms;

    char *log_level;  /* debug info warn error */
    char *log_format; /* logfmt json */

    struct conf_source *sources;
    size_t source_count;
    struct conf_target *targets;
    size_t target_count;
};

/* NULL with INVALID_ARGUMENT/CONFIG_INVALID and "file:line:column: sentence" in err->text. */
struct conf *conf_load(const char *path, struct err *err);
void conf_free(struct conf **conf);

/* The schema bundle is the one that is current in the control database. */
bool conf_schemas_in_control(const struct conf *conf);

enum conf_type { CONF_STRING, CONF_FILE, CONF_ADDRESS, CONF_INT, CONF_BOOL, CONF_CHOICE };

/* One row of the option table. */
struct conf_option {
    const char *name; /* dotted path in the file; "sources[]." for each item of that list */
    enum conf_type type;
    size_t offset; /* in struct conf, or in the item's struct */
    int64_t min;
    int64_t max;
    const char *unit;     /* "" for none */
    const char *fallback; /* default as text; NULL: the option is required */
    const char *choices;  /* CONF_CHOICE: separated by blanks */
    bool secret;
    const char *help;
    const char *help_zh;
};

/* The rows, in the order of the manual; NULL behind the last. */
const struct conf_option *conf_option_at(size_t index);

#endif
