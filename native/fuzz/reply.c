/*
 * Fuzzes the exchange with the agent: what it answers, in which pieces the socket takes and gives bytes, and how the
 * connection ends. The system calls of agent.c are replaced (ld --wrap) by what follows: no kernel, no waiting.
 *
 * Input: 4 bytes that say how the socket behaves; then what the agent sends.
 */
#include <errno.h>
#include <limits.h>
#include <sanitizer/asan_interface.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "../agent.h"
#include "../cbor.h"
#include "check.h"

#define SOCKET INT_MAX
#define TIMEOUT 1000
#define WAIT 500
#define CONTROL_BYTES 4
#define INPUT_MAX 16384 /* of what is printed */

/* How many bytes behind those that arrived may not be touched. */
#define FORBIDDEN 4096

static const char PATH[] = "/run/netloom/agent.sock";
static const char CONFIG[] = "{\"cniVersion\":\"1.1.0\",\"name\":\"pods\"}";

static struct {
  size_t receive_most; /* bytes of one recv(), 0 for all */
  size_t send_most;    /* bytes of one sendmsg(), 0 for all */
  unsigned interrupt;  /* every n-th call fails with EINTR, 0 for none */
  int end;             /* errno behind the agent's bytes, 0 for the end of the stream */
  uint64_t step;       /* milliseconds that each call takes */
  bool waits;          /* an agent that went away is waited for, and it comes back as it was */
} behaviour;

static struct bytes incoming;
static struct bytes whole;
static unsigned connections;
static uint8_t sent[4096];
static size_t sent_length;
static unsigned calls;
static uint64_t clock_now;
static bool open_socket;

/* Bytes of the reply's buffer that the process has no business with yet. */
static uint8_t *forbidden;
static size_t forbidden_length;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t length);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

static bool interrupted(void)
{
  clock_now += behaviour.step;
  if (behaviour.interrupt == 0 || ++calls % behaviour.interrupt != 0)
    return false;
  errno = EINTR;
  return true;
}

static size_t at_most(size_t length, size_t most)
{
  return most > 0 && length > most ? most : length;
}

int __wrap_socket(int domain, int type, int protocol)
{
  check(domain == AF_UNIX && protocol == 0 && (type & SOCK_CLOEXEC) != 0, "a unix socket that no program inherits");
  check(!open_socket, "one socket at a time");
  open_socket = true;
  incoming = whole;
  sent_length = 0;
  connections++;
  return SOCKET;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
  struct sockaddr_un to;

  check(fd == SOCKET && length == sizeof to, "a connect() to the agent");
  memcpy(&to, address, sizeof to);
  check(strcmp(to.sun_path, PATH) == 0, "the agent's path");
  return interrupted() ? -1 : 0;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
  struct timeval wait;

  check(fd == SOCKET && level == SOL_SOCKET && length == sizeof wait, "a time-out of the socket");
  check(option == SO_SNDTIMEO || option == SO_RCVTIMEO, "a time-out of the socket");
  memcpy(&wait, value, sizeof wait);
  check(wait.tv_sec > 0 || wait.tv_usec > 0, "a wait that ends");
  check(wait.tv_sec * 1000 + wait.tv_usec / 1000 <= TIMEOUT, "a wait within the time-out");
  return 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
  size_t room = behaviour.send_most > 0 ? behaviour.send_most : sizeof sent;
  size_t before = sent_length;

  check(fd == SOCKET && (flags & MSG_NOSIGNAL) != 0, "a message that cannot end the process");
  if (interrupted())
    return -1;
  for (size_t i = 0; i < message->msg_iovlen && room > 0; i++) {
    size_t length = at_most(message->msg_iov[i].iov_len, room);

    check(message->msg_iov[i].iov_len > 0, "no empty pieces");
    check(length <= sizeof sent - sent_length, "a request of known length");
    memcpy(sent + sent_length, message->msg_iov[i].iov_base, length);
    sent_length += length;
    room -= length;
  }
  return (ssize_t)(sent_length - before);
}

static void allow(void)
{
  ASAN_UNPOISON_MEMORY_REGION(forbidden, forbidden_length);
  forbidden_length = 0;
}

ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags)
{
  size_t taken = at_most(at_most(incoming.length, length), behaviour.receive_most);

  check(fd == SOCKET && flags == 0 && length > 0, "a recv() with room");
  if (interrupted())
    return -1;
  allow();
  if (taken == 0 && behaviour.end != 0) {
    errno = behaviour.end;
    return -1;
  }
  memcpy(buffer, incoming.at, taken);
  incoming.at += taken;
  incoming.length -= taken;
  forbidden = (uint8_t *)buffer + taken;
  forbidden_length = at_most(length - taken, FORBIDDEN);
  ASAN_POISON_MEMORY_REGION(forbidden, forbidden_length);
  return (ssize_t)taken;
}

int __wrap_close(int fd)
{
  if (fd != SOCKET)
    return __real_close(fd);
  check(open_socket, "a socket that is closed once");
  open_socket = false;
  return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
  if (clock != CLOCK_MONOTONIC)
    return __real_clock_gettime(clock, time);
  *time = (struct timespec){.tv_sec = (time_t)(clock_now / 1000), .tv_nsec = (long)(clock_now % 1000) * 1000000};
  return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
  check(behaviour.waits && left == NULL && !open_socket, "a pause between two attempts");
  check(time->tv_sec == 0 && time->tv_nsec > 0 && time->tv_nsec < 1000000000, "a short pause");
  clock_now += (uint64_t)time->tv_nsec / 1000000;
  return 0;
}

static void behave(const uint8_t *control)
{
  static const int ENDS[] = {0, EAGAIN, ECONNRESET, EIO};

  behaviour.receive_most = control[0];
  behaviour.send_most = control[1];
  /* Every call interrupted would be a loop that only the agent's deadline ends, which connect() does not look at. */
  behaviour.interrupt = control[2] % 16 == 1 ? 0 : control[2] % 16;
  behaviour.step = control[2] / 16;
  behaviour.end = ENDS[control[3] % 4];
  behaviour.waits = control[3] / 4 % 2 == 1;
  connections = 0;
  calls = 0;
  clock_now = 1;
  sent_length = 0;
}

/* The request is whole and well-formed, in whatever pieces it was taken. */
static void check_request(void)
{
  struct cbor cbor = {.at = sent + 8, .end = sent + sent_length};
  struct cbor_field fields[] = {{.name = "config", .major = CBOR_BYTES}, {.name = "again", .major = CBOR_SIMPLE}};
  const struct cbor_field *config = &fields[0];
  const char *name;

  check(sent_length > 8 && memcmp(sent, "NL\1\1", 4) == 0, "the header of a request");
  check((size_t)sent[6] << 8 == (sent_length - 8) >> 8 << 8 && sent[7] == (uint8_t)(sent_length - 8), "its length");
  check(cbor_read_map(&cbor, fields, 2, &name) == NULL && cbor.at == cbor.end, "one map as the request");
  check(config->found && config->length == sizeof CONFIG - 1 && memcmp(config->bytes, CONFIG, config->length) == 0,
        "the configuration as it came");
  check(!fields[1].found || connections > 1, "nothing is sent again that was not sent before");
}

/* A reply that was taken is one that the protocol knows. */
static void check_reply(const struct reply *reply, const uint8_t *data, size_t size)
{
  check(size >= 8 && memcmp(data, "NL\1\2", 4) == 0, "the header of a reply");
  check(size - 8 >= ((size_t)data[4] << 24 | (size_t)data[5] << 16 | (size_t)data[6] << 8 | data[7]), "a whole body");
  check(reply->exit >= 0 && reply->exit <= 255, "an exit code");
  check(utf8_valid(reply->output, reply->length), "output in UTF-8");
}

/* As JSON, so that it is one line. */
static void print_reply(const struct reply *reply)
{
  static char buffer[JSON_ESCAPE_MAX * INPUT_MAX];
  struct text text = {.bytes = buffer, .capacity = sizeof buffer};

  text_add_json(&text, reply->output, reply->length);
  fprintf(stderr, "OUTCOME %d %.*s\n", reply->exit, (int)text.length, text.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const struct entry entries[] = {
    {"method", CBOR_TEXT, "cni", 3},
    {"command", CBOR_TEXT, "ADD", 3},
    {"args", CBOR_TEXT, "", 0},
    {"config", CBOR_BYTES, CONFIG, sizeof CONFIG - 1},
  };
  char buffer[1024];
  struct text why = {.bytes = buffer, .capacity = sizeof buffer};
  struct reply reply;
  enum agent_outcome outcome;

  if (size < CONTROL_BYTES)
    return -1; /* not worth keeping */
  behave(data);
  whole = (struct bytes){.at = data + CONTROL_BYTES, .length = size - CONTROL_BYTES};
  outcome = agent_exchange(PATH, entries, sizeof entries / sizeof entries[0],
                           (struct patience){.timeout = TIMEOUT, .wait = behaviour.waits ? WAIT : 0}, &reply, &why);
  check(!open_socket, "no socket left open");
  check(connections <= 1 + WAIT / 20, "attempts with pauses between them");
  if (outcome == AGENT_REPLIED)
    check_reply(&reply, data + CONTROL_BYTES, size - CONTROL_BYTES);
  else
    check(why.length > 0, "a reason");
  if (outcome != AGENT_ABSENT)
    check_request();
  if (printing() && outcome == AGENT_REPLIED)
    print_reply(&reply);
  else if (printing())
    fprintf(stderr, "OUTCOME refused\n");
  allow();
  return 0;
}
