#include "cbor.h"

#include <string.h>

#include "text.h"

static const char NOT_WELL_FORMED[] = "not well-formed CBOR, or CBOR of a kind that frames do not use";

size_t cbor_write_head(uint8_t *to, enum cbor_major major, uint64_t argument)
{
  uint8_t type = (uint8_t)(major << 5);
  unsigned size = argument < 24 ? 0 : argument <= UINT8_MAX ? 1 : argument <= UINT16_MAX ? 2
                  : argument <= UINT32_MAX ? 4 : 8;
  uint8_t code = size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27;

  if (size == 0) {
    to[0] = (uint8_t)(type | argument);
    return 1;
  }
  to[0] = type | code;
  for (unsigned i = size; i > 0; i--, argument >>= 8)
    to[i] = (uint8_t)argument;
  return 1 + size;
}

/* An item's head. For text and byte strings the content is known to be there. */
static bool read_head(struct cbor *cbor, enum cbor_major *major, uint64_t *argument)
{
  size_t size;

  if (cbor->at == cbor->end)
    return false;
  *major = (enum cbor_major)(*cbor->at >> 5);
  *argument = *cbor->at++ & 31;
  if (*argument < 24)
    return true;
  if (*argument > 27)
    return false; /* reserved, or of indefinite length */
  size = (size_t)1 << (*argument - 24);
  if ((size_t)(cbor->end - cbor->at) < size)
    return false;
  *argument = 0;
  while (size-- > 0)
    *argument = *argument << 8 | *cbor->at++;
  return true;
}

/* The content of a string whose head has been read. */
static bool read_content(struct cbor *cbor, enum cbor_major major, uint64_t length)
{
  const uint8_t *from = cbor->at;

  if (length > (uint64_t)(cbor->end - cbor->at))
    return false;
  cbor->at += length;
  return major != CBOR_TEXT || utf8_valid(from, (size_t)length);
}

/* Steps over one item and all that it holds. Ends, because every step takes at least one byte. */
static bool skip(struct cbor *cbor)
{
  uint64_t left[CBOR_MAX_DEPTH] = {1};
  size_t depth = 1;

  while (depth > 0) {
    enum cbor_major major;
    uint64_t argument;

    if (left[depth - 1] == 0) {
      depth--;
      continue;
    }
    left[depth - 1]--;
    if (!read_head(cbor, &major, &argument) || major == CBOR_TAG)
      return false;
    if ((major == CBOR_TEXT || major == CBOR_BYTES) && !read_content(cbor, major, argument))
      return false;
    if (major == CBOR_ARRAY || major == CBOR_MAP) {
      if (depth == CBOR_MAX_DEPTH || argument > UINT64_MAX / 2)
        return false;
      left[depth++] = major == CBOR_MAP ? argument * 2 : argument;
    }
  }
  return true;
}

static const char *read_field(struct cbor *cbor, struct cbor_field *field)
{
  const uint8_t *from = cbor->at;
  struct cbor head = *cbor;
  enum cbor_major major;

  if (!skip(cbor) || !read_head(&head, &major, &field->number))
    return NOT_WELL_FORMED;
  if (field->found)
    return "stands there twice";
  if (major != field->major)
    return "has the wrong type";
  field->found = true;
  field->bytes = major == CBOR_TEXT || major == CBOR_BYTES ? head.at : from;
  field->length = (size_t)(cbor->at - field->bytes);
  return NULL;
}

const char *cbor_read_map(struct cbor *cbor, struct cbor_field *fields, size_t count, const char **name)
{
  enum cbor_major major;
  uint64_t pairs;

  *name = NULL;
  if (!read_head(cbor, &major, &pairs) || major != CBOR_MAP)
    return "not a CBOR map";
  for (; pairs > 0; pairs--) {
    const uint8_t *key;
    uint64_t length;
    size_t i = 0;

    if (!read_head(cbor, &major, &length) || major != CBOR_TEXT)
      return "a key that is not text";
    key = cbor->at;
    if (!read_content(cbor, CBOR_TEXT, length))
      return NOT_WELL_FORMED;
    while (i < count && (strlen(fields[i].name) != length || memcmp(fields[i].name, key, (size_t)length) != 0))
      i++;
    if (i < count) {
      const char *problem = read_field(cbor, &fields[i]);

      *name = fields[i].name;
      if (problem != NULL)
        return problem;
    } else if (!skip(cbor))
      return NOT_WELL_FORMED;
  }
  *name = NULL;
  return NULL;
}
