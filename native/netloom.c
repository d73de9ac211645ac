/*
 * The CNI plugin of netloom (CNI specification 1.1.0, https://www.cni.dev/docs/spec/): hands the call to the agent of
 * this node and prints its answer. All of the work is the agent's, because starting a runtime per call costs more than
 * the call itself; where the configuration says so, the standalone program does it all the same. Its limits and the
 * protocol are described in README.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "io.h"

#ifndef NETLOOM_VERSION
#error "NETLOOM_VERSION is not defined: build with scripts/build-native.mjs"
#endif

static uint8_t config_buffer[CONFIG_MAX + 1];

static int print(int fd, const void *bytes, size_t length, int status)
{
  static const char LOST[] = "netloom: the answer could not be written to standard output\n";

  /* A runtime that went away is an error of write(), not our death. Not sooner: exec would hand it on. */
  signal(SIGPIPE, SIG_IGN);
  if (write_all(fd, bytes, length))
    return status;
  write_all(STDERR_FILENO, LOST, sizeof LOST - 1);
  return status == 0 ? 1 : status;
}

/* For people: what this is. The reference plugins say as much when they are run by hand. */
static int about(int fd)
{
  static const char ABOUT[] =
    "CNI plugin netloom v" NETLOOM_VERSION
    "; speaks CNI 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0; run by a container runtime, with CNI_COMMAND set\n";

  return print(fd, ABOUT, sizeof ABOUT - 1, 0);
}

/* Standard files that the caller closed are opened, else a socket of ours would take the place of one of them. */
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

int main(int argc, char **argv)
{
  struct call call = {.command = getenv("CNI_COMMAND"), .nested = argc > 1 && strcmp(argv[1], "cni") == 0};
  struct answer answer;

  if (!open_standard_files())
    return 1;
  if (argc > 1 && strcmp(argv[1], "--version") == 0)
    return about(STDOUT_FILENO);
  if (call.command == NULL && isatty(STDIN_FILENO))
    return about(STDERR_FILENO);
  read_config(&call);
  answer = call_answer(&call);
  return print(STDOUT_FILENO, answer.output, answer.length, answer.exit);
}
