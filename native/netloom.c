/*
 * The CNI plugin of netloom (CNI specification 1.1.0, https://www.cni.dev/docs/spec/): hands the call to the agent of
 * this node and prints its answer. All of the work is the agent's, because starting a runtime per call costs more than
 * the call itself. Its limits and the protocol are described in README.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "cbor.h"
#include "json.h"
#include "text.h"

#ifndef NETLOOM_VERSION
#error "NETLOOM_VERSION is not defined: build with scripts/build-native.mjs"
#endif

#define CONFIG_MAX (1U << 20)
#define ENVIRONMENT_MAX (64U << 10)
#define VERSION_MAX 64
#define DETAILS_MAX 1024
#define DEFAULT_SOCKET "/run/netloom/agent.sock"
#define DEFAULT_TIMEOUT 60000
#define LONGEST_TIMEOUT 3600000

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

/* The environment and standard input of one invocation. */
struct call {
  const char *command;
  const uint8_t *config;
  size_t length;
  int read_errno; /* of standard input, or 0 */
  const char *problem;
  size_t problem_at;
  struct json_field version;
  struct json_field socket;
};

static uint8_t config_buffer[CONFIG_MAX + 1];
static char version_buffer[VERSION_MAX];
static char socket_buffer[AGENT_PATH_MAX];
static char details_buffer[DETAILS_MAX];
static struct text details = {.bytes = details_buffer, .capacity = sizeof details_buffer};

static bool write_all(int fd, const void *bytes, size_t length)
{
  const uint8_t *from = bytes;

  while (length > 0) {
    ssize_t written = write(fd, from, length);

    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return false;
    from += written;
    length -= (size_t)written;
  }
  return true;
}

static int print(int fd, const void *bytes, size_t length, int status)
{
  static const char LOST[] = "netloom: the answer could not be written to standard output\n";

  if (write_all(fd, bytes, length))
    return status;
  write_all(STDERR_FILENO, LOST, sizeof LOST - 1);
  return status == 0 ? 1 : status;
}

static void add_version(struct text *text, const struct json_field *version)
{
  if (version->state == JSON_STRING && version->length > 0)
    text_add_json(text, version->value, version->length);
  else
    text_add_json(text, NEWEST_CNI, sizeof NEWEST_CNI - 1);
}

/* Prints an error of the specification with the `details` gathered so far; returns the exit code. */
static int report(const struct call *call, enum cni_code code, const char *msg)
{
  static char buffer[JSON_ESCAPE_MAX * (VERSION_MAX + DETAILS_MAX) + 512];
  struct text text = {.bytes = buffer, .capacity = sizeof buffer};

  text_add(&text, "{\"cniVersion\":");
  add_version(&text, &call->version);
  text_add(&text, ",\"code\":");
  text_add_number(&text, code);
  text_add(&text, ",\"msg\":");
  text_add_json(&text, msg, strlen(msg));
  text_add(&text, ",\"details\":");
  text_add_json(&text, details.bytes, details.length);
  text_add(&text, "}\n");
  return print(STDOUT_FILENO, text.bytes, text.length, 1);
}

/* For people: what this is. The reference plugins say as much when they are run by hand. */
static int about(int fd)
{
  static const char ABOUT[] =
    "CNI plugin netloom v" NETLOOM_VERSION
    "; speaks CNI 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0; run by a container runtime, with CNI_COMMAND set\n";

  return print(fd, ABOUT, sizeof ABOUT - 1, 0);
}

/* The answer to VERSION: needs no agent, and no well-formed input. */
static int answer_version(const struct call *call)
{
  static char buffer[JSON_ESCAPE_MAX * VERSION_MAX + 256];
  struct text text = {.bytes = buffer, .capacity = sizeof buffer};

  text_add(&text, "{\"cniVersion\":");
  add_version(&text, &call->version);
  text_add(&text, ",\"supportedVersions\":[" SUPPORTED_CNI "]}\n");
  return print(STDOUT_FILENO, text.bytes, text.length, 0);
}

/* Standard files that the caller closed are opened, else the agent's socket would take the place of one of them. */
static bool open_standard_files(void)
{
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
      return false;
  return true;
}

static void read_config(struct call *call)
{
  call->config = config_buffer;
  while (call->length < sizeof config_buffer) {
    ssize_t got = read(STDIN_FILENO, config_buffer + call->length, sizeof config_buffer - call->length);

    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      call->read_errno = errno;
    if (got <= 0)
      break;
    call->length += (size_t)got;
  }
}

static void scan_config(struct call *call)
{
  struct json_field fields[] = {
    {.name = "cniVersion", .value = version_buffer, .capacity = sizeof version_buffer},
    {.name = "agentSocket", .value = socket_buffer, .capacity = sizeof socket_buffer},
  };

  call->problem =
    json_scan(call->config, call->length, fields, sizeof fields / sizeof fields[0], &call->problem_at);
  call->version = fields[0];
  call->socket = fields[1];
}

static int refuse_command(const struct call *call)
{
  text_add(&details, "CNI_COMMAND ");
  if (call->command == NULL)
    text_add(&details, "is not set");
  else {
    text_add(&details, "is '");
    text_add_bytes(&details, call->command, strnlen(call->command, VERSION_MAX));
    text_add(&details, "'");
  }
  text_add(&details, "; it must be ADD, DEL, CHECK, GC, STATUS or VERSION");
  return report(call, CNI_BAD_ENVIRONMENT, "invalid environment variable CNI_COMMAND");
}

/* 0 where standard input is a configuration; else the exit code of the error that has been reported. */
static int check_config(const struct call *call)
{
  if (call->read_errno != 0) {
    text_add(&details, "errno ");
    text_add_number(&details, (uint64_t)call->read_errno);
    return report(call, CNI_IO_FAILURE, "failed to read the network configuration from standard input");
  }
  if (call->length > CONFIG_MAX) {
    text_add(&details, "the network configuration is longer than the limit of 1 MiB (1048576 bytes)");
    return report(call, CNI_INVALID_CONFIG, "network configuration too long");
  }
  if (call->problem == NULL)
    return 0;
  text_add(&details, "standard input, byte ");
  text_add_number(&details, call->problem_at);
  text_add(&details, ": ");
  text_add(&details, call->problem);
  return report(call, CNI_DECODING_FAILURE, "failed to decode the network configuration");
}

static int refuse_variable(const struct call *call, const char *name, const char *problem)
{
  text_add(&details, name);
  text_add(&details, " ");
  text_add(&details, problem);
  return report(call, CNI_BAD_ENVIRONMENT, "invalid environment variable");
}

/* Adds the variables that are set to the request; 0, or the exit code of a reported error. */
static int add_environment(const struct call *call, struct entry *entries, size_t *count)
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

    if (length > ENVIRONMENT_MAX)
      return refuse_variable(call, VARIABLES[i].variable, "is longer than 64 KiB");
    if (!utf8_valid((const uint8_t *)value, length))
      return refuse_variable(call, VARIABLES[i].variable, "is not UTF-8");
    if (value != NULL)
      entries[(*count)++] = (struct entry){VARIABLES[i].key, CBOR_TEXT, value, length};
  }
  return 0;
}

static const char *path_problem(const char *path, size_t length)
{
  if (length > AGENT_PATH_MAX)
    return "is longer than the 107 bytes that a unix socket's path may have";
  if (length == 0 || path[0] != '/')
    return "is not an absolute path";
  return memchr(path, 0, length) != NULL ? "holds a NUL" : NULL;
}

/* The socket's path, of at most AGENT_PATH_MAX bytes, into `path`; 0, or the exit code of a reported error. */
static int find_socket(const struct call *call, char *path)
{
  const struct json_field *field = &call->socket;
  const char *from = getenv("NETLOOM_SOCKET");
  size_t length = field->state == JSON_STRING ? field->length : from == NULL ? 0 : strlen(from);
  const char *problem;

  if (field->state == JSON_STRING)
    from = field->value;
  else if (length == 0) {
    from = DEFAULT_SOCKET;
    length = sizeof DEFAULT_SOCKET - 1;
  }
  problem = field->state == JSON_NO_STRING ? "is not a string"
            : path_problem(from, field->state == JSON_TOO_LONG ? AGENT_PATH_MAX + 1 : length);
  if (problem == NULL) {
    memcpy(path, from, length);
    path[length] = 0;
    return 0;
  }
  if (field->state == JSON_ABSENT)
    return refuse_variable(call, "NETLOOM_SOCKET", problem);
  text_add(&details, "agentSocket ");
  text_add(&details, problem);
  return report(call, CNI_INVALID_CONFIG, "invalid network configuration");
}

/* Milliseconds that the agent may take; 0, or the exit code of a reported error. */
static int find_timeout(const struct call *call, uint64_t *timeout)
{
  const char *value = getenv("NETLOOM_TIMEOUT_MS");

  *timeout = DEFAULT_TIMEOUT;
  if (value == NULL || *value == 0)
    return 0;
  *timeout = 0;
  for (; *value >= '0' && *value <= '9' && *timeout <= LONGEST_TIMEOUT; value++)
    *timeout = *timeout * 10 + (uint64_t)(*value - '0');
  if (*value == 0 && *timeout > 0 && *timeout <= LONGEST_TIMEOUT)
    return 0;
  return refuse_variable(call, "NETLOOM_TIMEOUT_MS", "is not a number of milliseconds from 1 to 3600000");
}

/*
 * What the agent's failure is in the words of the specification. An answer that cannot be decoded is code 6 and not
 * code 5: the bytes arrived, but they are not what they should be. The runtime treats both alike; the person who looks
 * for the reason is led to the release of agent and executable, not to a disk or a socket.
 */
static int report_agent(const struct call *call, enum agent_outcome outcome)
{
  if (outcome == AGENT_BROKEN)
    return report(call, CNI_DECODING_FAILURE, "failed to decode the netloom agent's reply");
  if (strcmp(call->command, "STATUS") == 0)
    return report(call, CNI_NOT_AVAILABLE, "the netloom agent is not available");
  return report(call, CNI_TRY_AGAIN_LATER, "the netloom agent is not available, try again later");
}

static int pass_to_agent(const struct call *call)
{
  struct entry entries[REQUEST_ENTRIES_MAX] = {{"method", CBOR_TEXT, "cni", 3}};
  char path[AGENT_PATH_MAX + 1];
  struct reply reply;
  enum agent_outcome outcome;
  uint64_t timeout;
  size_t count = 1;
  int refused = add_environment(call, entries, &count);

  if (refused == 0)
    refused = find_socket(call, path);
  if (refused == 0)
    refused = find_timeout(call, &timeout);
  if (refused != 0)
    return refused;
  entries[count++] = (struct entry){"config", CBOR_BYTES, call->config, call->length};
  outcome = agent_exchange(path, entries, count, timeout, &reply, &details);
  if (outcome != AGENT_REPLIED)
    return report_agent(call, outcome);
  return print(STDOUT_FILENO, reply.output, reply.length, reply.exit);
}

static bool known(const char *command)
{
  static const char *const COMMANDS[] = {"ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"};

  for (size_t i = 0; command != NULL && i < sizeof COMMANDS / sizeof COMMANDS[0]; i++)
    if (strcmp(command, COMMANDS[i]) == 0)
      return true;
  return false;
}

int main(int argc, char **argv)
{
  struct call call = {.command = getenv("CNI_COMMAND")};
  int refused;

  if (!open_standard_files())
    return 1;
  signal(SIGPIPE, SIG_IGN); /* a runtime that went away is an error of write(), not our death */
  if (argc > 1 && strcmp(argv[1], "--version") == 0)
    return about(STDOUT_FILENO);
  if (call.command == NULL && isatty(STDIN_FILENO))
    return about(STDERR_FILENO);
  read_config(&call);
  scan_config(&call);
  if (!known(call.command))
    return refuse_command(&call);
  if (strcmp(call.command, "VERSION") == 0)
    return answer_version(&call);
  refused = check_config(&call);
  return refused != 0 ? refused : pass_to_agent(&call);
}
