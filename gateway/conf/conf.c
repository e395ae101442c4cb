#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/yaml.h"

enum { CONF_KEYS_MAX = 128, CONF_NAME_BYTES = 64 };

static const char source_prefix[] = "sources[].";
static const char target_prefix[] = "targets[].";

static bool is_item_option(const struct conf_option *option)
{
    return strstr(option->name, "[].") != NULL;
}

static bool is_option_of(const struct conf_option *option, const char *prefix)
{
    return strncmp(option->name, prefix, strlen(prefix)) == 0;
}

/* --- one value ---------------------------------------------------------------------------------
 */

static char **text_at(void *target, const struct conf_option *option)
{
    return (char **)(void *)((char *)target + option->offset);
}

static int set_int(void *target, const struct conf_option *option, const struct yaml_node *node,
                   struct err *err)
{
    int64_t value;
    if (node == NULL)
        value = strtoll(option->fallback, NULL, 10);
    else if (yaml_read_int(node, option->min, option->max, &value, err) < 0)
        return -1;
    memcpy((char *)target + option->offset, &value, sizeof value);
    return 0;
}

static int set_bool(void *target, const struct conf_option *option, const struct yaml_node *node,
                    struct err *err)
{
    bool value = option->fallback != NULL && strcmp(option->fallback, "true") == 0;
    if (node != NULL && yaml_read_bool(node, &value, err) < 0)
        return -1;
    memcpy((char *)target + option->offset, &value, sizeof value);
    return 0;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = choices; *p != '\0';) {
        size_t word = strcspn(p, " ");
        if (word == len && strncmp(p, text, len) == 0)
            return true;
        p += word + (p[word] == ' ');
    }
    return false;
}

static int set_text(void *target, const struct conf_option *option, const struct yaml_node *node,
                    struct err *err)
{
    if (node == NULL) {
        *text_at(target, option) =
            option->fallback[0] != '\0' ? mem_strdup(option->fallback) : NULL;
        return 0;
    }
    if (yaml_expect(node, YAML_SCALAR, option->name, err) < 0)
        return -1;
    const char *text = yaml_text(node);
    if (text[0] == '\0')
        return yaml_error(node, err, "CONFIG_INVALID", "%s must not be empty", option->name);
    if (option->type == CONF_STRING &&
        (strlen(text) < (size_t)option->min || strlen(text) > (size_t)option->max))
        return yaml_error(node, err, "CONFIG_INVALID", "%s must have %lld to %lld bytes",
                          option->name, (long long)option->min, (long long)option->max);
    struct sockaddr_storage address;
    if (option->type == CONF_ADDRESS && address_parse(text, &address) == 0)
        return yaml_error(node, err, "CONFIG_INVALID",
                          "%s must be an IP address and a port, such as 127.0.0.1:8443",
                          option->name);
    if (option->type == CONF_CHOICE && !is_choice(option->choices, text))
        return yaml_error(node, err, "CONFIG_INVALID", "%s must be one of: %s", option->name,
                          option->choices);
    *text_at(target, option) = mem_strdup(text);
    return 0;
}

static int set_option(void *target, const struct conf_option *option,
                      const struct yaml_node *parent, const struct yaml_node *node, struct err *err)
{
    if (node == NULL && option->fallback == NULL)
        return yaml_error(parent, err, "CONFIG_INVALID", "%s is missing: %s", option->name,
                          option->help);
    switch (option->type) {
    case CONF_INT:
        return set_int(target, option, node, err);
    case CONF_BOOL:
        return set_bool(target, option, node, err);
    case CONF_STRING:
    case CONF_FILE:
    case CONF_ADDRESS:
    case CONF_CHOICE:
        break;
    }
    return set_text(target, option, node, err);
}

/* --- the file -----------------------------------------------------------------------------------
 */

/* Keys that may stand under `prefix` ("" = the top): the first part of each option's rest. */
static size_t keys_under(const char *prefix, char names[CONF_KEYS_MAX][CONF_NAME_BYTES],
                         const char *keys[CONF_KEYS_MAX + 1])
{
    size_t count = 0;
    size_t skip = strlen(prefix);
    const struct conf_option *option;
    for (size_t i = 0; (option = conf_option_at(i)) != NULL && count < CONF_KEYS_MAX; i++) {
        if (strncmp(option->name, prefix, skip) != 0)
            continue;
        const char *rest = option->name + skip;
        (void)snprintf(names[count], CONF_NAME_BYTES, "%.*s", (int)strcspn(rest, ".["), rest);
        keys[count] = names[count];
        count++;
    }
    keys[count] = NULL;
    return count;
}

static int check_keys(const struct yaml_node *node, const char *prefix, struct err *err)
{
    char names[CONF_KEYS_MAX][CONF_NAME_BYTES];
    const char *keys[CONF_KEYS_MAX + 1];
    (void)keys_under(prefix, names, keys);
    return yaml_check_keys(node, keys, err);
}

static int check_section_keys(const struct yaml_node *root, struct err *err)
{
    if (check_keys(root, "", err) < 0)
        return -1;
    for (size_t i = 0; i < yaml_count(root); i++) {
        const struct yaml_node *value = yaml_value(root, i);
        char prefix[CONF_NAME_BYTES + 2];
        if (yaml_kind(value) != YAML_MAPPING)
            continue;
        (void)snprintf(prefix, sizeof prefix, "%.60s.", yaml_text(yaml_key(root, i)));
        if (check_keys(value, prefix, err) < 0)
            return -1;
    }
    return 0;
}

static int load_main(struct conf *conf, const struct yaml_node *root, struct err *err)
{
    const struct conf_option *option;
    for (size_t i = 0; (option = conf_option_at(i)) != NULL; i++) {
        if (is_item_option(option))
            continue;
        const struct yaml_node *parent = root;
        const char *name = option->name;
        const char *dot = strchr(name, '.');
        if (dot != NULL) {
            char section[CONF_NAME_BYTES];
            (void)snprintf(section, sizeof section, "%.*s", (int)(dot - name), name);
            parent = yaml_get(root, section);
            if (parent != NULL && yaml_expect(parent, YAML_MAPPING, section, err) < 0)
                return -1;
            name = dot + 1;
        }
        const struct yaml_node *node = parent != NULL ? yaml_get(parent, name) : NULL;
        if (set_option(conf, option, parent != NULL ? parent : root, node, err) < 0)
            return -1;
    }
    return 0;
}

bool conf_schemas_in_control(const struct conf *conf)
{
    return strcmp(conf->schemas_from, "control") == 0;
}

static int check_schemas(const struct conf *conf, const struct yaml_node *root, struct err *err)
{
    if (conf_schemas_in_control(conf))
        return 0;
    const struct yaml_node *section = yaml_get(root, "schemas");
    const struct yaml_node *place = section != NULL ? section : root;
    if (conf->schemas_directory == NULL || conf->schemas_descriptors == NULL)
        return yaml_error(place, err, "CONFIG_INVALID",
                          "%s is missing: it is needed unless schemas.from is control",
                          conf->schemas_directory == NULL ? "schemas.directory"
                                                          : "schemas.descriptors");
    return 0;
}

static int load_item(void *out, const char *prefix, const struct yaml_node *item, struct err *err)
{
    if (yaml_expect(item, YAML_MAPPING, "an item", err) < 0 || check_keys(item, prefix, err) < 0)
        return -1;
    const struct conf_option *option;
    for (size_t i = 0; (option = conf_option_at(i)) != NULL; i++)
        if (is_option_of(option, prefix) &&
            set_option(out, option, item, yaml_get(item, option->name + strlen(prefix)), err) < 0)
            return -1;
    return 0;
}

static int check_list(const struct yaml_node *list, const char *name, struct err *err)
{
    if (yaml_expect(list, YAML_SEQUENCE, name, err) < 0)
        return -1;
    if (yaml_count(list) > CONF_SOURCES_MAX)
        return yaml_error(list, err, "CONFIG_INVALID", "at most %d %s", CONF_SOURCES_MAX, name);
    return 0;
}

static int load_sources(struct conf *conf, const struct yaml_node *root, struct err *err)
{
    const struct yaml_node *list = yaml_get(root, "sources");
    if (list == NULL)
        return yaml_error(root, err, "CONFIG_INVALID",
                          "sources is missing: list the department databases");
    if (check_list(list, "sources", err) < 0)
        return -1;
    conf->sources = mem_array(yaml_count(list), sizeof *conf->sources);
    for (size_t i = 0; i < yaml_count(list); i++) {
        const struct yaml_node *item = yaml_item(list, i);
        conf->source_count = i + 1;
        if (load_item(&conf->sources[i], source_prefix, item, err) < 0)
            return -1;
        for (size_t j = 0; j < i; j++)
            if (strcmp(conf->sources[j].name, conf->sources[i].name) == 0)
                return yaml_error(item, err, "CONFIG_INVALID", "the source %s stands here twice",
                                  conf->sources[i].name);
    }
    return 0;
}

static bool has_source(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->source_count; i++)
        if (strcmp(conf->sources[i].name, name) == 0)
            return true;
    return false;
}

static int load_targets(struct conf *conf, const struct yaml_node *root, struct err *err)
{
    const struct yaml_node *list = yaml_get(root, "targets");
    if (list == NULL)
        return 0;
    if (check_list(list, "targets", err) < 0)
        return -1;
    conf->targets = mem_array(yaml_count(list), sizeof *conf->targets);
    for (size_t i = 0; i < yaml_count(list); i++) {
        const struct yaml_node *item = yaml_item(list, i);
        conf->target_count = i + 1;
        if (load_item(&conf->targets[i], target_prefix, item, err) < 0)
            return -1;
        if (!has_source(conf, conf->targets[i].name))
            return yaml_error(item, err, "CONFIG_INVALID",
                              "the target %s has no source of that name, which tells its tables",
                              conf->targets[i].name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(conf->targets[j].name, conf->targets[i].name) == 0)
                return yaml_error(item, err, "CONFIG_INVALID", "the target %s stands here twice",
                                  conf->targets[i].name);
    }
    return 0;
}

struct conf *conf_load(const char *path, struct err *err)
{
    struct yaml *yaml = yaml_load(path, err);
    if (yaml == NULL)
        return NULL;
    struct conf *conf = mem_zero(sizeof *conf);
    const struct yaml_node *root = yaml_root(yaml);
    int result = yaml_expect(root, YAML_MAPPING, "the configuration", err);
    if (result == 0)
        result = check_section_keys(root, err);
    if (result == 0)
        result = load_main(conf, root, err);
    if (result == 0)
        result = check_schemas(conf, root, err);
    if (result == 0)
        result = load_sources(conf, root, err);
    if (result == 0)
        result = load_targets(conf, root, err);
    yaml_free(&yaml);
    if (result < 0)
        conf_free(&conf);
    return conf;
}

/* `prefix` NULL: the options that stand in no list. */
static void free_texts(void *target, const char *prefix)
{
    const struct conf_option *option;
    for (size_t i = 0; (option = conf_option_at(i)) != NULL; i++) {
        bool mine = prefix != NULL ? is_option_of(option, prefix) : !is_item_option(option);
        if (!mine || option->type == CONF_INT || option->type == CONF_BOOL)
            continue;
        char **text = text_at(target, option);
        if (*text != NULL && option->secret)
            explicit_bzero(*text, strlen(*text));
        free(*text);
    }
}

void conf_free(struct conf **conf_ref)
{
    struct conf *conf = *conf_ref;
    if (conf == NULL)
        return;
    *conf_ref = NULL;
    for (size_t i = 0; i < conf->source_count; i++)
        free_texts(&conf->sources[i], source_prefix);
    for (size_t i = 0; i < conf->target_count; i++)
        free_texts(&conf->targets[i], target_prefix);
    free(conf->sources);
    free(conf->targets);
    free_texts(conf, NULL);
    free(conf);
}
