/* For LD_PRELOAD under h2load 1.52, which can neither show a client certificate, nor vary a
 * request's body, nor tell a gRPC error from an answer. It adds, each by an environment variable:
 *   BENCH_CERT, BENCH_KEY  PEM files loaded into every SSL_CTX
 *   BENCH_BODIES           a file of equally long bodies; each request takes the next one. Their
 * length is the size of BENCH_BODY, the file that h2load got with -d BENCH_STATUS           at
 * exit, "<answers with grpc-status 0> <other statuses>" is written there Ownership: everything
 * lives until the process ends. Callbacks: nghttp2's on_header is passed on. Limits: one h2load
 * thread (-t1). Does not touch what goes over the wire otherwise. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

static const char *bodies;
static size_t body_bytes;
static size_t body_count;
static size_t body_next;
static dev_t body_dev;
static ino_t body_ino;
static int body_fd = -1; /* h2load's own descriptor of the -d file, once it was seen */

static uint64_t status_ok;
static uint64_t status_other;
static nghttp2_on_header_callback on_header_real;

static void fail(const char *what)
{
    fprintf(stderr, "h2load_preload: %s\n", what);
    exit(9);
}

static void *real(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    if (symbol == NULL)
        fail(name);
    return symbol;
}

static void write_status(void)
{
    const char *path = getenv("BENCH_STATUS");
    FILE *file = path != NULL ? fopen(path, "w") : NULL;

    if (file == NULL)
        return;
    fprintf(file, "%llu %llu\n", (unsigned long long)status_ok, (unsigned long long)status_other);
    (void)fclose(file);
}

static void map_bodies(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *map;

    if (fd < 0 || fstat(fd, &st) != 0 || body_bytes == 0 || (size_t)st.st_size < body_bytes)
        fail("BENCH_BODIES cannot be read, or BENCH_BODY is empty");
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        fail("BENCH_BODIES cannot be mapped");
    (void)close(fd);
    bodies = map;
    body_count = (size_t)st.st_size / body_bytes;
}

__attribute__((constructor)) static void preload_init(void)
{
    const char *body = getenv("BENCH_BODY");
    const char *list = getenv("BENCH_BODIES");
    struct stat st;

    (void)atexit(write_status);
    if (body == NULL || list == NULL)
        return;
    if (stat(body, &st) != 0)
        fail("BENCH_BODY cannot be read");
    body_dev = st.st_dev;
    body_ino = st.st_ino;
    body_bytes = (size_t)st.st_size;
    map_bodies(list);
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    SSL_CTX *(*next)(const SSL_METHOD *) = (SSL_CTX * (*)(const SSL_METHOD *)) real("SSL_CTX_new");
    const char *cert = getenv("BENCH_CERT");
    const char *key = getenv("BENCH_KEY");
    SSL_CTX *ctx = next(method);

    if (ctx != NULL && cert != NULL && key != NULL &&
        (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
         SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1))
        fail("the client certificate was not loaded");
    return ctx;
}

static bool is_body_file(int fd)
{
    struct stat st;

    if (fd == body_fd)
        return true;
    if (body_fd >= 0 || fstat(fd, &st) != 0 || st.st_dev != body_dev || st.st_ino != body_ino)
        return false;
    body_fd = fd;
    return true;
}

/* h2load reads a request's body with pread just before it sends it. */
ssize_t pread(int fd, void *buf, size_t count, off_t offset)
{
    static ssize_t (*next)(int, void *, size_t, off_t);
    const char *body = bodies;

    if (bodies == NULL || !is_body_file(fd)) {
        if (next == NULL)
            next = (ssize_t(*)(int, void *, size_t, off_t))real("pread");
        return next(fd, buf, count, offset);
    }
    if (offset < 0 || (size_t)offset >= body_bytes)
        return 0;
    /* A body that flow control cuts in two is always the first: the second call cannot know which.
     */
    if (offset == 0 && count >= body_bytes) {
        body = bodies + body_next * body_bytes;
        body_next = (body_next + 1) % body_count;
    }
    if (count > body_bytes - (size_t)offset)
        count = body_bytes - (size_t)offset;
    memcpy(buf, body + offset, count);
    return (ssize_t)count;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags,
                     void *user_data)
{
    static const char key[] = "grpc-status";

    if (namelen == sizeof key - 1 && memcmp(name, key, namelen) == 0) {
        if (valuelen == 1 && value[0] == '0')
            status_ok++;
        else
            status_other++;
    }
    return on_header_real(session, frame, name, namelen, value, valuelen, flags, user_data);
}

void nghttp2_session_callbacks_set_on_header_callback(nghttp2_session_callbacks *callbacks,
                                                      nghttp2_on_header_callback callback)
{
    void (*next)(nghttp2_session_callbacks *, nghttp2_on_header_callback) =
        (void (*)(nghttp2_session_callbacks *, nghttp2_on_header_callback))real(
            "nghttp2_session_callbacks_set_on_header_callback");

    on_header_real = callback;
    next(callbacks, on_header);
}
