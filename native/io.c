#include "io.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

bool write_all(int fd, const void *bytes, size_t length)
{
  const uint8_t *from = bytes;

  while (length > 0) {
    ssize_t written = write(fd, from, length);

    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return false;
    from += written;
    length -= (size_t)written;
  }
  return true;
}
