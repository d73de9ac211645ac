/*
 * What runs in the containers of the tests, as their only file:
 *   guest serve NAME PORT   answers each TCP connection with a line that says who it is and who asks, until SIGTERM,
 *                           and for five minutes at most: nobody else may be there to end it
 *   guest ask ADDRESS PORT  prints what it is answered; exit code 1 where that takes longer than five seconds
 *   guest nothing           exit code 0
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE = 5, AT_MOST = 300 };

/* The first process of a container has no default for any signal. */
static void stop(int signal)
{
  (void)signal;
  _exit(0);
}

static int failure(const char *what)
{
  perror(what);
  return 1;
}

/* Addresses of both families as IPv6 has them. */
static struct sockaddr_in6 address_of(const char *text, const char *port)
{
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)atoi(port))};
  char mapped[INET6_ADDRSTRLEN + 8];
  snprintf(mapped, sizeof mapped, "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
  if (inet_pton(AF_INET6, mapped, &address.sin6_addr) != 1) {
    fprintf(stderr, "'%s' is not an address\n", text);
    exit(2);
  }
  return address;
}

static int serve(const char *name, const char *port)
{
  int listener = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 address = address_of("::", port);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) return failure("listen");
  for (;;) {
    struct sockaddr_in6 from;
    socklen_t size = sizeof from;
    int connection = accept(listener, (struct sockaddr *)&from, &size);
    if (connection < 0) return failure("accept");
    char client[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &from.sin6_addr, client, sizeof client);
    const char *shown = strncmp(client, "::ffff:", 7) == 0 ? client + 7 : client;
    dprintf(connection, "{\"pod\":\"%s\",\"node\":\"\",\"port\":%s,\"client\":\"%s\"}\n", name, port, shown);
    close(connection);
  }
}

static int ask(const char *text, const char *port)
{
  int connection = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 address = address_of(text, port);
  alarm(PATIENCE);
  if (connect(connection, (struct sockaddr *)&address, sizeof address)) return failure("connect");
  char line[512];
  ssize_t length;
  while ((length = read(connection, line, sizeof line)) > 0)
    if (write(1, line, (size_t)length) != length) return failure("write");
  return length < 0 ? failure("read") : 0;
}

static void late(int signal)
{
  (void)signal;
  _exit(1);
}

int main(int argc, char **argv)
{
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  signal(SIGALRM, late);
  alarm(AT_MOST);
  if (argc == 2 && strcmp(argv[1], "nothing") == 0) return 0;
  if (argc != 4) return 2;
  return strcmp(argv[1], "serve") == 0 ? serve(argv[2], argv[3]) : ask(argv[2], argv[3]);
}
