#include "audit/entry_view.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "sluice/v1/agreement.pb-c.h"
#include "sluice/v1/audit_entry.pb-c.h"

enum { ROWS_MAX = 64 };
#define YEAR_10000_US INT64_C(253402300800000000)

struct row {
    const char *key;
    const char *title; /* English · Chinese */
    char *value;
};

struct view {
    struct row rows[ROWS_MAX];
    size_t count;
};

/* Takes `value`. What is empty is left out. */
static void add(struct view *view, const char *key, const char *title, char *value)
{
    if (value == NULL || value[0] == '\0' || view->count == ROWS_MAX) {
        free(value);
        return;
    }
    view->rows[view->count++] = (struct row){ key, title, value };
}

/* Whoever made the entry checked its texts; whoever sends a bundle may not have. */
static void add_text(struct view *view, const char *key, const char *title, const char *text)
{
    if (text != NULL)
        add(view, key, title, mem_strdup(utf8_valid(text, strlen(text)) ? text : "(not UTF-8)"));
}

static void add_bytes(struct view *view, const char *key, const char *title,
                      ProtobufCBinaryData bytes)
{
    char *hex = mem_zero(2 * bytes.len + 1);
    hex_encode(bytes.data, bytes.len, hex);
    add(view, key, title, hex);
}

static void add_number(struct view *view, const char *key, const char *title, int64_t number)
{
    if (number != 0)
        add(view, key, title, mem_format("%" PRId64, number));
}

static void add_time(struct view *view, const char *key, const char *title, int64_t time_us)
{
    char text[CLOCK_TEXT_BYTES];
    if (time_us < 0 || time_us >= YEAR_10000_US) {
        add(view, key, title, mem_strdup("(no time)"));
        return;
    }
    clock_format(time_us, text);
    add(view, key, title, mem_strdup(text));
}

static void add_timestamp(struct view *view, const char *key, const char *title,
                          const Google__Protobuf__Timestamp *time)
{
    if (time != NULL)
        add_time(view, key, title,
                 time->seconds >= 0 && time->seconds < YEAR_10000_US / 1000000
                     ? time->seconds * 1000000 + time->nanos / 1000
                     : -1);
}

static void add_enum(struct view *view, const char *key, const char *title,
                     const ProtobufCEnumDescriptor *names, int value)
{
    const ProtobufCEnumValue *name = protobuf_c_enum_descriptor_get_value(names, value);
    add(view, key, title, name != NULL ? mem_strdup(name->name) : mem_format("%d", value));
}

static void view_head(struct view *view, const Sluice__V1__AuditEntry *entry, uint64_t index)
{
    add(view, "index", "Place in the log · 日志位置", mem_format("%" PRIu64, index));
    add_text(view, "origin", "Log · 日志", entry->origin);
    add_bytes(view, "id", "Entry · 条目编号", entry->id);
    add_time(view, "time", "Time (UTC) · 时间", entry->time_us);
    add_enum(view, "kind", "Kind · 类型", &sluice__v1__audit_entry__kind__descriptor,
             (int)entry->kind);
    add_bytes(view, "exchange_id", "Exchange · 交换编号", entry->exchange_id);
    add_text(view, "request_id", "Request · 请求编号", entry->request_id);
    add_text(view, "peer_exchange_id", "Exchange of the peer · 对方交换编号",
             entry->peer_exchange_id);
    add_text(view, "trace_id", "Trace · 追踪编号", entry->trace_id);
    add_text(view, "instance", "Gateway · 网关", entry->instance);
    add_bytes(view, "boot_id", "Process · 进程", entry->boot_id);
    add_number(view, "counter", "Count of the process · 进程计数", (int64_t)entry->counter);
    add_number(view, "stands_for", "Denials it stands for · 合并的拒绝次数",
               (int64_t)entry->stands_for);
}

static void view_parts(struct view *view, const Sluice__V1__AuditEntry *entry)
{
    if (entry->who != NULL) {
        add_text(view, "who.subject", "Who · 主体", entry->who->subject);
        add_text(view, "who.department", "Department · 部门", entry->who->department);
        add_text(view, "who.delegate", "Delegate · 代理人", entry->who->delegate);
        add_text(view, "who.auth_method", "Authenticated by · 认证方式", entry->who->auth_method);
        add_bytes(view, "who.credential", "Certificate (SHA-256) · 证书", entry->who->credential);
    }
    if (entry->why != NULL) {
        add_text(view, "why.purpose", "Purpose · 用途", entry->why->purpose);
        add_text(view, "why.legal_basis", "Legal basis · 法律依据", entry->why->legal_basis);
        add_text(view, "why.agreement", "Agreement · 协议", entry->why->agreement);
        add_bytes(view, "why.agreement_digest", "Digest of the agreement · 协议摘要",
                  entry->why->agreement_digest);
    }
    if (entry->what != NULL) {
        add_text(view, "what.method", "Method · 方法", entry->what->method);
        add_text(view, "what.dataset", "Dataset · 数据集", entry->what->dataset);
        add_text(view, "what.owner", "Owner · 提供方", entry->what->owner);
        add_bytes(view, "what.schema_digest", "Digest of schema and mappings · 模式与映射摘要",
                  entry->what->schema_digest);
        add_bytes(view, "what.fields", "Fields (bitmap) · 字段位图", entry->what->fields);
        add_bytes(view, "what.filter_digest", "Filter or key (salted digest) · 条件或主键摘要",
                  entry->what->filter_digest);
        add_text(view, "what.object", "Object · 对象", entry->what->object);
    }
}

static void view_outcome(struct view *view, const Sluice__V1__AuditEntry *entry)
{
    if (entry->decision != NULL) {
        add_enum(view, "decision.outcome", "Decision · 决定",
                 &sluice__v1__audit_entry__outcome__descriptor, (int)entry->decision->outcome);
        add_text(view, "decision.rule", "Rule · 规则", entry->decision->rule);
        add_text(view, "decision.reason", "Reason · 原因", entry->decision->reason);
        add_number(view, "decision.status", "Status of the answer · 应答状态",
                   entry->decision->status);
        add_number(view, "decision.agreement_epoch", "Agreement epoch · 协议版本",
                   entry->decision->agreement_epoch);
    }
    if (entry->rows != NULL) {
        add(view, "rows.count", "Records released · 放行记录数",
            mem_format("%" PRIu64, entry->rows->count));
        add_number(view, "rows.bytes", "Bytes · 字节数", (int64_t)entry->rows->bytes);
        add_number(view, "rows.batches", "Batches · 批次数", (int64_t)entry->rows->batches);
        add_number(view, "rows.quarantined", "Quarantined · 隔离数",
                   (int64_t)entry->rows->quarantined);
        add_enum(view, "rows.form", "Form of the digests · 摘要形式",
                 &sluice__v1__audit_entry__rows__form__descriptor, (int)entry->rows->form);
        add_bytes(view, "rows.root", "Root over the records' digests · 记录摘要的根",
                  entry->rows->root);
        add_bytes(view, "rows.response_digest", "Digest of the answer · 应答摘要",
                  entry->rows->response_digest);
    }
}

static int view_entry(struct view *view, struct slice leaf, uint64_t index)
{
    Sluice__V1__AuditEntry *entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    if (entry == NULL)
        return -1;
    view_head(view, entry, index);
    view_parts(view, entry);
    view_outcome(view, entry);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
    return 0;
}

static char *joined(char *const *items, size_t count)
{
    char *text = mem_strdup("");
    for (size_t i = 0; i < count; i++) {
        char *longer = mem_format("%s%s%s", text, i > 0 ? ", " : "",
                                  utf8_valid(items[i], strlen(items[i])) ? items[i] : "?");
        free(text);
        text = longer;
    }
    return text;
}

static void view_bounds(struct view *view, const Sluice__V1__Agreement *agreement)
{
    char *modes = mem_strdup("");
    for (size_t i = 0; i < agreement->n_modes; i++) {
        const ProtobufCEnumValue *mode = protobuf_c_enum_descriptor_get_value(
            &sluice__v1__agreement_mode__descriptor, (int)agreement->modes[i]);
        char *longer =
            mem_format("%s%s%s", modes, i > 0 ? ", " : "", mode != NULL ? mode->name : "?");
        free(modes);
        modes = longer;
    }
    add(view, "modes", "Modes · 使用方式", modes);
    add_timestamp(view, "valid_from", "Valid from · 生效", agreement->valid_from);
    add_timestamp(view, "valid_until", "Valid until · 到期", agreement->valid_until);
    if (agreement->rate_per_second > 0)
        add(view, "rate_per_second", "Calls a second · 每秒次数",
            mem_format("%.6f", agreement->rate_per_second));
    add_number(view, "rate_burst", "Burst · 突发", agreement->rate_burst);
    add_text(view, "legal_basis", "Legal basis · 法律依据", agreement->legal_basis);
}

static int view_agreement(struct view *view, struct slice bytes)
{
    Sluice__V1__Agreement *agreement = sluice__v1__agreement__unpack(NULL, bytes.len, bytes.data);
    if (agreement == NULL)
        return -1;
    add_text(view, "id", "Agreement · 协议", agreement->id);
    add_text(view, "consumer", "Consumer · 使用方", agreement->consumer);
    add_text(view, "dataset", "Dataset · 数据集", agreement->dataset);
    add(view, "fields", "Fields · 字段", joined(agreement->fields, agreement->n_fields));
    add_text(view, "row_filter", "Filter of every row · 行条件", agreement->row_filter);
    add(view, "purposes", "Purposes · 用途", joined(agreement->purposes, agreement->n_purposes));
    view_bounds(view, agreement);
    sluice__v1__agreement__free_unpacked(agreement, NULL);
    return 0;
}

static void view_fini(struct view *view)
{
    for (size_t i = 0; i < view->count; i++)
        free(view->rows[i].value);
}

/* --- texts --------------------------------------------------------------------------------------
 */

static int write_json(const struct view *view, struct buf *out)
{
    json_t *object = json_object();
    for (size_t i = 0; i < view->count; i++)
        json_object_set_new(object, view->rows[i].key, json_string(view->rows[i].value));
    char *text = json_dumps(object, JSON_INDENT(2));
    json_decref(object);
    int result = text != NULL && buf_append_str(out, text) == 0 ? buf_append_byte(out, '\n') : -1;
    free(text);
    return result;
}

static int write_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        int result;
        if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'' || (c < 0x20 && c != '\n'))
            result = buf_append_format(out, "&#%u;", c < 0x20 ? 0xfffdu : c);
        else
            result = buf_append_byte(out, c);
        if (result != 0)
            return -1;
    }
    return 0;
}

static int write_table(const struct view *view, const char *title, struct buf *out)
{
    if (buf_append_format(out, "<h2>%s</h2>\n<table>\n", title) != 0)
        return -1;
    for (size_t i = 0; i < view->count; i++) {
        if (buf_append_format(out, "<tr><th>%s</th><td>", view->rows[i].title) != 0 ||
            write_escaped(out, view->rows[i].value) != 0 ||
            buf_append_str(out, "</td></tr>\n") != 0)
            return -1;
    }
    return buf_append_str(out, "</table>\n");
}

static const char html_head[] =
    "<!DOCTYPE html>\n<html lang=\"zh\"><head><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n"
    "<title>Audit evidence · 审计证据</title>\n"
    "<style>body{font:15px/1.6 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}th,td{border:1px solid #bbb;padding:.3em .6em;"
    "text-align:left;vertical-align:top}th{width:18em;font-weight:normal;background:#f3f3f3}"
    "td{font-family:monospace;overflow-wrap:anywhere;white-space:pre-wrap}</style></head><body>\n"
    "<h1>Audit evidence · 审计证据</h1>\n"
    "<p>This page shows the entry; it proves nothing by itself. README.txt says how to check "
    "it.<br>\n本页仅供阅读，本身不构成证明；核验方法见 README.txt。</p>\n";

int entry_view_json(struct slice leaf, uint64_t index, struct buf *out)
{
    struct view view = { 0 };
    int result = view_entry(&view, leaf, index);
    if (result == 0)
        result = write_json(&view, out);
    view_fini(&view);
    return result;
}

int entry_view_agreement(struct slice agreement, struct buf *out)
{
    struct view view = { 0 };
    int result = view_agreement(&view, agreement);
    if (result == 0)
        result = write_json(&view, out);
    view_fini(&view);
    return result;
}

int entry_view_html(struct slice leaf, uint64_t index, struct slice agreement, struct buf *out)
{
    struct view entry = { 0 }, bound = { 0 };
    int result = view_entry(&entry, leaf, index);
    if (result == 0 && agreement.len > 0)
        result = view_agreement(&bound, agreement);
    if (result == 0)
        result = buf_append_str(out, html_head);
    if (result == 0)
        result = write_table(&entry, "Entry · 条目", out);
    if (result == 0 && bound.count > 0)
        result = write_table(&bound, "Agreement as it stood · 当时的协议", out);
    if (result == 0)
        result = buf_append_str(out, "</body></html>\n");
    view_fini(&entry);
    view_fini(&bound);
    return result;
}
