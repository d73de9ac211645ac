/* One request to the agent and its reply, over a unix stream socket. The protocol is described in README.md. */
#ifndef NETLOOM_AGENT_H
#define NETLOOM_AGENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "text.h"

/* Most bytes of a socket's path, without its terminating NUL. */
#define AGENT_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

/* Most bytes of a frame's body. */
#define FRAME_BODY_MAX (2U << 20)

/* Most entries of a request's map. */
#define REQUEST_ENTRIES_MAX 16

/* An entry of the request's map: bytes of CBOR_TEXT or CBOR_BYTES; of CBOR_SIMPLE the number in `length`, and no value. */
struct entry {
  const char *key;
  int major;
  const void *value;
  size_t length;
};

/* How it ended; all but AGENT_REPLIED leave a sentence in `why`. */
enum agent_outcome {
  AGENT_REPLIED,
  AGENT_ABSENT, /* no agent, none in time, or it went away: a later attempt may succeed */
  AGENT_BROKEN, /* it answered with something that is no reply */
};

struct reply {
  int exit;
  const uint8_t *output; /* in a static buffer */
  size_t length;
};

/* In milliseconds. */
struct patience {
  uint64_t timeout; /* bounds all of it */
  uint64_t wait;    /* how long an agent that is away, or says that it cannot yet, is asked again */
};

/*
 * `path` is of at most AGENT_PATH_MAX bytes; the entries are fewer than REQUEST_ENTRIES_MAX, and together short enough
 * for one frame. An agent that went away with the request is sent it again, marked as such: it may have begun.
 */
enum agent_outcome agent_exchange(const char *path, const struct entry *entries, size_t count,
                                  struct patience patience, struct reply *reply, struct text *why);

#endif
