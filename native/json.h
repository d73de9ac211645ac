/*
 * A strict JSON scanner (RFC 8259) that keeps nothing but some top-level strings. It checks the whole document, so that
 * what it accepts is what the agent's parser accepts, and it needs neither recursion nor the heap.
 */
#ifndef NETLOOM_JSON_H
#define NETLOOM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Deepest nesting of arrays and objects; a network configuration has about five levels. */
#define JSON_MAX_DEPTH 1000

enum json_state {
  JSON_ABSENT,
  JSON_STRING,    /* value[0 .. length) is the decoded string, in UTF-8; it may hold NULs */
  JSON_TOO_LONG,  /* a string of more than `capacity` bytes */
  JSON_NO_STRING, /* the key is there with a value of another type */
};

/* A top-level key to look for. Where it stands more than once the last one counts, as in JSON.parse and in Go. */
struct json_field {
  const char *name;
  char *value;
  size_t capacity;
  size_t length;
  enum json_state state;
};

/*
 * Scans a document whose top level is an object. Returns NULL, or what is wrong, and then `*where` is the byte at
 * fault; fields that stand before that byte have been filled in all the same.
 */
const char *json_scan(const uint8_t *bytes, size_t length, struct json_field *fields, size_t count, size_t *where);

#endif
