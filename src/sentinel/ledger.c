#include "sentinel/ledger.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another layout, another number: owner and sentinel may come from two versions of the library. */
#define MAGIC "RCLEDGE1"
enum { MAGIC_BYTES = 8, TEXTS = 6, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };
enum text { ENDPOINTS, USER, PASSWORD, CA_FILE, CERT_FILE, KEY_FILE };

/* What is in the file.  The head is written once, before anybody else sees it. */
struct content {
    char magic[MAGIC_BYTES];
    int64_t dial_timeout_ms, call_timeout_ms;
    int64_t sync_members;
    int32_t at[TEXTS];                       /* where each begins in `texts`; -1: NULL */
    char texts[ROLLCALL__LEDGER_TEXT_BYTES]; /* terminated each */
    struct rollcall__gauge companion;
    struct rollcall__gauge used; /* no slot from here on has ever been taken */
    struct rollcall__ledger_slot slots[ROLLCALL__LEDGER_SLOTS];
};

struct rollcall__ledger {
    struct rollcall_object object;
    int fd;
    struct content *content;
    pthread_mutex_t mutex;                 /* guards the rest */
    uint16_t free[ROLLCALL__LEDGER_SLOTS]; /* a stack of those given back */
    size_t free_count;
};
_Static_assert(ROLLCALL__LEDGER_SLOTS <= UINT16_MAX + 1, "an index is 16 bits");

struct rollcall__ledger_view {
    const struct content *content;
    char texts[ROLLCALL__LEDGER_TEXT_BYTES]; /* a copy: the owner could be writing anywhere as it
                                                dies */
    struct rollcall_etcd_options options;    /* borrowed from it */
};

/* ---- how etcd is reached ---- */

char *rollcall__absolute_path(const char *path)
{
    char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0);
    if (path[0] != '/' && folder == NULL) {
        return NULL;
    }
    const size_t folder_bytes = folder == NULL ? 0 : strlen(folder);
    const size_t path_bytes = strlen(path) + 1;
    char *whole = rollcall__allocate(folder_bytes + 1 + path_bytes);
    if (whole != NULL) {
        if (folder != NULL) {
            memcpy(whole, folder, folder_bytes);
            whole[folder_bytes] = '/';
        }
        memcpy(whole + (folder == NULL ? 0 : folder_bytes + 1), path, path_bytes);
    }
    free(folder);
    return whole;
}

/* Appends one at *used; false: there is no room. */
static bool put_text(struct content *content, enum text which, const char *text, size_t *used)
{
    content->at[which] = -1;
    if (text == NULL) {
        return true;
    }
    const size_t size_bytes = strlen(text) + 1;
    if (size_bytes > sizeof content->texts - *used) {
        return false;
    }
    memcpy(content->texts + *used, text, size_bytes);
    content->at[which] = (int32_t)*used;
    *used += size_bytes;
    return true;
}

static bool put_file(struct content *content, enum text which, const char *path, size_t *used)
{
    char *whole = path == NULL ? NULL : rollcall__absolute_path(path);
    const bool good = (path == NULL || whole != NULL) && put_text(content, which, whole, used);
    free(whole);
    return good;
}

static bool put_options(struct content *content, const struct rollcall_etcd_options *options)
{
    size_t used = 0;
    content->dial_timeout_ms = options->dial_timeout_ms;
    content->call_timeout_ms = options->call_timeout_ms;
    content->sync_members = options->sync_members;
    return put_text(content, ENDPOINTS, options->endpoints, &used) &&
           put_text(content, USER, options->user, &used) &&
           put_text(content, PASSWORD, options->password, &used) &&
           put_file(content, CA_FILE, options->ca_file, &used) &&
           put_file(content, CERT_FILE, options->cert_file, &used) &&
           put_file(content, KEY_FILE, options->key_file, &used);
}

/* ---- the owner's side ---- */

static void destroy(struct rollcall_object *object)
{
    struct rollcall__ledger *ledger = (struct rollcall__ledger *)object;
    if (ledger->content != NULL) {
        explicit_bzero(ledger->content->texts, sizeof ledger->content->texts);
        munmap(ledger->content, sizeof *ledger->content);
    }
    if (ledger->fd >= 0) {
        close(ledger->fd);
    }
    pthread_mutex_destroy(&ledger->mutex);
    free(ledger);
}

void rollcall__ledger_drop(struct rollcall__ledger *ledger)
{
    if (ledger != NULL) {
        rollcall_object_drop(&ledger->object);
    }
}

/* Where a system demands that such a file is never run, and where it does not know the demand. */
static int create_file(void)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING, noexec = 8; /* MFD_NOEXEC_SEAL */
    const int fd = memfd_create("rollcall-ledger", flags | noexec);
    return fd < 0 && errno == EINVAL ? memfd_create("rollcall-ledger", flags) : fd;
}

/* Errors: errno. */
static bool make_memory(struct rollcall__ledger *ledger)
{
    ledger->fd = create_file();
    if (ledger->fd < 0 || ftruncate(ledger->fd, (off_t)sizeof *ledger->content) != 0 ||
        fcntl(ledger->fd, F_ADD_SEALS, SEALS) != 0) {
        return false;
    }
    void *memory =
        mmap(NULL, sizeof *ledger->content, PROT_READ | PROT_WRITE, MAP_SHARED, ledger->fd, 0);
    ledger->content = memory == MAP_FAILED ? NULL : memory;
    return ledger->content != NULL;
}

enum rollcall_status rollcall__ledger_create(const struct rollcall_etcd_options *options,
                                             struct rollcall__ledger **created,
                                             struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    struct rollcall__ledger *ledger = rollcall__allocate_zeroed(1, sizeof *ledger);
    if (ledger == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a sentinel");
    }
    rollcall_object_init(&ledger->object, destroy);
    pthread_mutex_init(&ledger->mutex, NULL);
    ledger->fd = -1;
    if (!make_memory(ledger)) {
        status = rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                    "no memory to share with the sentinel: %s", strerror(errno));
    } else if (!put_options(ledger->content, options)) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "endpoints, user, password and files are too long for a "
                                    "sentinel: give at most %d bytes in all",
                                    ROLLCALL__LEDGER_TEXT_BYTES);
    }
    if (status != ROLLCALL_OK) {
        rollcall__ledger_drop(ledger);
        return status;
    }
    memcpy(ledger->content->magic, MAGIC, MAGIC_BYTES);
    *created = ledger;
    return ROLLCALL_OK;
}

int rollcall__ledger_fd(const struct rollcall__ledger *ledger)
{
    return ledger->fd;
}

struct rollcall__gauge *rollcall__ledger_companion(const struct rollcall__ledger *ledger)
{
    return &ledger->content->companion;
}

/* ---- slots ---- */

/* NULL: all are taken. */
static struct rollcall__ledger_slot *take_slot(struct rollcall__ledger *ledger)
{
    struct rollcall__ledger_slot *slot = NULL;
    pthread_mutex_lock(&ledger->mutex);
    const int64_t used = rollcall__gauge_get(&ledger->content->used);
    if (ledger->free_count > 0) {
        slot = &ledger->content->slots[ledger->free[--ledger->free_count]];
    } else if (used < ROLLCALL__LEDGER_SLOTS) {
        slot = &ledger->content->slots[used];
        rollcall__gauge_set(&ledger->content->used, used + 1);
    }
    pthread_mutex_unlock(&ledger->mutex);
    return slot;
}

static void give_slot(struct rollcall__ledger *ledger, const struct rollcall__ledger_slot *slot)
{
    pthread_mutex_lock(&ledger->mutex);
    ledger->free[ledger->free_count++] = (uint16_t)(slot - ledger->content->slots);
    pthread_mutex_unlock(&ledger->mutex);
}

static void destroy_entry(struct rollcall_object *object)
{
    struct rollcall__ledger_entry *entry = (struct rollcall__ledger_entry *)object;
    rollcall__ledger_close(entry);
    rollcall__gauge_set(&entry->slot->lease_id, 0);
    give_slot(entry->ledger, entry->slot);
    rollcall__ledger_drop(entry->ledger);
    free(entry);
}

struct rollcall__ledger_entry *rollcall__ledger_open(struct rollcall__ledger *ledger, int64_t ttl_s)
{
    struct rollcall__ledger_entry *entry = rollcall__allocate_zeroed(1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    entry->slot = take_slot(ledger);
    if (entry->slot == NULL) {
        free(entry);
        return NULL;
    }
    rollcall_object_init(&entry->object, destroy_entry);
    entry->ledger = ledger;
    rollcall_object_keep(&ledger->object);
    rollcall__gauge_set(&entry->slot->ttl_s, ttl_s); /* its lease is 0: it was given back so */
    return entry;
}

void rollcall__ledger_close(struct rollcall__ledger_entry *entry)
{
    rollcall__gauge_set(&entry->slot->ttl_s, 0);
}

/* ---- the sentinel's side ---- */

static const char *text_at(const struct rollcall__ledger_view *view, enum text which)
{
    const int32_t at = view->content->at[which];
    return at < 0 || at >= ROLLCALL__LEDGER_TEXT_BYTES ? NULL : view->texts + at;
}

static void read_options(struct rollcall__ledger_view *view)
{
    memcpy(view->texts, view->content->texts, sizeof view->texts);
    view->texts[sizeof view->texts - 1] = '\0';
    view->options =
        *ROLLCALL_ETCD_OPTIONS(.endpoints = text_at(view, ENDPOINTS), .user = text_at(view, USER),
                               .password = text_at(view, PASSWORD),
                               .ca_file = text_at(view, CA_FILE),
                               .cert_file = text_at(view, CERT_FILE),
                               .key_file = text_at(view, KEY_FILE),
                               .dial_timeout_ms = view->content->dial_timeout_ms,
                               .call_timeout_ms = view->content->call_timeout_ms,
                               .sync_members = view->content->sync_members != 0);
}

/* A file that could shrink is not mapped: to read it could kill us. */
static const struct content *map_content(int fd)
{
    struct stat file;
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &file) != 0 ||
        file.st_size != (off_t)sizeof(struct content)) {
        return NULL;
    }
    const void *memory = mmap(NULL, sizeof(struct content), PROT_READ, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void unmap_content(const struct content *content)
{
    munmap((void *)(uintptr_t)content, sizeof *content);
}

static enum rollcall_status refuse(struct rollcall_error *error)
{
    return rollcall_error_set(
        error, ROLLCALL_E_INVALID,
        "a sentinel is started by the process that it looks after, and of the "
        "same version: use register --sentinel, or the option `sentinel` of "
        "rollcall_etcd_connect");
}

enum rollcall_status rollcall__ledger_view_open(int fd, struct rollcall__ledger_view **opened,
                                                struct rollcall_error *error)
{
    const struct content *content = map_content(fd);
    if (content == NULL) {
        return refuse(error);
    }
    const bool known = memcmp(content->magic, MAGIC, MAGIC_BYTES) == 0;
    struct rollcall__ledger_view *view = known ? rollcall__allocate_zeroed(1, sizeof *view) : NULL;
    if (view == NULL) {
        unmap_content(content);
        return known ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a view")
                     : refuse(error);
    }
    view->content = content;
    read_options(view);
    *opened = view;
    return ROLLCALL_OK;
}

void rollcall__ledger_view_close(struct rollcall__ledger_view *view)
{
    unmap_content(view->content);
    explicit_bzero(view->texts, sizeof view->texts);
    free(view);
}

struct rollcall_etcd_options rollcall__ledger_options(const struct rollcall__ledger_view *view)
{
    return view->options;
}

int64_t rollcall__ledger_companion_now(const struct rollcall__ledger_view *view)
{
    return rollcall__gauge_get(&view->content->companion);
}

/* The lease in a slot; 0: none. */
static struct rollcall__held_lease lease_in(const struct rollcall__ledger_slot *slot)
{
    struct rollcall__held_lease lease = {.lease_id = rollcall__gauge_get(&slot->lease_id),
                                         .ttl_s = rollcall__gauge_get(&slot->ttl_s)};
    if (lease.ttl_s <= 0 || lease.lease_id <= 0) {
        lease = (struct rollcall__held_lease){0};
    }
    return lease;
}

static size_t used_slots(const struct rollcall__ledger_view *view)
{
    const int64_t used = rollcall__gauge_get(&view->content->used);
    return used < 0 ? 0 : used > ROLLCALL__LEDGER_SLOTS ? ROLLCALL__LEDGER_SLOTS : (size_t)used;
}

static int by_lease(const void *left, const void *right)
{
    const struct rollcall__held_lease *a = left, *b = right;
    return (a->lease_id > b->lease_id) - (a->lease_id < b->lease_id);
}

/* Sessions that share a lease are next to each other now. */
static size_t without_repeats(struct rollcall__held_lease *held, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || held[kept - 1].lease_id != held[i].lease_id) {
            held[kept++] = held[i];
        }
    }
    return kept;
}

size_t rollcall__ledger_held(const struct rollcall__ledger_view *view,
                             struct rollcall__held_lease *held, size_t room)
{
    const size_t used = used_slots(view);
    size_t count = 0;
    for (size_t i = 0; i < used && count < room; i++) {
        const struct rollcall__held_lease lease = lease_in(&view->content->slots[i]);
        if (lease.lease_id != 0) {
            held[count++] = lease;
        }
    }
    qsort(held, count, sizeof *held, by_lease);
    return without_repeats(held, count);
}

int64_t rollcall__ledger_longest_ttl_s(const struct rollcall__ledger_view *view)
{
    const size_t used = used_slots(view);
    int64_t longest_s = 0;
    for (size_t i = 0; i < used; i++) {
        const struct rollcall__held_lease lease = lease_in(&view->content->slots[i]);
        longest_s = lease.ttl_s > longest_s ? lease.ttl_s : longest_s;
    }
    return longest_s;
}
