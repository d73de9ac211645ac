/* The standalone program, which does a call where no agent is wanted: `PROGRAM cni` in the place of this process. */
#ifndef NETLOOM_PROGRAM_H
#define NETLOOM_PROGRAM_H

#include <limits.h>
#include <stddef.h>

#include "text.h"

/* Most bytes of the program's path, without its terminating NUL. */
#define PROGRAM_PATH_MAX (PATH_MAX - 1)

/*
 * Becomes the first of `paths` that is there, with the environment as it is and `config` as standard input. Returns
 * only where that fails, and then `why` says of each path what the errno was.
 */
void program_become(const char *const *paths, size_t count, const void *config, size_t length, struct text *why);

#endif
