/* sluice catalog list|show|drift */
#include <string.h>

#include "cli/drift_notices.h"
#include "cli/remote.h"

struct listing {
    struct output *output;
    enum output_format format;
};

static const char *const list_columns[] = { "name",       "title",   "titleZh",
                                            "department", "sharing", "state" };
static const char *const drift_columns[] = { "kind",  "table",      "column", "expected",
                                             "found", "compatible", "foundAt" };
static const char *const field_columns[] = { "name",        "type",       "labelZh", "semantic",
                                             "sensitivity", "filterable", "granted", "verifiable" };

#define COUNT(array_) (sizeof(array_) / sizeof(array_)[0])

static bool as_json(enum output_format format)
{
    return format == OUTPUT_JSON || format == OUTPUT_JSONL;
}

static int write_row(const struct listing *listing, json_t *item, const char *const *columns,
                     size_t count)
{
    json_t *row =
        as_json(listing->format) ? json_incref(item) : remote_project(item, columns, count);
    int failed = output_row(listing->output, row);

    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

static int list_item(void *context, json_t *item)
{
    return write_row(context, item, list_columns, COUNT(list_columns));
}

int catalog_list(struct cli *cli)
{
    struct listing listing = { .format = cli->format };
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    listing.output = cli_output(cli);
    output_set_columns(listing.output, list_columns, COUNT(list_columns));
    status = remote_pages(client, "sluice.v1.CatalogService/ListDatasets",
                          json_pack("{s:i}", "pageSize", 1000), "datasets", list_item, &listing);
    connect_client_close(&client);
    return cli_output_end(&listing.output, status);
}

/* A table shows the dataset's own lines first and its fields below; CSV only the fields. */
static int show_dataset(struct cli *cli, json_t *dataset)
{
    struct listing listing = { .format = cli->format };
    const json_t *fields = remote_member(dataset, "fields");
    int status = EXIT_OK;

    if (as_json(cli->format)) {
        listing.output = cli_output(cli);
        if (output_object(listing.output, dataset) != 0)
            status = EXIT_FAILED;
        return cli_output_end(&listing.output, status);
    }
    if (cli->format == OUTPUT_TABLE) {
        static const char *const head[] = { "name",         "title",       "titleZh",
                                            "department",   "typeName",    "sharing",
                                            "key",          "state",       "stateReason",
                                            "schemaDigest", "grantedModes" };
        json_t *row = remote_project(dataset, head, COUNT(head));
        struct output *output = cli_output(cli);

        if (output_object(output, row) != 0)
            status = EXIT_FAILED;
        json_decref(row);
        status = cli_output_end(&output, status);
        putchar('\n');
    }
    listing.output = cli_output(cli);
    output_set_columns(listing.output, field_columns, COUNT(field_columns));
    for (size_t i = 0; i < json_array_size(fields) && status == EXIT_OK; i++)
        status =
            write_row(&listing, json_array_get(fields, i), field_columns, COUNT(field_columns));
    return cli_output_end(&listing.output, status);
}

/* GetDataset of the operand; EXIT_OK, or an exit status after a report. */
static int get_dataset(struct cli *cli, json_t **dataset_r)
{
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    status = remote_call(client, "sluice.v1.CatalogService/GetDataset",
                         json_pack("{s:s}", "name", cli->operands[0]), dataset_r);
    connect_client_close(&client);
    return status;
}

int catalog_show(struct cli *cli)
{
    json_t *dataset = NULL;
    int status = get_dataset(cli, &dataset);

    if (status != EXIT_OK)
        return status;
    status = show_dataset(cli, dataset);
    if (cli->format == OUTPUT_TABLE)
        drift_notices_show(dataset);
    json_decref(dataset);
    return status;
}

/* proto3 JSON leaves `false` out; here it is the news. */
static json_t *drift_row(const json_t *notice)
{
    json_t *row = remote_project(notice, drift_columns, COUNT(drift_columns));

    json_object_set_new(row, "compatible",
                        json_boolean(json_is_true(remote_member(notice, "compatible"))));
    return row;
}

int catalog_drift(struct cli *cli)
{
    json_t *dataset = NULL;
    int status = get_dataset(cli, &dataset), failed = 0;

    if (status != EXIT_OK)
        return status;
    const json_t *drift = remote_member(dataset, "drift");
    struct output *output = cli_output(cli);
    output_set_columns(output, drift_columns, COUNT(drift_columns));
    for (size_t i = 0; failed == 0 && i < json_array_size(drift); i++) {
        json_t *row = drift_row(json_array_get(drift, i));
        failed = output_row(output, row);
        json_decref(row);
    }
    status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    if (remote_text(dataset, "stateReason")[0] != '\0')
        NOTE(MSG_DRIFT_CLOSED, remote_text(dataset, "stateReason"));
    else if (json_array_size(drift) == 0)
        NOTE(MSG_DRIFT_NONE);
    json_decref(dataset);
    return status;
}
