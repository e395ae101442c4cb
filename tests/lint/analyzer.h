/* Put before every file that clang-tidy reads, and before nothing else. The analyser looks at one
 * file at a time and cannot see that the error functions always answer -1; without that it follows
 * paths that do not exist. */
#ifndef SLUICE_LINT_ANALYZER_H
#define SLUICE_LINT_ANALYZER_H

#include "base/err.h"

#define err_set(...)    ((void)err_set(__VA_ARGS__), -1)
#define err_detail(...) ((void)err_detail(__VA_ARGS__), -1)

#endif
