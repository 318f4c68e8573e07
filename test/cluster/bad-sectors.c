/*
 * Makes reads and writes of files fail with EIO, as on a disk with bad sectors. The file that the environment variable
 * BAD_SECTORS names has a line for each: inode, first position, and the position after the last. It is read at each call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_bad(int fd, long long from, long long to) {
  const char *path = getenv("BAD_SECTORS");
  FILE *list = path ? fopen(path, "r") : NULL;
  if (!list) return 0;
  struct stat found;
  unsigned long long inode;
  long long first, after;
  int hit = 0;
  if (fstat(fd, &found) == 0)
    while (!hit && fscanf(list, "%llu %lld %lld", &inode, &first, &after) == 3)
      hit = inode == found.st_ino && first < to && from < after;
  fclose(list);
  if (hit) errno = EIO;
  return hit;
}

static long long length_of(const struct iovec *parts, int count) {
  long long bytes = 0;
  for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
  return bytes;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pread64(int fd, void *to, size_t bytes, off64_t at) {
  return is_bad(fd, at, at + bytes) ? -1 : REAL(pread64)(fd, to, bytes, at);
}

ssize_t pread(int fd, void *to, size_t bytes, off_t at) { return pread64(fd, to, bytes, at); }

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  return is_bad(fd, at, at + length_of(parts, count)) ? -1 : REAL(pwritev64)(fd, parts, count, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

ssize_t pwrite64(int fd, const void *from, size_t bytes, off64_t at) {
  return is_bad(fd, at, at + bytes) ? -1 : REAL(pwrite64)(fd, from, bytes, at);
}

ssize_t pwrite(int fd, const void *from, size_t bytes, off_t at) { return pwrite64(fd, from, bytes, at); }

int ftruncate64(int fd, off64_t length) { return is_bad(fd, length, length + 1) ? -1 : REAL(ftruncate64)(fd, length); }

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
