/* UTF-8, text put together in a buffer of fixed size, and words for an errno. */
#ifndef NETLOOM_TEXT_H
#define NETLOOM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 sequence (RFC 3629) that starts at `at`, 1 to 4; 0 where none starts there. `left` is at least 1. */
size_t utf8_sequence(const uint8_t *at, size_t left);

bool utf8_valid(const uint8_t *bytes, size_t length);

/* A builder over a caller's buffer. What does not fit is left out: it never writes past `capacity`. */
struct text {
  char *bytes;
  size_t capacity;
  size_t length;
};

void text_add_bytes(struct text *text, const void *bytes, size_t length);
void text_add(struct text *text, const char *string);
void text_add_number(struct text *text, uint64_t number);

/* Most bytes that one byte of input can become in text_add_json(): \u00XX. */
#define JSON_ESCAPE_MAX 6

/* Adds a JSON string (RFC 8259 section 7), quotes included. Bytes that are not UTF-8 become U+FFFD one by one. */
void text_add_json(struct text *text, const void *bytes, size_t length);

/* What an errno means where it happened, in words: strerror() would bring the C library's catalogues along. */
struct meaning {
  int error;
  const char *text;
};

/* NULL where the table does not have it. */
const char *meaning_of(int error, const struct meaning *meanings, size_t count);

#endif
