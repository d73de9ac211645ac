#include "text.h"

#include <string.h>

size_t utf8_sequence(const uint8_t *at, size_t left)
{
  uint8_t lead = at[0];
  size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;

  if (length == 0 || length > left)
    return 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xc0) != 0x80)
      return 0;
  /* Overlong forms, the surrogates D800 to DFFF and everything above 10FFFF show in the second byte. */
  if ((lead == 0xe0 && at[1] < 0xa0) || (lead == 0xed && at[1] > 0x9f))
    return 0;
  if ((lead == 0xf0 && at[1] < 0x90) || (lead == 0xf4 && at[1] > 0x8f))
    return 0;
  return length;
}

bool utf8_valid(const uint8_t *bytes, size_t length)
{
  for (size_t at = 0; at < length;) {
    size_t sequence = utf8_sequence(bytes + at, length - at);

    if (sequence == 0)
      return false;
    at += sequence;
  }
  return true;
}

void text_add_bytes(struct text *text, const void *bytes, size_t length)
{
  size_t room = text->capacity - text->length;

  if (length > room)
    length = room;
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

void text_add(struct text *text, const char *string)
{
  text_add_bytes(text, string, strlen(string));
}

void text_add_number(struct text *text, uint64_t number)
{
  char digits[20]; /* of 2^64 - 1 */
  size_t at = sizeof digits;

  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  text_add_bytes(text, digits + at, sizeof digits - at);
}

static void add_escaped(struct text *text, uint8_t byte)
{
  static const char HEX[] = "0123456789abcdef";
  char escape[JSON_ESCAPE_MAX] = {'\\', 'u', '0', '0', HEX[byte >> 4], HEX[byte & 15]};

  text_add_bytes(text, escape, sizeof escape);
}

void text_add_json(struct text *text, const void *bytes, size_t length)
{
  const uint8_t *from = bytes;

  text_add(text, "\"");
  for (size_t at = 0; at < length;) {
    size_t sequence = utf8_sequence(from + at, length - at);

    if (sequence == 0)
      text_add(text, "\\ufffd");
    else if (from[at] == '"' || from[at] == '\\') {
      text_add(text, "\\");
      text_add_bytes(text, from + at, 1);
    } else if (from[at] < 0x20 || from[at] == 0x7f)
      add_escaped(text, from[at]);
    else
      text_add_bytes(text, from + at, sequence);
    at += sequence == 0 ? 1 : sequence;
  }
  text_add(text, "\"");
}

const char *meaning_of(int error, const struct meaning *meanings, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (meanings[i].error == error)
      return meanings[i].text;
  return NULL;
}
