/*
 * Fuzzes one call up to where it leaves the process: standard input and environment, made from the fuzzer's bytes. The
 * agent and the standalone program are replaced by what follows, which checks what they are given.
 *
 * Input: variables as NAME=value, each ended by a NUL; an empty one; then standard input.
 */
#include <stdlib.h>
#include <string.h>

#include "../agent.h"
#include "../call.h"
#include "../cbor.h"
#include "../json.h"
#include "../program.h"
#include "check.h"

#define VARIABLES_MAX 16

struct variable {
  char *name;
  const char *value;
};

static struct variable variables[VARIABLES_MAX];
static size_t variable_count;
static const struct call *current;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

char *__real_getenv(const char *name);
char *__wrap_getenv(const char *name);

/* Linked in the place of getenv(): of our variables only the input's are there. */
char *__wrap_getenv(const char *name)
{
  if (strncmp(name, "CNI_", 4) != 0 && strncmp(name, "NETLOOM_", 8) != 0)
    return __real_getenv(name);
  for (size_t i = 0; i < variable_count; i++)
    if (strcmp(variables[i].name, name) == 0)
      return (char *)(uintptr_t)variables[i].value;
  return NULL;
}

/* A path that may be handed to the kernel. */
static void check_path(const char *path, size_t max)
{
  check(path[0] == '/', "an absolute path");
  check(strlen(path) <= max, "a path within its limit");
}

/* How the agent answers follows from the call, so that every input has one outcome only. */
enum agent_outcome agent_exchange(const char *path, const struct entry *entries, size_t count,
                                  struct patience patience, struct reply *reply, struct text *why)
{
  static const uint8_t OUTPUT[] = "{}";
  uint64_t timeout = patience.timeout;
  size_t body = 0;

  check_path(path, AGENT_PATH_MAX);
  check(timeout >= 1 && timeout <= 3600000, "a time-out within its limits");
  check(patience.wait <= 3600000, "a wait within its limit");
  check(count >= 3 && count < REQUEST_ENTRIES_MAX, "as many entries as a request may have");
  for (size_t i = 0; i < count; i++) {
    check(entries[i].major == CBOR_BYTES || utf8_valid(entries[i].value, entries[i].length), "text in UTF-8");
    body += 2 * CBOR_HEAD_MAX + strlen(entries[i].key) + entries[i].length;
  }
  check(body <= FRAME_BODY_MAX, "a request that fits a frame");
  check(entries[count - 1].value == current->config && entries[count - 1].length == current->length,
        "the configuration as it came");
  if (timeout % 3 == 0) {
    *reply = (struct reply){.exit = (int)(timeout % 256), .output = OUTPUT, .length = sizeof OUTPUT - 1};
    return AGENT_REPLIED;
  }
  text_add(why, "connect ");
  text_add(why, path);
  return timeout % 3 == 1 ? AGENT_ABSENT : AGENT_BROKEN;
}

void program_become(const char *const *paths, size_t count, const void *config, size_t length, struct text *why)
{
  check(count > 0, "a program to start");
  check(!current->nested, "no program that starts itself");
  check(config == current->config && length == current->length, "the configuration as it came");
  for (size_t i = 0; i < count; i++) {
    check_path(paths[i], PROGRAM_PATH_MAX);
    text_add(why, "exec ");
    text_add(why, paths[i]);
  }
}

/* What was printed is one JSON object, in the form that the exit code promises. */
static void check_answer(const struct answer *answer)
{
  char version[256];
  char text[16384];
  char message[256];
  struct json_field fields[] = {
    {.name = "cniVersion", .value = version, .capacity = sizeof version},
    {.name = "msg", .value = message, .capacity = sizeof message},
    {.name = "details", .value = text, .capacity = sizeof text},
  };
  size_t where;

  check(answer->exit >= 0 && answer->exit <= 255, "an exit code");
  check(json_scan(answer->output, answer->length, fields, 3, &where) == NULL, "JSON on standard output");
  if (answer->length == 2)
    return; /* the agent's own */
  check(fields[0].state == JSON_STRING && fields[0].length > 0, "a cniVersion");
  check(answer->exit <= 1, "an exit code of our own");
  if (answer->exit == 0)
    return;
  check(fields[1].state == JSON_STRING && fields[1].length > 0, "a msg");
  check(fields[2].state == JSON_STRING && fields[2].length > 0, "details");
}

/* Takes the variables off the front of the input. */
static void take_variables(struct bytes *input)
{
  while (input->length > 0 && variable_count < VARIABLES_MAX) {
    const uint8_t *end = memchr(input->at, 0, input->length);
    size_t length = end == NULL ? input->length : (size_t)(end - input->at);
    char *name = string_copy(input->at, length);
    char *sign = strchr(name, '=');

    input->at += end == NULL ? length : length + 1;
    input->length -= end == NULL ? length : length + 1;
    if (length == 0 || sign == NULL) {
      free(name);
      return;
    }
    *sign = 0;
    variables[variable_count++] = (struct variable){.name = name, .value = sign + 1};
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct bytes input = {.at = data, .length = size};
  struct call call = {.config = NULL};
  struct answer answer;
  uint8_t *config;

  variable_count = 0;
  take_variables(&input);
  config = exact_copy(input.at, input.length); /* of its own, so that a step behind its end is seen */
  call = (struct call){.command = __wrap_getenv("CNI_COMMAND"), .config = (const uint8_t *)config, .length = input.length};
  call.nested = __wrap_getenv("NETLOOM_NESTED") != NULL;
  current = &call;
  answer = call_answer(&call);
  check_answer(&answer);
  if (printing())
    fprintf(stderr, "OUTCOME %.*s\n", (int)answer.length, (const char *)answer.output);
  free(config);
  for (size_t i = 0; i < variable_count; i++)
    free(variables[i].name);
  return 0;
}
