#include "audit/note.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/note_key.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/utf8.h"

struct note_signer {
    char *name;
    struct note_key ed25519;
    struct note_key sm2;
    bool has_sm2;
};

struct note_verifier {
    char *name;
    struct note_key key;
};

struct note_line {
    struct slice name;
    uint8_t key_id[NOTE_KEY_ID_BYTES];
    uint8_t signature[NOTE_LINE_BYTES_MAX];
    size_t signature_len;
};

static const char dash[] = "\xe2\x80\x94 "; /* an em dash and a space open each signature line */
enum { DASH_BYTES = 4 };

static bool is_space(uint32_t c)
{
    return c <= 0x20 || c == 0x7f || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

bool note_name_valid(const char *name, size_t len)
{
    if (len == 0 || len > NOTE_NAME_BYTES_MAX || !utf8_valid(name, len))
        return false;
    for (size_t at = 0; at < len;) {
        uint32_t c;
        at += utf8_decode((const uint8_t *)name + at, len - at, &c);
        if (is_space(c) || c == '+')
            return false;
    }
    return true;
}

/* --- signing ------------------------------------------------------------------------------------
 */

struct note_signer *note_signer_new(const char *name, struct slice ed25519_pem,
                                    struct slice sm2_pem, struct err *err)
{
    if (!note_name_valid(name, strlen(name))) {
        (void)err_set(err, ERR_FAILED_PRECONDITION, "KEY_NAME_INVALID",
                      "A log's name must have no spaces and no '+', at most %d bytes.",
                      NOTE_NAME_BYTES_MAX);
        return NULL;
    }
    struct note_signer *signer = mem_zero(sizeof *signer);
    signer->name = mem_strdup(name);
    signer->has_sm2 = sm2_pem.len > 0;
    if (note_key_from_pem(&signer->ed25519, NOTE_ED25519, name, ed25519_pem, err) != 0 ||
        (signer->has_sm2 && note_key_from_pem(&signer->sm2, NOTE_SM2, name, sm2_pem, err) != 0))
        note_signer_free(&signer);
    return signer;
}

static int read_pem(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, out->data, out->cap) : -1;
    int cause = errno;
    if (fd >= 0)
        (void)close(fd);
    if (len < 0) {
        (void)err_set(err, ERR_FAILED_PRECONDITION, "KEY_FILE_UNREADABLE",
                      "The signing key file cannot be read; check its path and permissions.");
        return err_detail(err, "%s: %s", path, strerror(cause));
    }
    out->len = (size_t)len;
    return 0;
}

struct note_signer *note_signer_load(const char *name, const char *ed25519_path,
                                     const char *sm2_path, struct err *err)
{
    struct note_signer *signer = NULL;
    struct buf ed25519, sm2;
    buf_init(&ed25519, NOTE_BYTES_MAX);
    buf_init(&sm2, NOTE_BYTES_MAX);
    (void)buf_reserve(&ed25519, NOTE_BYTES_MAX);
    (void)buf_reserve(&sm2, NOTE_BYTES_MAX);
    if (read_pem(ed25519_path, &ed25519, err) == 0 &&
        (sm2_path == NULL || read_pem(sm2_path, &sm2, err) == 0))
        signer = note_signer_new(name, buf_slice(&ed25519), buf_slice(&sm2), err);
    OPENSSL_cleanse(ed25519.data, ed25519.cap);
    OPENSSL_cleanse(sm2.data, sm2.cap);
    buf_fini(&ed25519);
    buf_fini(&sm2);
    return signer;
}

void note_signer_free(struct note_signer **signer)
{
    if (*signer == NULL)
        return;
    note_key_fini(&(*signer)->ed25519);
    note_key_fini(&(*signer)->sm2);
    free((*signer)->name);
    free(*signer);
    *signer = NULL;
}

const char *note_signer_name(const struct note_signer *signer)
{
    return signer->name;
}

static int append_base64(struct buf *out, const uint8_t *data, size_t len)
{
    size_t room = base64_size(len);
    if (buf_reserve(out, room) != 0)
        return -1;
    out->len += base64_encode(data, len, (char *)out->data + out->len);
    return 0;
}

static int key_text(const char *name, const struct note_key *key, struct buf *out)
{
    char hex[2 * NOTE_KEY_ID_BYTES + 1];
    hex_encode(key->id, NOTE_KEY_ID_BYTES, hex);
    if (buf_append_format(out, "%s+%s+", name, hex) != 0)
        return -1;
    return append_base64(out, key->encoded, key->encoded_len);
}

int note_signer_ed25519_text(const struct note_signer *signer, struct buf *out)
{
    return key_text(signer->name, &signer->ed25519, out);
}

int note_signer_sm2_text(const struct note_signer *signer, struct buf *out)
{
    return signer->has_sm2 ? key_text(signer->name, &signer->sm2, out) : -1;
}

static int sign_line(const char *name, const struct note_key *key, struct slice text,
                     struct buf *out)
{
    uint8_t blob[NOTE_KEY_ID_BYTES + NOTE_SIGNATURE_BYTES_MAX];
    memcpy(blob, key->id, NOTE_KEY_ID_BYTES);
    size_t len = note_key_sign(key, text, blob + NOTE_KEY_ID_BYTES);
    if (buf_append_format(out, "%s%s ", dash, name) != 0 ||
        append_base64(out, blob, NOTE_KEY_ID_BYTES + len) != 0)
        return -1;
    return buf_append_byte(out, '\n');
}

int note_sign(const struct note_signer *signer, struct slice text, struct buf *out)
{
    assert(text.len > 0 && text.data[text.len - 1] == '\n');
    if (buf_append(out, text.data, text.len) != 0 || buf_append_byte(out, '\n') != 0 ||
        sign_line(signer->name, &signer->ed25519, text, out) != 0)
        return -1;
    return signer->has_sm2 ? sign_line(signer->name, &signer->sm2, text, out) : 0;
}

/* --- checking -----------------------------------------------------------------------------------
 */

/* Standard alphabet, padded, nothing else: one signature must have one spelling. -1 otherwise. */
static long strict_base64(const char *text, size_t len, uint8_t *out, size_t room)
{
    if (len == 0 || len % 4 != 0 || len / 4 * 3 > room)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '-' || text[i] == '_')
            return -1;
    }
    long written = base64_decode(text, len, out);
    if (written <= 0)
        return -1;
    /* Unused bits of the last character must be zero. */
    char tail[5];
    size_t last = ((size_t)written - 1) / 3 * 3;
    (void)base64_encode(out + last, (size_t)written - last, tail);
    return memcmp(tail, text + len - 4, 4) == 0 ? written : -1;
}

struct note_verifier *note_verifier_new(const char *text, struct err *err)
{
    const char *first = strchr(text, '+');
    const char *second = first != NULL ? strchr(first + 1, '+') : NULL;
    uint8_t id[NOTE_KEY_ID_BYTES], encoded[NOTE_PUBLIC_BYTES_MAX + 3];
    struct note_verifier *verifier = NULL;
    long len = -1;
    if (second != NULL && note_name_valid(text, (size_t)(first - text)) &&
        second - first - 1 == 2 * NOTE_KEY_ID_BYTES &&
        hex_decode(first + 1, 2 * NOTE_KEY_ID_BYTES, id))
        len = strict_base64(second + 1, strlen(second + 1), encoded, sizeof encoded);
    if (len > 0) {
        verifier = mem_zero(sizeof *verifier);
        verifier->name = mem_strndup(text, (size_t)(first - text));
        if (note_key_from_encoded(&verifier->key, verifier->name, slice_of(encoded, (size_t)len)) !=
                0 ||
            memcmp(verifier->key.id, id, NOTE_KEY_ID_BYTES) != 0)
            note_verifier_free(&verifier);
    }
    if (verifier == NULL)
        (void)err_set(err, ERR_INVALID_ARGUMENT, "VERIFIER_KEY_INVALID",
                      "A verifier key reads name+key id+base64; copy it again from its owner.");
    return verifier;
}

void note_verifier_free(struct note_verifier **verifier)
{
    if (*verifier == NULL)
        return;
    note_key_fini(&(*verifier)->key);
    free((*verifier)->name);
    free(*verifier);
    *verifier = NULL;
}

const char *note_verifier_name(const struct note_verifier *verifier)
{
    return verifier->name;
}

enum note_kind note_verifier_kind(const struct note_verifier *verifier)
{
    switch (verifier->key.algorithm) {
    case NOTE_SM2:
        return NOTE_KIND_SM2;
    case NOTE_COSIGNATURE:
        return NOTE_KIND_COSIGNATURE;
    case NOTE_ED25519:
        break;
    }
    return NOTE_KIND_ED25519;
}

static int malformed(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "NOTE_MALFORMED", "Not a signed note: %s.", what);
}

int note_split(struct slice note, struct slice *text_r, struct slice *signatures_r, struct err *err)
{
    if (note.len > NOTE_BYTES_MAX)
        return malformed(err, "it is too long");
    if (note.len == 0 || note.data[note.len - 1] != '\n' || !utf8_valid(note.data, note.len))
        return malformed(err, "it must be UTF-8 text ending in a newline");
    size_t blank = 0; /* offset of the signatures, behind the last blank line */
    for (size_t i = 0; i < note.len; i++) {
        if (note.data[i] < 0x20 && note.data[i] != '\n')
            return malformed(err, "it has control characters");
        if (i > 0 && note.data[i] == '\n' && note.data[i - 1] == '\n')
            blank = i + 1;
    }
    if (blank < 2 || blank == note.len)
        return malformed(err, "it has no signatures");
    *text_r = slice_of(note.data, blank - 1);
    *signatures_r = slice_of(note.data + blank, note.len - blank);
    return 0;
}

/* Takes one line, without its newline, apart. */
static int parse_line(struct slice line, struct note_line *line_r, struct err *err)
{
    if (line.len <= DASH_BYTES || line.len > NOTE_LINE_BYTES_MAX ||
        memcmp(line.data, dash, DASH_BYTES) != 0)
        return malformed(err, "a signature line does not begin as one");
    const char *name = (const char *)line.data + DASH_BYTES;
    size_t left = line.len - DASH_BYTES;
    const char *space = memchr(name, ' ', left);
    if (space == NULL || !note_name_valid(name, (size_t)(space - name)))
        return malformed(err, "a signature line has no key name");
    line_r->name = slice_of(name, (size_t)(space - name));
    size_t text_len = left - line_r->name.len - 1;
    uint8_t blob[NOTE_LINE_BYTES_MAX];
    long len = strict_base64(space + 1, text_len, blob, sizeof blob);
    if (len <= NOTE_KEY_ID_BYTES)
        return malformed(err, "a signature is not base64");
    memcpy(line_r->key_id, blob, NOTE_KEY_ID_BYTES);
    line_r->signature_len = (size_t)len - NOTE_KEY_ID_BYTES;
    memcpy(line_r->signature, blob + NOTE_KEY_ID_BYTES, line_r->signature_len);
    return 0;
}

static bool of_key(const struct note_line *line, const struct note_verifier *verifier)
{
    return line->name.len == strlen(verifier->name) &&
           memcmp(line->name.data, verifier->name, line->name.len) == 0 &&
           memcmp(line->key_id, verifier->key.id, NOTE_KEY_ID_BYTES) == 0;
}

static int check_line(const struct note_line *line, struct slice text,
                      const struct note_verifier *const *verifiers, size_t count,
                      uint32_t *verified, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!of_key(line, verifiers[i]) || (*verified >> i & 1) != 0)
            continue;
        if (!note_key_verify(&verifiers[i]->key, text,
                             slice_of(line->signature, line->signature_len)))
            return err_set(err, ERR_PERMISSION_DENIED, "NOTE_SIGNATURE_WRONG",
                           "The signature of a known key does not match; do not trust this text.");
        *verified |= UINT32_C(1) << i;
    }
    return 0;
}

int note_open(struct slice note, const struct note_verifier *const *verifiers, size_t count,
              struct slice *text_r, uint32_t *verified_r, struct err *err)
{
    assert(count <= NOTE_VERIFIERS_MAX);
    struct slice rest;
    unsigned lines = 0;
    *verified_r = 0;
    if (note_split(note, text_r, &rest, err) != 0)
        return -1;
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len); /* the split made sure of one */
        struct note_line line;
        size_t len = (size_t)(end - rest.data);
        if (++lines > NOTE_SIGNATURES_MAX)
            return malformed(err, "it has too many signatures");
        if (parse_line(slice_of(rest.data, len), &line, err) != 0 ||
            check_line(&line, *text_r, verifiers, count, verified_r, err) != 0)
            return -1;
        rest = slice_of(rest.data + len + 1, rest.len - len - 1);
    }
    if (*verified_r == 0)
        return err_set(err, ERR_PERMISSION_DENIED, "NOTE_UNSIGNED",
                       "None of the expected keys signed this text; do not trust it.");
    return 0;
}
