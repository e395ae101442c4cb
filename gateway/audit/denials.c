#include "audit/denials.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/strmap.h"

/* The texts a shared entry keeps when they are equal in all denials it stands for. */
static const size_t kept_texts[] = {
    offsetof(struct audit_entry_fields, department),
    offsetof(struct audit_entry_fields, auth_method),
    offsetof(struct audit_entry_fields, purpose),
    offsetof(struct audit_entry_fields, agreement),
    offsetof(struct audit_entry_fields, method),
    offsetof(struct audit_entry_fields, dataset),
    offsetof(struct audit_entry_fields, owner),
    offsetof(struct audit_entry_fields, rule),
    offsetof(struct audit_entry_fields, reason),
};
enum { MIXED_STATUS = 2 }; /* gRPC UNKNOWN: the denials did not end alike */
enum { KEPT_COUNT = sizeof kept_texts / sizeof *kept_texts };

struct denial_subject {
    struct list by_age; /* on denials.subjects, longest silent first */
    struct list due;    /* on denials.waiting while `shared` > 0 */
    char *name;
    int64_t times_us[DENIALS_SEPARATE]; /* ring of the last ones; 0: none yet */
    unsigned next;
    uint64_t shared; /* counted for the entry to come */
    int64_t due_us;
    int32_t status;
    char *kept[KEPT_COUNT]; /* NULL: differed */
};

struct denials {
    struct strmap by_name;
    struct list subjects;
    struct list waiting; /* in the order of due_us */
};

struct denials *denials_new(void)
{
    struct denials *denials = mem_zero(sizeof *denials);
    strmap_init(&denials->by_name);
    list_init(&denials->subjects);
    list_init(&denials->waiting);
    return denials;
}

static void forget_kept(struct denial_subject *subject)
{
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        free(subject->kept[i]);
        subject->kept[i] = NULL;
    }
}

static void subject_free(struct denials *denials, struct denial_subject *subject)
{
    (void)strmap_remove(&denials->by_name, subject->name);
    list_remove(&subject->by_age);
    list_remove(&subject->due);
    forget_kept(subject);
    free(subject->name);
    free(subject);
}

void denials_free(struct denials **denials)
{
    if (*denials == NULL)
        return;
    list_for_each(link, &(*denials)->subjects)
        subject_free(*denials, list_item(link, struct denial_subject, by_age));
    strmap_fini(&(*denials)->by_name);
    free(*denials);
    *denials = NULL;
}

static int64_t last_us(const struct denial_subject *subject)
{
    return subject->times_us[(subject->next + DENIALS_SEPARATE - 1) % DENIALS_SEPARATE];
}

/* NULL when the table is full of subjects that are not silent yet. */
static struct denial_subject *find_subject(struct denials *denials, const char *name,
                                           int64_t now_us)
{
    struct denial_subject *subject = strmap_get(&denials->by_name, name);
    if (subject != NULL)
        return subject;
    if (denials->by_name.count >= DENIALS_SUBJECTS_MAX) {
        struct denial_subject *oldest =
            list_item(denials->subjects.next, struct denial_subject, by_age);
        if (oldest->shared > 0 || now_us - last_us(oldest) < DENIALS_WINDOW_US)
            return NULL;
        subject_free(denials, oldest);
    }
    subject = mem_zero(sizeof *subject);
    subject->name = mem_strdup(name);
    list_init(&subject->due);
    list_append(&denials->subjects, &subject->by_age);
    (void)strmap_set(&denials->by_name, subject->name, subject);
    return subject;
}

static const char *field_text(const struct audit_entry_fields *fields, size_t which)
{
    const char *value;
    memcpy(&value, (const char *)fields + kept_texts[which], sizeof value);
    return value != NULL ? value : "";
}

static void share(struct denials *denials, struct denial_subject *subject,
                  const struct audit_entry_fields *fields, int64_t now_us)
{
    if (subject->shared++ == 0) {
        for (size_t i = 0; i < KEPT_COUNT; i++)
            subject->kept[i] = mem_strdup(field_text(fields, i));
        subject->status = fields->status;
        subject->due_us = now_us + DENIALS_WINDOW_US;
        list_append(&denials->waiting, &subject->due);
        return;
    }
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        if (subject->kept[i] != NULL && strcmp(subject->kept[i], field_text(fields, i)) != 0) {
            free(subject->kept[i]);
            subject->kept[i] = NULL;
        }
    }
    if (subject->status != fields->status)
        subject->status = MIXED_STATUS;
}

bool denials_count(struct denials *denials, const struct audit_entry_fields *fields, int64_t now_us)
{
    const char *name = fields->subject != NULL ? fields->subject : "";
    struct denial_subject *subject = find_subject(denials, name, now_us);
    if (subject == NULL)
        return false;
    int64_t oldest_us = subject->times_us[subject->next];
    subject->times_us[subject->next] = now_us;
    subject->next = (subject->next + 1) % DENIALS_SEPARATE;
    list_remove(&subject->by_age);
    list_append(&denials->subjects, &subject->by_age);
    if (oldest_us == 0 || now_us - oldest_us >= DENIALS_WINDOW_US)
        return false;
    share(denials, subject, fields, now_us);
    return true;
}

int64_t denials_due_us(const struct denials *denials)
{
    if (list_empty(&denials->waiting))
        return -1;
    return list_item(denials->waiting.next, struct denial_subject, due)->due_us;
}

static void hand_out(struct denial_subject *subject, denials_share_fn run, void *arg)
{
    struct audit_entry_fields fields = {
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DENIALS,
        .subject = subject->name,
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED,
        .status = subject->status,
        .stands_for = subject->shared,
    };
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        const char *value = subject->kept[i];
        memcpy((char *)&fields + kept_texts[i], &value, sizeof value);
    }
    run(arg, &fields);
    subject->shared = 0;
    forget_kept(subject);
}

void denials_flush(struct denials *denials, int64_t now_us, denials_share_fn run, void *arg)
{
    list_for_each(link, &denials->waiting)
    {
        struct denial_subject *subject = list_item(link, struct denial_subject, due);
        if (subject->due_us > now_us)
            break;
        list_remove(&subject->due);
        hand_out(subject, run, arg);
    }
}
