#define _GNU_SOURCE /* memfd_create() */
#include "program.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

static void explain(struct text *why, const char *doing, const char *path, int error)
{
  static const struct meaning MEANINGS[] = {
    {ENOENT, ", ENOENT: no such file, or no such interpreter as its first line names"},
    {ENOTDIR, ", ENOTDIR: something on the way is not a directory"},
    {EACCES, ", EACCES: not executable, or not for us"},
    {EPERM, ", EPERM: not permitted"},
    {ENOEXEC, ", ENOEXEC: neither a program of this machine nor a script with #! in its first line"},
    {ELOOP, ", ELOOP: too many symbolic links"},
    {E2BIG, ", E2BIG: the environment is too long"},
    {ETXTBSY, ", ETXTBSY: open for writing, as while it is installed"},
    {ENOMEM, ", ENOMEM: out of memory"},
    {ENOSYS, ", ENOSYS: the kernel, or the sandbox around us, does not have it"},
    {EMFILE, ", EMFILE: too many open files"},
    {ENFILE, ", ENFILE: too many open files in the system"},
  };
  const char *meaning = meaning_of(error, MEANINGS, sizeof MEANINGS / sizeof MEANINGS[0]);

  text_add(why, why->length > 0 ? "; " : "");
  text_add(why, doing);
  text_add(why, path);
  text_add(why, ": errno ");
  text_add_number(why, (uint64_t)error);
  text_add(why, meaning == NULL ? "" : meaning);
}

/*
 * Since Linux 6.3 the flag says that nobody runs what is in there, and a sysctl (vm.memfd_noexec) may insist on it;
 * older kernels refuse a flag that they do not know.
 */
static int anonymous_file(void)
{
  int fd = memfd_create("netloom-config", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

  return fd < 0 && errno == EINVAL ? memfd_create("netloom-config", MFD_CLOEXEC) : fd;
}

/*
 * Makes `config`, which has been read, standard input once more. In a file of memory and not a pipe: a pipe holds 64
 * KiB, and with what does not fit somebody would have to stay behind and write.
 */
static bool rewind_input(const void *config, size_t length, struct text *why)
{
  int fd = anonymous_file();
  bool done = fd >= 0 && write_all(fd, config, length) && lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDIN_FILENO) >= 0;

  if (!done)
    explain(why, "memfd_create", " for standard input", errno);
  if (fd >= 0)
    close(fd);
  return done;
}

void program_become(const char *const *paths, size_t count, const void *config, size_t length, struct text *why)
{
  if (!rewind_input(config, length, why))
    return;
  for (size_t i = 0; i < count; i++) {
    char *arguments[] = {(char *)(uintptr_t)paths[i], "cni", NULL};
    int error;

    execve(paths[i], arguments, environ);
    error = errno;
    explain(why, "exec ", paths[i], error);
    if (error != ENOENT && error != ENOTDIR)
      return; /* it is there, and what is wrong with it must not be hidden by another one */
  }
}
