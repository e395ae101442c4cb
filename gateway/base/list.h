/* Intrusive doubly linked ring: the list an object is on is its state.
 * Ownership: links live inside the objects; a list owns nothing.
 * Never calls back. Constant time.
 * An object must be off every list before it dies. */
#ifndef SLUICE_BASE_LIST_H
#define SLUICE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

static inline void list_prepend(struct list *head, struct list *item)
{
    item->next = head->next;
    item->prev = head;
    head->next->prev = item;
    head->next = item;
}

/* Leaves `item` a ring of itself, so removing twice is harmless. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

static inline struct list *list_pop(struct list *head)
{
    struct list *item = head->next;
    if (item == head)
        return NULL;
    list_remove(item);
    return item;
}

#define list_item(link_, type_, member_)                                                           \
    ((type_ *)(void *)((char *)(link_)-offsetof(type_, member_)))

/* Safe against removal of the current item, not of its follower. */
#define list_for_each(cursor_, head_)                                                              \
    for (struct list *cursor_ = (head_)->next, *cursor_##_next = cursor_->next;                    \
         cursor_ != (head_); cursor_ = cursor_##_next, cursor_##_next = cursor_->next)

#endif
