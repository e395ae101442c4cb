#include "cli/messages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/text.h"

enum { MESSAGE_BYTES_MAX = 1024 * 1024 };

static const char *const texts[MSG_COUNT][LANGUAGE_COUNT] = {
    [MSG_NONE] = { "", "" },
#define MESSAGE(name_, en_, zh_) [MSG_##name_] = { en_, zh_ },
#include "cli/texts/all.def"
#undef MESSAGE
};

static const struct {
    const char *reason;
    const char *hint;
} hints_zh[] = {
#define HINT(reason_, hint_) { reason_, hint_ },
#include "cli/texts/hints_zh.def"
#undef HINT
};

static const struct {
    const char *name;
    const char *heading;
} headings_zh[] = {
#define HEADING(name_, heading_) { name_, heading_ },
#include "cli/texts/headings_zh.def"
#undef HEADING
};

static enum language chosen = LANGUAGE_EN;

void messages_set_language(enum language language)
{
    chosen = language;
}

enum language messages_language(void)
{
    return chosen;
}

const char *message_in(enum message_id id, enum language language)
{
    return texts[id][language];
}

const char *message(enum message_id id)
{
    return texts[id][chosen];
}

char *message_fill(enum message_id id, const char *const *args, size_t count)
{
    const char *at = message(id);
    struct buf out;
    size_t used = 0, len;

    buf_init(&out, MESSAGE_BYTES_MAX); /* beyond it the text is cut: it is for reading */
    for (;;) {
        const char *place = strstr(at, "%s");

        if (place == NULL)
            break;
        assert(used < count);
        (void)buf_append(&out, at, (size_t)(place - at));
        (void)text_append_safe(&out, args[used], strlen(args[used]));
        used++;
        at = place + 2;
    }
    (void)buf_append_str(&out, at);
    (void)buf_cstr(&out);
    return (char *)buf_steal(&out, &len);
}

const char *message_reason_hint(const char *reason)
{
    if (chosen != LANGUAGE_ZH)
        return NULL;
    for (size_t i = 0; i < sizeof hints_zh / sizeof hints_zh[0]; i++)
        if (strcmp(hints_zh[i].reason, reason) == 0)
            return hints_zh[i].hint;
    return NULL;
}

const char *message_heading(const char *name)
{
    if (chosen != LANGUAGE_ZH)
        return name;
    for (size_t i = 0; i < sizeof headings_zh / sizeof headings_zh[0]; i++)
        if (strcmp(headings_zh[i].name, name) == 0)
            return headings_zh[i].heading;
    return name;
}
