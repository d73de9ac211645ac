#include "call.h"

#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "cbor.h"
#include "json.h"
#include "program.h"
#include "text.h"

#define ENVIRONMENT_MAX (64U << 10)
#define VERSION_MAX 64
#define DETAILS_MAX (PROGRAM_PATH_MAX + 1024) /* a path, and what is wrong with it */
#define DEFAULT_SOCKET "/run/netloom/agent.sock"
#define DEFAULT_TIMEOUT 60000
#define LONGEST_TIMEOUT 3600000
#define DEFAULT_WAIT 10000
#define WAIT_MAX 16 /* characters of a duration */

/*
 * Where the standalone program is looked for: where npm installs for all users, with a prefix of its own and with the
 * distribution's, and where a file goes that belongs to neither. They are root's, which the folders of PATH need not be.
 */
static const char *const DEFAULT_PROGRAMS[] = {
  "/usr/local/bin/netloom",
  "/usr/bin/netloom",
  "/opt/netloom/bin/netloom",
};

/*
 * Named in an error where the configuration's own version cannot be read. The specification asks for "the protocol
 * version in use"; its newest version is the one whose error format this executable writes, and runtimes read `code`,
 * `msg` and `details` of an error alike in all versions.
 */
#define NEWEST_CNI "1.1.0"
#define SUPPORTED_CNI "\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\""

/* Error codes of the specification, section "Error" and, for the last, section "STATUS". */
enum cni_code {
  CNI_BAD_ENVIRONMENT = 4,
  CNI_IO_FAILURE = 5,
  CNI_DECODING_FAILURE = 6,
  CNI_INVALID_CONFIG = 7,
  CNI_TRY_AGAIN_LATER = 11,
  CNI_NOT_AVAILABLE = 50,
};

/* Keys at the top level of the configuration that matter here. */
enum key { KEY_VERSION, KEY_AGENT, KEY_SOCKET, KEY_WAIT, KEY_PROGRAM, KEYS };

/* A call and what its configuration says. */
struct request {
  const struct call *call;
  struct json_field fields[KEYS];
  const char *problem; /* of the configuration, or NULL */
  size_t problem_at;
};

/* A path that the configuration may give, else the environment. */
struct place {
  enum key key;
  const char *variable;
  size_t max;
  const char *too_long;
};

static char details_buffer[DETAILS_MAX];
static struct text details = {.bytes = details_buffer, .capacity = sizeof details_buffer};

static void add_version(struct text *text, const struct json_field *version)
{
  if (version->state == JSON_STRING && version->length > 0)
    text_add_json(text, version->value, version->length);
  else
    text_add_json(text, NEWEST_CNI, sizeof NEWEST_CNI - 1);
}

/* An error of the specification with the `details` gathered so far. */
static struct answer report(const struct request *request, enum cni_code code, const char *msg)
{
  static char buffer[JSON_ESCAPE_MAX * (VERSION_MAX + DETAILS_MAX) + 512];
  struct text text = {.bytes = buffer, .capacity = sizeof buffer};

  text_add(&text, "{\"cniVersion\":");
  add_version(&text, &request->fields[KEY_VERSION]);
  text_add(&text, ",\"code\":");
  text_add_number(&text, code);
  text_add(&text, ",\"msg\":");
  text_add_json(&text, msg, strlen(msg));
  text_add(&text, ",\"details\":");
  text_add_json(&text, details.bytes, details.length);
  text_add(&text, "}\n");
  return (struct answer){.exit = 1, .output = text.bytes, .length = text.length};
}

/* The answer to VERSION: needs no agent, and no well-formed input. */
static struct answer answer_version(const struct request *request)
{
  static char buffer[JSON_ESCAPE_MAX * VERSION_MAX + 256];
  struct text text = {.bytes = buffer, .capacity = sizeof buffer};

  text_add(&text, "{\"cniVersion\":");
  add_version(&text, &request->fields[KEY_VERSION]);
  text_add(&text, ",\"supportedVersions\":[" SUPPORTED_CNI "]}\n");
  return (struct answer){.exit = 0, .output = text.bytes, .length = text.length};
}

static struct answer refuse_command(const struct request *request)
{
  const char *command = request->call->command;

  text_add(&details, "CNI_COMMAND ");
  if (command == NULL)
    text_add(&details, "is not set");
  else {
    text_add(&details, "is '");
    text_add_bytes(&details, command, strnlen(command, VERSION_MAX));
    text_add(&details, "'");
  }
  text_add(&details, "; it must be ADD, DEL, CHECK, GC, STATUS or VERSION");
  return report(request, CNI_BAD_ENVIRONMENT, "invalid environment variable CNI_COMMAND");
}

static struct answer refuse_variable(const struct request *request, const char *name, const char *problem)
{
  text_add(&details, name);
  text_add(&details, " ");
  text_add(&details, problem);
  return report(request, CNI_BAD_ENVIRONMENT, "invalid environment variable");
}

static struct answer refuse_key(const struct request *request, enum key key, const char *problem)
{
  text_add(&details, request->fields[key].name);
  text_add(&details, " ");
  text_add(&details, problem);
  return report(request, CNI_INVALID_CONFIG, "invalid network configuration");
}

/* True where standard input is a configuration. */
static bool check_config(const struct request *request, struct answer *refusal)
{
  const struct call *call = request->call;

  if (call->read_errno != 0) {
    text_add(&details, "errno ");
    text_add_number(&details, (uint64_t)call->read_errno);
    *refusal = report(request, CNI_IO_FAILURE, "failed to read the network configuration from standard input");
    return false;
  }
  if (call->length > CONFIG_MAX) {
    text_add(&details, "the network configuration is longer than the limit of 1 MiB (1048576 bytes)");
    *refusal = report(request, CNI_INVALID_CONFIG, "network configuration too long");
    return false;
  }
  if (request->problem == NULL)
    return true;
  text_add(&details, "standard input, byte ");
  text_add_number(&details, request->problem_at);
  text_add(&details, ": ");
  text_add(&details, request->problem);
  *refusal = report(request, CNI_DECODING_FAILURE, "failed to decode the network configuration");
  return false;
}

static bool says(const struct json_field *field, const char *word)
{
  return field->state == JSON_STRING && field->length == strlen(word) && memcmp(field->value, word, field->length) == 0;
}

/* Whether an agent does the work, which is so where the configuration does not say. */
static bool find_agent(const struct request *request, bool *wanted, struct answer *refusal)
{
  const struct json_field *field = &request->fields[KEY_AGENT];

  *wanted = !says(field, "off");
  if (!*wanted || field->state == JSON_ABSENT || says(field, "on"))
    return true;
  *refusal = refuse_key(request, KEY_AGENT, "is neither \"on\" nor \"off\"");
  return false;
}

static const char *path_problem(const struct place *place, const char *path, size_t length)
{
  if (length > place->max)
    return place->too_long;
  if (length == 0 || path[0] != '/')
    return "is not an absolute path";
  return memchr(path, 0, length) != NULL ? "holds a NUL" : NULL;
}

/* The path into `path`, which has room for the place's longest and a NUL; the empty string where none is given. */
static bool find_path(const struct request *request, const struct place *place, char *path, struct answer *refusal)
{
  const struct json_field *field = &request->fields[place->key];
  bool absent = field->state == JSON_ABSENT;
  const char *from = absent ? getenv(place->variable) : field->value;
  size_t length = !absent ? field->length : from == NULL ? 0 : strlen(from);
  const char *problem;

  path[0] = 0;
  if (absent && length == 0)
    return true;
  problem = field->state == JSON_NO_STRING ? "is not a string"
            : field->state == JSON_TOO_LONG ? place->too_long : path_problem(place, from, length);
  if (problem == NULL) {
    memcpy(path, from, length);
    path[length] = 0;
    return true;
  }
  *refusal = absent ? refuse_variable(request, place->variable, problem) : refuse_key(request, place->key, problem);
  return false;
}

/* Milliseconds that the agent may take. */
static bool find_timeout(const struct request *request, uint64_t *timeout, struct answer *refusal)
{
  const char *value = getenv("NETLOOM_TIMEOUT_MS");

  *timeout = DEFAULT_TIMEOUT;
  if (value == NULL || *value == 0)
    return true;
  *timeout = 0;
  for (; *value >= '0' && *value <= '9' && *timeout <= LONGEST_TIMEOUT; value++)
    *timeout = *timeout * 10 + (uint64_t)(*value - '0');
  if (*value == 0 && *timeout > 0 && *timeout <= LONGEST_TIMEOUT)
    return true;
  *refusal =
    refuse_variable(request, "NETLOOM_TIMEOUT_MS", "is not a number of milliseconds from 1 to 3600000");
  return false;
}

static bool is_status(const struct request *request)
{
  return strcmp(request->call->command, "STATUS") == 0;
}

/* A number and its unit, as 500ms, 10s or 1m, up to an hour. */
static bool read_duration(const char *text, size_t length, uint64_t *milliseconds)
{
  static const struct {
    const char *name;
    uint64_t length;
  } UNITS[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}};
  uint64_t number = 0;
  size_t digits = 0;

  for (; digits < length && text[digits] >= '0' && text[digits] <= '9' && number <= LONGEST_TIMEOUT; digits++)
    number = number * 10 + (uint64_t)(text[digits] - '0');
  for (size_t i = 0; i < sizeof UNITS / sizeof UNITS[0]; i++)
    if (digits > 0 && length - digits == strlen(UNITS[i].name) &&
        memcmp(text + digits, UNITS[i].name, length - digits) == 0) {
      *milliseconds = number * UNITS[i].length;
      return *milliseconds <= LONGEST_TIMEOUT;
    }
  return false;
}

/* How long a call waits for an agent that is away. STATUS does not: it tells what is so now. */
static bool find_wait(const struct request *request, uint64_t *wait, struct answer *refusal)
{
  static const char PROBLEM[] = "is not a duration up to an hour, as \"500ms\", \"10s\" or \"1m\"";
  const struct json_field *field = &request->fields[KEY_WAIT];
  bool absent = field->state == JSON_ABSENT;
  const char *from = absent ? getenv("NETLOOM_WAIT") : field->value;
  size_t length = !absent ? field->length : from == NULL ? 0 : strlen(from);

  *wait = DEFAULT_WAIT;
  if (!(absent && length == 0) &&
      !((absent || field->state == JSON_STRING) && read_duration(from, length, wait))) {
    *refusal = absent ? refuse_variable(request, "NETLOOM_WAIT", PROBLEM) : refuse_key(request, KEY_WAIT, PROBLEM);
    return false;
  }
  if (is_status(request))
    *wait = 0;
  return true;
}

/* Adds the variables that are set to the entries for the agent. */
static bool add_environment(const struct request *request, struct entry *entries, size_t *count,
                            struct answer *refusal)
{
  static const struct {
    const char *key;
    const char *variable;
  } VARIABLES[] = {
    {"command", "CNI_COMMAND"}, {"containerId", "CNI_CONTAINERID"}, {"netns", "CNI_NETNS"},
    {"ifname", "CNI_IFNAME"},   {"args", "CNI_ARGS"},               {"path", "CNI_PATH"},
  };

  for (size_t i = 0; i < sizeof VARIABLES / sizeof VARIABLES[0]; i++) {
    const char *value = getenv(VARIABLES[i].variable);
    size_t length = value == NULL ? 0 : strlen(value);
    const char *problem = length > ENVIRONMENT_MAX ? "is longer than 64 KiB"
                          : !utf8_valid((const uint8_t *)value, length) ? "is not UTF-8" : NULL;

    if (problem != NULL) {
      *refusal = refuse_variable(request, VARIABLES[i].variable, problem);
      return false;
    }
    if (value != NULL)
      entries[(*count)++] = (struct entry){VARIABLES[i].key, CBOR_TEXT, value, length};
  }
  return true;
}

/*
 * What the agent's failure is in the words of the specification. An answer that cannot be decoded is code 6 and not
 * code 5: the bytes arrived, but they are not what they should be. The runtime treats both alike; the person who looks
 * for the reason is led to the release of agent and executable, not to a disk or a socket.
 */
static struct answer report_agent(const struct request *request, enum agent_outcome outcome)
{
  if (outcome == AGENT_BROKEN)
    return report(request, CNI_DECODING_FAILURE, "failed to decode the netloom agent's reply");
  if (is_status(request))
    return report(request, CNI_NOT_AVAILABLE, "the netloom agent is not available");
  return report(request, CNI_TRY_AGAIN_LATER, "the netloom agent is not available, try again later");
}

static struct answer pass_to_agent(const struct request *request)
{
  static const struct place SOCKET = {
    KEY_SOCKET, "NETLOOM_SOCKET", AGENT_PATH_MAX, "is longer than the 107 bytes that a unix socket's path may have"};
  struct entry entries[REQUEST_ENTRIES_MAX] = {{"method", CBOR_TEXT, "cni", 3}};
  char path[AGENT_PATH_MAX + 1];
  struct answer refusal;
  struct reply reply;
  enum agent_outcome outcome;
  struct patience patience;
  size_t count = 1;

  if (!add_environment(request, entries, &count, &refusal) || !find_path(request, &SOCKET, path, &refusal) ||
      !find_timeout(request, &patience.timeout, &refusal) || !find_wait(request, &patience.wait, &refusal))
    return refusal;
  entries[count++] = (struct entry){"config", CBOR_BYTES, request->call->config, request->call->length};
  outcome = agent_exchange(path[0] == 0 ? DEFAULT_SOCKET : path, entries, count, patience, &reply, &details);
  if (outcome != AGENT_REPLIED)
    return report_agent(request, outcome);
  return (struct answer){.exit = reply.exit, .output = reply.output, .length = reply.length};
}

/*
 * A program that cannot be started is code 5, "I/O failure", and not 11: nothing that comes by itself will change it.
 * Returns only with such an error.
 */
static struct answer become_program(const struct request *request)
{
  static const struct place PROGRAM = {
    KEY_PROGRAM, "NETLOOM_PROGRAM", PROGRAM_PATH_MAX, "is longer than the 4095 bytes that a path may have"};
  static char path[PROGRAM_PATH_MAX + 1];
  const char *given[] = {path};
  const struct call *call = request->call;
  struct answer refusal;

  if (!find_path(request, &PROGRAM, path, &refusal))
    return refusal;
  if (call->nested)
    return refuse_key(request, KEY_PROGRAM, "is this CNI executable and not the standalone program");
  if (path[0] != 0)
    program_become(given, 1, call->config, call->length, &details);
  else
    program_become(DEFAULT_PROGRAMS, sizeof DEFAULT_PROGRAMS / sizeof DEFAULT_PROGRAMS[0], call->config, call->length,
                   &details);
  if (is_status(request))
    return report(request, CNI_NOT_AVAILABLE, "the netloom program is not available");
  return report(request, CNI_IO_FAILURE, "failed to start the netloom program");
}

static bool known(const char *command)
{
  static const char *const COMMANDS[] = {"ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"};

  for (size_t i = 0; command != NULL && i < sizeof COMMANDS / sizeof COMMANDS[0]; i++)
    if (strcmp(command, COMMANDS[i]) == 0)
      return true;
  return false;
}

static struct request read_request(const struct call *call)
{
  static char version[VERSION_MAX];
  static char agent[sizeof "off"];
  static char socket[AGENT_PATH_MAX];
  static char wait[WAIT_MAX];
  static char program[PROGRAM_PATH_MAX];
  struct request request = {
    .call = call,
    .fields =
      {
        [KEY_VERSION] = {.name = "cniVersion", .value = version, .capacity = sizeof version},
        [KEY_AGENT] = {.name = "agent", .value = agent, .capacity = sizeof agent},
        [KEY_SOCKET] = {.name = "agentSocket", .value = socket, .capacity = sizeof socket},
        [KEY_WAIT] = {.name = "agentWait", .value = wait, .capacity = sizeof wait},
        [KEY_PROGRAM] = {.name = "program", .value = program, .capacity = sizeof program},
      },
  };

  request.problem = json_scan(call->config, call->length, request.fields, KEYS, &request.problem_at);
  return request;
}

struct answer call_answer(const struct call *call)
{
  struct request request = read_request(call);
  struct answer refusal;
  bool agent;

  details.length = 0;
  if (!known(call->command))
    return refuse_command(&request);
  if (strcmp(call->command, "VERSION") == 0)
    return answer_version(&request);
  if (!check_config(&request, &refusal) || !find_agent(&request, &agent, &refusal))
    return refusal;
  return agent ? pass_to_agent(&request) : become_program(&request);
}
