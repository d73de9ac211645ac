/* What the harnesses share. */
#ifndef NETLOOM_FUZZ_CHECK_H
#define NETLOOM_FUZZ_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fuzzer's bytes that have not been used yet. */
struct bytes {
  const uint8_t *at;
  size_t length;
};

/* Ends the fuzzer, which keeps the input, where something is not as it must be. */
static inline void check(bool holds, const char *what)
{
  if (holds)
    return;
  fprintf(stderr, "ERROR: expected %s\n", what);
  abort();
}

/* Bytes in an allocation of just their length, so that the address sanitizer sees every step beyond. */
static inline void *exact_copy(const void *bytes, size_t length)
{
  void *copy = malloc(length);

  check(copy != NULL, "memory");
  memcpy(copy, bytes, length);
  return copy;
}

/* The same as a string. */
static inline char *string_copy(const void *bytes, size_t length)
{
  char *copy = malloc(length + 1);

  check(copy != NULL, "memory");
  memcpy(copy, bytes, length);
  copy[length] = 0;
  return copy;
}

/* Whether to say what came of each input, for a test that compares it with what the agent's end makes of it. */
static inline bool printing(void)
{
  return getenv("FUZZ_PRINT") != NULL;
}

#endif
