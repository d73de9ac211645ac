/* The part of CBOR (RFC 8949) that frames use: definite lengths, no tags, maps with text keys. */
#ifndef NETLOOM_CBOR_H
#define NETLOOM_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cbor_major { CBOR_UNSIGNED, CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_TAG, CBOR_SIMPLE };

/* Most bytes of an item's head. */
#define CBOR_HEAD_MAX 9

/* Writes the shortest head of an item and returns its length. */
size_t cbor_write_head(uint8_t *to, enum cbor_major major, uint64_t argument);

/* Deepest nesting below a value that is skipped. */
#define CBOR_MAX_DEPTH 64

struct cbor {
  const uint8_t *at;
  const uint8_t *end;
};

/* A key to look for in a map, and the type that its value must have. */
struct cbor_field {
  const char *name;
  enum cbor_major major;
  bool found;
  uint64_t number;      /* of CBOR_UNSIGNED */
  const uint8_t *bytes; /* the content of CBOR_TEXT and CBOR_BYTES, the whole item of all others */
  size_t length;
};

/*
 * Reads one map and fills in the fields that it has; other keys are skipped. Returns NULL, or what is wrong, and then
 * `*name` is the field at fault or NULL. Pointers in the fields point into the input.
 */
const char *cbor_read_map(struct cbor *cbor, struct cbor_field *fields, size_t count, const char **name);

#endif
