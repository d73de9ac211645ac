/*
 * One call of the CNI specification: from environment and standard input to what is printed. It does no input and
 * output itself but for the agent's or the standalone program's.
 */
#ifndef NETLOOM_CALL_H
#define NETLOOM_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most bytes of standard input. */
#define CONFIG_MAX (1U << 20)

struct call {
  const char *command;   /* CNI_COMMAND, or NULL */
  const uint8_t *config; /* standard input; whoever reads it stops at CONFIG_MAX + 1 bytes, which is too long */
  size_t length;
  int read_errno; /* of standard input, or 0 */
  bool nested;    /* started as the standalone program is, by itself: a configuration that would go round and round */
};

struct answer {
  int exit;
  const void *output; /* in a static buffer, until the next call */
  size_t length;
};

/* Does not return where the standalone program takes over. */
struct answer call_answer(const struct call *call);

#endif
