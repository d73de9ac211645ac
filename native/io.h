/* Writing to files. */
#ifndef NETLOOM_IO_H
#define NETLOOM_IO_H

#include <stdbool.h>
#include <stddef.h>

/* Writes all of it, however many calls that takes; false where one fails, with its errno. */
bool write_all(int fd, const void *bytes, size_t length);

#endif
