/* Every text this command says, in English and Chinese.
 * Ownership: texts are literals; message_fill gives a string to free.
 * Never calls back. The language is set once, at start, for the whole process.
 * Limits: placeholders are %s only, in the same number and order in both languages (a unit test
 * checks). Does not translate what the gateway says: message_reason_hint gives a lead sentence for
 * it. The texts stand in cli/texts/, one file a topic. */
#ifndef SLUICE_CLI_MESSAGES_H
#define SLUICE_CLI_MESSAGES_H

#include <stddef.h>

enum language { LANGUAGE_EN, LANGUAGE_ZH, LANGUAGE_COUNT };

enum message_id {
    MSG_NONE,
#define MESSAGE(name_, en_, zh_) MSG_##name_,
#include "cli/texts/all.def"
#undef MESSAGE
    MSG_COUNT
};

void messages_set_language(enum language language);
enum language messages_language(void);

/* The text in the chosen language; placeholders stand as they are. */
const char *message(enum message_id id);
const char *message_in(enum message_id id, enum language language);

/* The text with its %s replaced by `args` in order; more args than placeholders are ignored. What
 * comes in through an argument is escaped, so that it cannot act on a terminal. */
char *message_fill(enum message_id id, const char *const *args, size_t count);

/* A lead sentence for an ErrorInfo reason in the chosen language; NULL when there is none (English
 * has none: the gateway's own sentence is English). */
const char *message_reason_hint(const char *reason);

/* The heading of a column in the chosen language; `name` where there is no other. */
const char *message_heading(const char *name);

#endif
