#include "agent.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "cbor.h"

#define HEADER_BYTES 8
#define FRAME_VERSION 1
#define KIND_REQUEST 1
#define KIND_REPLY 2

/* Of the agent's own words in an error. */
#define REFUSAL_MAX 512

/* Milliseconds between two attempts: the first, which doubles, and the longest. */
#define SHORTEST_PAUSE 20
#define LONGEST_PAUSE 160

/* `true` (RFC 8949, section 3.3). */
#define CBOR_TRUE 21

struct connection {
  int fd;
  uint64_t deadline; /* milliseconds of the monotonic clock */
  struct text *why;
  bool sent;    /* the whole request is on its way: what became of it only the reply can tell */
  bool passing; /* what is wrong passes when another agent starts, or this one is ready */
};

/* One byte more than the longest frame, so that bytes behind it are seen. In the BSS: pages not touched cost nothing. */
static uint8_t reply_buffer[HEADER_BYTES + FRAME_BODY_MAX + 1];

static uint64_t now(void)
{
  struct timespec time;

  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void explain_errno(struct text *why, int error)
{
  static const struct meaning MEANINGS[] = {
    {ENOENT, "no such socket (ENOENT): the netloom agent does not run on this node, or listens elsewhere"},
    {ECONNREFUSED, "connection refused (ECONNREFUSED): the netloom agent has ended"},
    {EACCES, "permission denied (EACCES)"},
    {EPERM, "operation not permitted (EPERM)"},
    {ENOTDIR, "not a directory (ENOTDIR)"},
    {ENOTSOCK, "not a socket (ENOTSOCK)"},
    {EPROTOTYPE, "not a stream socket (EPROTOTYPE)"},
    {ELOOP, "too many symbolic links (ELOOP)"},
    {EMFILE, "too many open files (EMFILE)"},
    {ENFILE, "too many open files in the system (ENFILE)"},
    {ENOMEM, "out of memory (ENOMEM)"},
    {ENOBUFS, "out of memory (ENOBUFS)"},
    {EPIPE, "the agent closed the connection (EPIPE)"},
    {ECONNRESET, "the agent closed the connection (ECONNRESET)"},
    {EAGAIN, "timed out"},
  };
  const char *meaning = meaning_of(error, MEANINGS, sizeof MEANINGS / sizeof MEANINGS[0]);

  if (meaning != NULL) {
    text_add(why, meaning);
    return;
  }
  text_add(why, "errno ");
  text_add_number(why, (uint64_t)error);
}

/* What callers see of an agent that ends, is not there, or ends with their connection. */
static bool is_passing(int error)
{
  return error == ENOENT || error == ECONNREFUSED || error == ECONNRESET || error == EPIPE;
}

static enum agent_outcome absent(struct connection *connection, const char *doing, int error)
{
  connection->passing = is_passing(error);
  text_add(connection->why, doing);
  text_add(connection->why, ": ");
  explain_errno(connection->why, error);
  return AGENT_ABSENT;
}

static enum agent_outcome broken(struct connection *connection, const char *problem)
{
  text_add(connection->why, "the agent's reply: ");
  text_add(connection->why, problem);
  return AGENT_BROKEN;
}

/*
 * Lets the next call on the socket wait until the deadline at most. The time-outs of a socket count per call, so they
 * are set anew before each: a peer that drips bytes cannot hold us longer.
 */
static bool bound_wait(struct connection *connection, int option)
{
  uint64_t time = now();
  uint64_t left = time < connection->deadline ? connection->deadline - time : 0;
  struct timeval wait = {.tv_sec = (time_t)(left / 1000), .tv_usec = (suseconds_t)(left % 1000 * 1000)};

  if (left == 0) {
    errno = EAGAIN; /* and a zero would mean for ever */
    return false;
  }
  return setsockopt(connection->fd, SOL_SOCKET, option, &wait, sizeof wait) == 0;
}

static enum agent_outcome dial(struct connection *connection, const char *path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int result;

  memcpy(address.sun_path, path, strlen(path));
  connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection->fd < 0)
    return absent(connection, "socket", errno);
  if (!bound_wait(connection, SO_SNDTIMEO)) /* also bounds connect() to an agent whose backlog is full */
    return absent(connection, "setsockopt", errno);
  do
    result = connect(connection->fd, (const struct sockaddr *)&address, sizeof address);
  while (result < 0 && errno == EINTR);
  if (result == 0)
    return AGENT_REPLIED;
  text_add(connection->why, "connect ");
  text_add(connection->why, path);
  return absent(connection, "", errno);
}

/* Takes `bytes` off the front of what is still to be sent. */
static void advance(struct msghdr *message, size_t bytes)
{
  while (message->msg_iovlen > 0 && bytes >= message->msg_iov->iov_len) {
    bytes -= message->msg_iov->iov_len;
    message->msg_iov++;
    message->msg_iovlen--;
  }
  if (message->msg_iovlen > 0) {
    message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + bytes;
    message->msg_iov->iov_len -= bytes;
  }
}

static enum agent_outcome send_all(struct connection *connection, struct iovec *parts, size_t count)
{
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};

  while (message.msg_iovlen > 0) {
    ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);

    if (sent < 0 && errno == EINTR)
      continue;
    if (sent < 0)
      return absent(connection, "writing the request", errno);
    advance(&message, (size_t)sent);
    if (message.msg_iovlen > 0 && !bound_wait(connection, SO_SNDTIMEO))
      return absent(connection, "writing the request", errno);
  }
  return AGENT_REPLIED;
}

/* The frame as pieces: heads of our own between the values, which are sent from where they are. */
static enum agent_outcome send_request(struct connection *connection, const struct entry *entries, size_t count)
{
  static const uint8_t START[4] = {'N', 'L', FRAME_VERSION, KIND_REQUEST};
  uint8_t heads[HEADER_BYTES + 1 + REQUEST_ENTRIES_MAX * (2 * CBOR_HEAD_MAX + 32)];
  struct iovec parts[2 * REQUEST_ENTRIES_MAX];
  size_t at = HEADER_BYTES;
  size_t from = 0;
  size_t body = 0;
  size_t used = 0;

  at += cbor_write_head(heads + at, CBOR_MAP, count);
  for (size_t i = 0; i < count; i++) {
    size_t key = strlen(entries[i].key);

    at += cbor_write_head(heads + at, CBOR_TEXT, key);
    memcpy(heads + at, entries[i].key, key);
    at += key;
    at += cbor_write_head(heads + at, (enum cbor_major)entries[i].major, entries[i].length);
    parts[used++] = (struct iovec){.iov_base = heads + from, .iov_len = at - from};
    from = at;
    if (entries[i].value == NULL || entries[i].length == 0)
      continue;
    parts[used++] = (struct iovec){.iov_base = (void *)(uintptr_t)entries[i].value, .iov_len = entries[i].length};
    body += entries[i].length;
  }
  body += at - HEADER_BYTES;
  memcpy(heads, START, sizeof START);
  for (int i = 0; i < 4; i++)
    heads[4 + i] = (uint8_t)(body >> (24 - 8 * i));
  return send_all(connection, parts, used);
}

/* NULL, or what is wrong with a frame's header. */
static const char *check_header(const uint8_t *header, size_t *body)
{
  *body = (size_t)header[4] << 24 | (size_t)header[5] << 16 | (size_t)header[6] << 8 | header[7];
  if (header[0] != 'N' || header[1] != 'L')
    return "does not start with the magic of a frame: what listens there is not a netloom agent";
  if (header[2] != FRAME_VERSION)
    return "is of another version of the protocol: agent and CNI executable belong to different releases";
  if (header[3] != KIND_REPLY)
    return "is a frame of another kind";
  return *body > FRAME_BODY_MAX ? "is longer than 2 MiB" : NULL;
}

static enum agent_outcome closed_early(struct connection *connection, size_t have)
{
  connection->passing = true;
  text_add(connection->why, "the agent closed the connection after ");
  text_add_number(connection->why, have);
  text_add(connection->why, " bytes of its reply");
  return AGENT_ABSENT;
}

/* Reads one frame; `*body` is the length of its body, which follows the header in the buffer. */
static enum agent_outcome receive(struct connection *connection, size_t *body)
{
  size_t want = HEADER_BYTES;
  size_t have = 0;
  bool checked = false;

  while (have < want) {
    ssize_t got;

    if (!bound_wait(connection, SO_RCVTIMEO))
      return absent(connection, "reading the reply", errno);
    got = recv(connection->fd, reply_buffer + have, sizeof reply_buffer - have, 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return absent(connection, "reading the reply", errno);
    if (got == 0)
      return closed_early(connection, have);
    have += (size_t)got;
    if (have >= HEADER_BYTES && !checked) {
      const char *problem = check_header(reply_buffer, body);

      if (problem != NULL)
        return broken(connection, problem);
      checked = true;
      want = HEADER_BYTES + *body;
    }
  }
  return have == want ? AGENT_REPLIED : broken(connection, "has bytes behind its end");
}

/* What an agent says that could not even take the request: {"ok": false, "error": {"message": text}}. */
static void add_refusal(struct text *why, const struct cbor_field *error)
{
  struct cbor_field message = {.name = "message", .major = CBOR_TEXT};
  struct cbor cbor;
  const char *name;

  if (!error->found)
    return;
  cbor = (struct cbor){.at = error->bytes, .end = error->bytes + error->length};
  if (cbor_read_map(&cbor, &message, 1, &name) != NULL || !message.found)
    return;
  text_add(why, "; the agent says: ");
  text_add_bytes(why, message.bytes, message.length < REFUSAL_MAX ? message.length : REFUSAL_MAX);
}

static enum agent_outcome decode(struct connection *connection, size_t body, struct reply *reply)
{
  struct cbor cbor = {.at = reply_buffer + HEADER_BYTES, .end = reply_buffer + HEADER_BYTES + body};
  struct cbor_field fields[] = {
    {.name = "exit", .major = CBOR_UNSIGNED},
    {.name = "output", .major = CBOR_TEXT},
    {.name = "error", .major = CBOR_MAP},
    {.name = "retry", .major = CBOR_SIMPLE},
  };
  const char *name;
  const char *problem = cbor_read_map(&cbor, fields, sizeof fields / sizeof fields[0], &name);

  if (problem == NULL && cbor.at != cbor.end)
    problem = "has bytes behind its map";
  for (size_t i = 0; i < 2 && problem == NULL; i++)
    if (!fields[i].found) {
      name = fields[i].name;
      problem = "is missing";
    }
  if (problem == NULL && fields[0].number > 255) {
    name = fields[0].name;
    problem = "is no exit code";
  }
  if (problem == NULL) {
    connection->passing = fields[3].found && fields[3].number == CBOR_TRUE;
    *reply = (struct reply){.exit = (int)fields[0].number, .output = fields[1].bytes, .length = fields[1].length};
    return AGENT_REPLIED;
  }
  broken(connection, name == NULL ? "" : name);
  text_add(connection->why, name == NULL ? "" : " ");
  text_add(connection->why, problem);
  add_refusal(connection->why, &fields[2]);
  return AGENT_BROKEN;
}

static enum agent_outcome attempt(struct connection *connection, const char *path, const struct entry *entries,
                                  size_t count, struct reply *reply)
{
  enum agent_outcome outcome = dial(connection, path);
  size_t body = 0;

  if (outcome == AGENT_REPLIED)
    outcome = send_request(connection, entries, count);
  connection->sent = outcome == AGENT_REPLIED;
  if (outcome == AGENT_REPLIED)
    outcome = receive(connection, &body);
  if (outcome == AGENT_REPLIED)
    outcome = decode(connection, body, reply);
  if (connection->fd >= 0)
    close(connection->fd);
  return outcome;
}

static void sleep_for(uint64_t milliseconds)
{
  struct timespec time = {.tv_sec = 0, .tv_nsec = (long)milliseconds * 1000000};

  nanosleep(&time, NULL);
}

enum agent_outcome agent_exchange(const char *path, const struct entry *entries, size_t count,
                                  struct patience patience, struct reply *reply, struct text *why)
{
  struct entry all[REQUEST_ENTRIES_MAX];
  uint64_t start = now();
  uint64_t end = start + (patience.wait < patience.timeout ? patience.wait : patience.timeout);
  uint64_t pause = SHORTEST_PAUSE;
  size_t before = why->length;
  bool begun = false; /* perhaps, by an agent that went away */

  memcpy(all, entries, count * sizeof all[0]);
  all[count] = (struct entry){"again", CBOR_SIMPLE, NULL, CBOR_TRUE};
  for (;;) {
    struct connection connection = {.fd = -1, .deadline = start + patience.timeout, .why = why};
    enum agent_outcome outcome = attempt(&connection, path, all, count + (begun ? 1 : 0), reply);

    if (!connection.passing || now() + pause > end) {
      if (outcome != AGENT_REPLIED && pause > SHORTEST_PAUSE) {
        text_add(why, "; asked again and again for ");
        text_add_number(why, now() - start);
        text_add(why, " ms");
      }
      return outcome;
    }
    begun = begun || (connection.sent && outcome == AGENT_ABSENT);
    why->length = before;
    sleep_for(pause);
    pause = 2 * pause < LONGEST_PAUSE ? 2 * pause : LONGEST_PAUSE;
  }
}
