/* conf: the configuration file against the option table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/conf.h"

static const char good[] = "instance: test\n"
                           "trust_domain: sluice.example\n"
                           "listen:\n"
                           "  systems: 127.0.0.1:1\n"
                           "  officers: \"[::1]:2\"\n"
                           "tls: {certificate: a, key: b, client_ca: c}\n"
                           "control: {database: d}\n"
                           "audit: {database: e, origin: o, signing_key: f, salt_key: g,\n"
                           "        person_key: h, checkpoint_file: i}\n"
                           "token_key: j\n"
                           "schemas: {directory: k, descriptors: l}\n"
                           "sources:\n"
                           "  - {name: one, database: m}\n"
                           "  - {name: two, database: n, leased_connections: 3}\n";

static struct conf *load(const char *text, struct err *err)
{
    char path[] = "/tmp/sluice-conf-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    struct conf *conf = conf_load(path, err);
    (void)unlink(path);
    return conf;
}

static void defaults_and_values_are_read(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct conf *conf = load(good, &err);
    assert_non_null(conf);
    assert_string_equal(conf->instance, "test");
    assert_string_equal(conf->listen_officers, "[::1]:2");
    assert_string_equal(conf->listen_ops, "127.0.0.1:9443");
    assert_int_equal(conf->workers, 2);
    assert_null(conf->tls_crl);
    assert_true(conf->audit_enabled);
    assert_int_equal(conf->drain_ms, 30000);
    assert_int_equal(conf->source_count, 2);
    assert_int_equal(conf->sources[0].leased_connections, 8);
    assert_int_equal(conf->sources[1].leased_connections, 3);
    conf_free(&conf);
    assert_null(conf);
}

static void refuse(const char *from, const char *to, const char *position, const char *words)
{
    char text[2048];
    const char *at = strstr(good, from);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    struct err err = ERR_INIT;
    assert_null(load(text, &err));
    assert_non_null(strstr(err.text, position));
    assert_non_null(strstr(err.text, words));
}

static void accept_line(const char *from, const char *to)
{
    char text[2048];
    const char *at = strstr(good, from);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    struct err err = ERR_INIT;
    struct conf *conf = load(text, &err);
    assert_non_null(conf);
    conf_free(&conf);
}

/* The file with this behind it. */
static struct conf *load_with(const char *more, struct err *err)
{
    char text[4096];
    (void)snprintf(text, sizeof text, "%s%s", good, more);
    return load(text, err);
}

static void targets_are_sources_that_may_be_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } wrong[] = {
        { "targets: [{name: three, database: x}]\n", "no source of that name" },
        { "targets: [{name: one, database: x}, {name: one, database: y}]\n", "twice" },
        { "targets: [{name: one}]\n", "targets[].database is missing" },
        { "targets: [{name: one, database: x, shared_connections: 2}]\n", "shared_connections" },
        { "targets: {name: one, database: x}\n", "name" },
    };
    struct err err = ERR_INIT;
    struct conf *conf = load_with("", &err);
    assert_non_null(conf);
    assert_int_equal(conf->target_count, 0);
    conf_free(&conf);
    conf = load_with("targets: [{name: two, database: x}]\n", &err);
    assert_non_null(conf);
    assert_int_equal(conf->target_count, 1);
    assert_string_equal(conf->targets[0].name, "two");
    assert_string_equal(conf->targets[0].database, "x");
    assert_string_equal(conf->sources[1].database, "n");
    conf_free(&conf);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(load_with(wrong[i].text, &err));
        assert_non_null(strstr(err.text, wrong[i].words));
    }
}

/* Longer than the law asks for, never shorter. */
static void nothing_is_kept_shorter_than_the_law_asks(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *floor; /* NULL: accepted */
    } cases[] = {
        { "usage_days: 1095", "1096" }, { "usage_days: 1096", NULL },
        { "usage_days: 36525", NULL },  { "usage_days: 36526", "1096" },
        { "usage_days: 0", "1096" },    { "network_days: 182", "183" },
        { "network_days: 183", NULL },  { "network_days: -1", "183" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char section[64];
        (void)snprintf(section, sizeof section, "checkpoint_file: i, %s}", cases[i].line);
        if (cases[i].floor != NULL)
            refuse("checkpoint_file: i}", section, ":9:", cases[i].floor);
        else
            accept_line("checkpoint_file: i}", section);
    }
    struct err err = ERR_INIT;
    struct conf *conf = load_with("", &err);
    assert_int_equal(conf->audit_usage_days, 1096);
    assert_int_equal(conf->audit_network_days, 183);
    conf_free(&conf);
}

static void wrong_files_are_refused_with_line_and_column(void **state)
{
    (void)state;
    refuse("instance: test\n", "instanse: test\n", ":1:1:", "instance"); /* did you mean */
    refuse("instance: test\n", "instance: test\nworkers: many\n", ":2:10:", "");
    refuse("instance: test\n", "instance: test\nworkers: 1000\n", ":2:10:", "64");
    refuse("instance: test\n", "", ":1:1:", "instance is missing");
    refuse("127.0.0.1:1", "localhost:1", ":4:12:", "IP address");
    refuse("127.0.0.1:1", "127.0.0.1:99999", ":4:12:", "IP address");
    refuse("certificate: a", "certificat: a", ":6:7:", "certificate");
    refuse("name: two", "name: one", ":14:5:", "twice");
    refuse("leased_connections: 3", "leased_connections: 0", ":14:", "");
    refuse("token_key: j", "token_key: j\nlog: {level: loud}", ":11:14:", "debug info warn error");
}

static void schemas_come_from_files_or_from_the_control_database(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct conf *conf = load(good, &err);
    assert_non_null(conf);
    assert_false(conf_schemas_in_control(conf));
    assert_false(conf->schemas_single_officer);
    conf_free(&conf);
    char text[2048];
    const char *at = strstr(good, "schemas: {directory: k, descriptors: l}");
    (void)snprintf(text, sizeof text, "%.*sschemas: {from: control}%s", (int)(at - good), good,
                   strchr(at, '\n'));
    conf = load(text, &err);
    assert_non_null(conf);
    assert_true(conf_schemas_in_control(conf));
    assert_null(conf->schemas_directory);
    conf_free(&conf);
    refuse("directory: k, ", "", ":11:10:", "schemas.directory is missing");
    refuse(", descriptors: l", "", ":11:10:", "schemas.descriptors is missing");
    refuse("schemas: {directory: k, descriptors: l}\n", "",
           ":1:1:", "schemas.directory is missing");
    refuse("{directory: k", "{from: elsewhere", ":11:17:", "files control");
}

static void every_option_is_explained_in_both_languages(void **state)
{
    (void)state;
    const struct conf_option *option;
    for (size_t i = 0; (option = conf_option_at(i)) != NULL; i++) {
        assert_true(strlen(option->help) > 10);
        assert_true(strlen(option->help_zh) > 10);
        if (option->type == CONF_INT && option->fallback != NULL)
            assert_in_range(strtoll(option->fallback, NULL, 10), option->min, option->max);
        if (option->type == CONF_CHOICE)
            assert_non_null(strstr(option->choices, option->fallback));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_values_are_read),
        cmocka_unit_test(targets_are_sources_that_may_be_written),
        cmocka_unit_test(nothing_is_kept_shorter_than_the_law_asks),
        cmocka_unit_test(wrong_files_are_refused_with_line_and_column),
        cmocka_unit_test(schemas_come_from_files_or_from_the_control_database),
        cmocka_unit_test(every_option_is_explained_in_both_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
