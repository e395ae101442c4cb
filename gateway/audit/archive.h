/* An archive of the log: an export of some entries, whose manifest names every file with its digest.
 * Ownership: buffers are the caller's.
 * Never calls back; blocks for the disk.
 * Limits: a manifest of ARCHIVE_MANIFEST_BYTES_MAX, about two million files.
 * Does not judge entries: that is verify.h. The manifest is text that `sha256sum` and a reader can follow:
 *   "sluice-archive/1", then lines "origin", "first", "last", "size" and "root" as in the checkpoint,
 *   an empty line, and "<SHA-256 in hex>  <bytes>  <name>" of each file. */
#ifndef SLUICE_AUDIT_ARCHIVE_H
#define SLUICE_AUDIT_ARCHIVE_H

#include "audit/log_writer.h"
#include "audit/verify.h"
#include "base/buf.h"

struct err;

enum { ARCHIVE_MANIFEST_BYTES_MAX = 256 * 1024 * 1024 };
#define ARCHIVE_MANIFEST "manifest"

/* What the manifest of the folder must be, from its checkpoint, its range and its files. DATA_LOSS names a
 * file that is not there; FAILED_PRECONDITION: no archive, or the disk. */
int archive_manifest(const char *folder, struct log_writer_range *range_r, struct buf *manifest_r,
                     struct err *err);
/* Writes it, last of all files. */
int archive_seal(const char *folder, struct err *err);
/* The manifest as it lies there. 1; 0: there is none; -1 as above. */
int archive_read(const char *folder, struct buf *manifest_r, struct err *err);

/* Checks the manifest of a folder against its files and adds what is wrong. 0, or -1 when it could not be
 * checked. */
int archive_verify(const char *folder, struct verify_report *report, struct err *err);

#endif
