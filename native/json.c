#include "json.h"

#include <string.h>

#include "text.h"

#define NAME_MAX_BYTES 32 /* keys longer than this are none of ours */

struct scanner {
  const uint8_t *bytes;
  size_t length;
  size_t at;
  const char *problem;
  /* One bit per open container, the innermost last: set for an object. */
  uint8_t objects[JSON_MAX_DEPTH / 8 + 1];
  size_t depth;
};

/* Where a decoded string goes; a NULL buffer only checks it. */
struct sink {
  char *bytes;
  size_t capacity;
  size_t length;
  bool overflow;
};

static bool fail(struct scanner *scanner, const char *problem)
{
  scanner->problem = problem;
  return false;
}

static int peek(const struct scanner *scanner)
{
  return scanner->at < scanner->length ? scanner->bytes[scanner->at] : -1;
}

static int peek_token(struct scanner *scanner)
{
  int c = peek(scanner);

  while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
    scanner->at++;
    c = peek(scanner);
  }
  return c;
}

static void put(struct sink *sink, const void *bytes, size_t length)
{
  if (sink->bytes == NULL || sink->overflow)
    return;
  if (length > sink->capacity - sink->length) {
    sink->overflow = true;
    return;
  }
  memcpy(sink->bytes + sink->length, bytes, length);
  sink->length += length;
}

static void put_code_point(struct sink *sink, uint32_t code)
{
  uint8_t utf8[4];
  size_t length;

  if (code < 0x80) {
    utf8[0] = (uint8_t)code;
    length = 1;
  } else if (code < 0x800) {
    utf8[0] = (uint8_t)(0xc0 | code >> 6);
    length = 2;
  } else if (code < 0x10000) {
    utf8[0] = (uint8_t)(0xe0 | code >> 12);
    length = 3;
  } else {
    utf8[0] = (uint8_t)(0xf0 | code >> 18);
    length = 4;
  }
  for (size_t i = length - 1; i > 0; i--, code >>= 6)
    utf8[i] = (uint8_t)(0x80 | (code & 0x3f));
  put(sink, utf8, length);
}

/* The four hexadecimal digits at the scanner's place, or -1. */
static int32_t hex4(struct scanner *scanner)
{
  int32_t value = 0;

  for (int i = 0; i < 4; i++, scanner->at++) {
    int c = peek(scanner);

    if (c >= '0' && c <= '9')
      value = value << 4 | (c - '0');
    else if (c >= 'a' && c <= 'f')
      value = value << 4 | (c - 'a' + 10);
    else if (c >= 'A' && c <= 'F')
      value = value << 4 | (c - 'A' + 10);
    else
      return -1;
  }
  return value;
}

/* Behind \u. The grammar allows a surrogate without its other half; it decodes as U+FFFD, as Go decodes it. */
static bool scan_unicode_escape(struct scanner *scanner, struct sink *sink)
{
  int32_t unit = hex4(scanner);
  size_t behind = scanner->at;

  if (unit < 0)
    return fail(scanner, "expected four hexadecimal digits");
  if (unit >= 0xd800 && unit < 0xdc00 && scanner->length - behind >= 6 && scanner->bytes[behind] == '\\' &&
      scanner->bytes[behind + 1] == 'u') {
    int32_t low;

    scanner->at += 2;
    low = hex4(scanner);
    if (low >= 0xdc00 && low < 0xe000) {
      put_code_point(sink, 0x10000 + (((uint32_t)unit - 0xd800) << 10) + ((uint32_t)low - 0xdc00));
      return true;
    }
    scanner->at = behind; /* not its other half: an escape of its own, or an error that is found there */
  }
  put_code_point(sink, unit >= 0xd800 && unit < 0xe000 ? 0xfffd : (uint32_t)unit);
  return true;
}

static bool scan_escape(struct scanner *scanner, struct sink *sink)
{
  static const char ESCAPES[] = "\"\\/bfnrt";
  static const char MEANINGS[] = "\"\\/\b\f\n\r\t";
  int c = peek(scanner);
  const char *found;

  if (c == 'u') {
    scanner->at++;
    return scan_unicode_escape(scanner, sink);
  }
  found = c > 0 ? strchr(ESCAPES, c) : NULL;
  if (found == NULL)
    return fail(scanner, "not an escape sequence");
  scanner->at++;
  put(sink, &MEANINGS[found - ESCAPES], 1);
  return true;
}

/* A string whose opening quote is the next byte. */
static bool scan_string(struct scanner *scanner, struct sink *sink)
{
  scanner->at++;
  for (;;) {
    int c = peek(scanner);
    size_t sequence;

    if (c < 0)
      return fail(scanner, "the string has no end");
    if (c < 0x20)
      return fail(scanner, "a control character in a string");
    if (c == '"' || c == '\\') {
      scanner->at++;
      if (c == '"')
        return true;
      if (!scan_escape(scanner, sink))
        return false;
      continue;
    }
    sequence = utf8_sequence(scanner->bytes + scanner->at, scanner->length - scanner->at);
    if (sequence == 0)
      return fail(scanner, "not UTF-8");
    put(sink, scanner->bytes + scanner->at, sequence);
    scanner->at += sequence;
  }
}

static bool scan_digits(struct scanner *scanner)
{
  size_t from = scanner->at;

  while (peek(scanner) >= '0' && peek(scanner) <= '9')
    scanner->at++;
  return scanner->at > from || fail(scanner, "expected a digit");
}

static bool scan_number(struct scanner *scanner)
{
  if (peek(scanner) == '-')
    scanner->at++;
  if (peek(scanner) == '0')
    scanner->at++; /* a leading zero stands alone */
  else if (!scan_digits(scanner))
    return false;
  if (peek(scanner) == '.') {
    scanner->at++;
    if (!scan_digits(scanner))
      return false;
  }
  if (peek(scanner) == 'e' || peek(scanner) == 'E') {
    scanner->at++;
    if (peek(scanner) == '+' || peek(scanner) == '-')
      scanner->at++;
    return scan_digits(scanner);
  }
  return true;
}

static bool scan_word(struct scanner *scanner)
{
  static const char *const WORDS[] = {"true", "false", "null"};

  for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
    size_t length = strlen(WORDS[i]);

    if (scanner->length - scanner->at >= length && memcmp(scanner->bytes + scanner->at, WORDS[i], length) == 0) {
      scanner->at += length;
      return true;
    }
  }
  return fail(scanner, "expected a value");
}

/* A value that holds no others. */
static bool scan_scalar(struct scanner *scanner, struct sink *sink)
{
  int c = peek(scanner);

  if (c == '"')
    return scan_string(scanner, sink);
  if (c == '-' || (c >= '0' && c <= '9'))
    return scan_number(scanner);
  return scan_word(scanner);
}

static bool in_object(const struct scanner *scanner)
{
  size_t innermost = scanner->depth - 1;

  return (scanner->objects[innermost / 8] >> (innermost % 8) & 1) != 0;
}

static bool open_container(struct scanner *scanner, bool object)
{
  size_t index = scanner->depth;
  uint8_t bit = (uint8_t)(1U << (index % 8));

  if (index == JSON_MAX_DEPTH)
    return fail(scanner, "nested too deep");
  scanner->objects[index / 8] = (uint8_t)((scanner->objects[index / 8] & ~bit) | (object ? bit : 0));
  scanner->depth++;
  scanner->at++;
  return true;
}

static struct json_field *find_field(const struct sink *key, struct json_field *fields, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (!key->overflow && key->length == strlen(fields[i].name) && memcmp(key->bytes, fields[i].name, key->length) == 0)
      return &fields[i];
  return NULL;
}

/* A key and its colon; `*field` is the field that the value belongs to, if any. */
static bool scan_key(struct scanner *scanner, struct json_field *fields, size_t count, struct json_field **field)
{
  char name[NAME_MAX_BYTES];
  struct sink key = {.bytes = name, .capacity = sizeof name};

  if (peek_token(scanner) != '"')
    return fail(scanner, "expected a key");
  if (!scan_string(scanner, &key))
    return false;
  if (peek_token(scanner) != ':')
    return fail(scanner, "expected ':'");
  scanner->at++;
  *field = scanner->depth == 1 ? find_field(&key, fields, count) : NULL;
  return true;
}

static bool scan_field(struct scanner *scanner, struct json_field *field)
{
  struct sink value = {.bytes = field->value, .capacity = field->capacity};
  bool string = peek(scanner) == '"';

  field->state = JSON_ABSENT; /* should the document break off within the value */
  if (!scan_scalar(scanner, &value))
    return false;
  field->state = !string ? JSON_NO_STRING : value.overflow ? JSON_TOO_LONG : JSON_STRING;
  field->length = value.length;
  return true;
}

/*
 * Everything up to the place where the next value stands: commas, keys, and the ends of containers. At the end of the
 * document's object depth is 0.
 */
static bool scan_to_value(struct scanner *scanner, bool opened, struct json_field *fields, size_t count,
                          struct json_field **field)
{
  *field = NULL;
  while (scanner->depth > 0) {
    bool object = in_object(scanner);
    int c = peek_token(scanner);

    if (c == (object ? '}' : ']')) {
      scanner->depth--;
      scanner->at++;
      opened = false;
      continue;
    }
    if (!opened && c != ',')
      return fail(scanner, object ? "expected ',' or '}'" : "expected ',' or ']'");
    if (!opened)
      scanner->at++;
    return !object || scan_key(scanner, fields, count, field);
  }
  return true;
}

static bool scan_document(struct scanner *scanner, struct json_field *fields, size_t count)
{
  struct json_field *field = NULL;
  bool opened = true;

  if (peek_token(scanner) != '{')
    return fail(scanner, scanner->at == scanner->length ? "nothing there" : "expected an object");
  if (!open_container(scanner, true))
    return false;
  while (scan_to_value(scanner, opened, fields, count, &field) && scanner->depth > 0) {
    struct sink nowhere = {.bytes = NULL};
    int c = peek_token(scanner);

    opened = c == '{' || c == '[';
    if (opened && field != NULL)
      field->state = JSON_NO_STRING;
    if (!(opened ? open_container(scanner, c == '{')
                 : field != NULL ? scan_field(scanner, field) : scan_scalar(scanner, &nowhere)))
      return false;
  }
  if (scanner->problem == NULL && peek_token(scanner) >= 0)
    return fail(scanner, "something behind the end of the object");
  return scanner->problem == NULL;
}

const char *json_scan(const uint8_t *bytes, size_t length, struct json_field *fields, size_t count, size_t *where)
{
  struct scanner scanner = {.bytes = bytes, .length = length};

  if (scan_document(&scanner, fields, count))
    return NULL;
  *where = scanner.at;
  return scanner.problem;
}
