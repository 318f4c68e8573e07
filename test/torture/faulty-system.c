/*
 * Preloaded into a node (LD_PRELOAD), it gives the node a disk and a clock with faults. A file with one 32-bit number for
 * each fault says which; it is mapped into memory, so that a write to it takes effect at once. FAULTY_SYSTEM has its path.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* In the order of `FaultySystem` in faulty-system.ts. */
struct faults {
  int32_t sync_delay_ms;   /* each sync takes so much longer */
  int32_t sync_errors;     /* so many syncs fail with EIO, and sync nothing */
  int32_t read_errors;     /* so many reads of stores fail with EIO */
  int32_t short_writes;    /* so many writes to stores write one half */
  int32_t torn_write;      /* the next write to a store writes one half, and the process ends by SIGKILL */
  int32_t clock_offset_s;  /* the wall clock is so far ahead */
};

static struct faults none;
static volatile struct faults *faults = &none;

__attribute__((constructor)) static void map_faults(void) {
  const char *path = getenv("FAULTY_SYSTEM");
  int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) faults = mapped;
  close(file);
}

/* Takes one of the faults that are counted; false: all have been used. */
static int take(volatile int32_t *count) {
  int32_t left = __atomic_load_n(count, __ATOMIC_SEQ_CST);
  while (left > 0)
    if (__atomic_compare_exchange_n(count, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return 1;
  return 0;
}

static int is_store(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  return length > 6 && memcmp(path + length - 6, ".store", 6) == 0;
}

/* ---- syncs ---- */

static int sync_with_faults(int file, long call) {
  const struct timespec step = {0, 5000000};
  for (int32_t waited_ms = 0; waited_ms < faults->sync_delay_ms; waited_ms += 5) nanosleep(&step, NULL);
  if (take(&faults->sync_errors)) {
    errno = EIO;
    return -1;
  }
  return syscall(call, file);
}

int fdatasync(int file) { return sync_with_faults(file, SYS_fdatasync); }
int fsync(int file) { return sync_with_faults(file, SYS_fsync); }

/* ---- reads ---- */

static int fails_to_read(int file) {
  if (faults->read_errors <= 0 || !is_store(file) || !take(&faults->read_errors)) return 0;
  errno = EIO;
  return 1;
}

ssize_t read(int file, void *bytes, size_t count) {
  return fails_to_read(file) ? -1 : syscall(SYS_read, file, bytes, count);
}
ssize_t pread(int file, void *bytes, size_t count, off_t at) {
  return fails_to_read(file) ? -1 : syscall(SYS_pread64, file, bytes, count, at);
}
ssize_t pread64(int file, void *bytes, size_t count, off_t at) { return pread(file, bytes, count, at); }
ssize_t preadv(int file, const struct iovec *parts, int count, off_t at) {
  return fails_to_read(file) ? -1 : syscall(SYS_preadv, file, parts, count, at, 0);
}
ssize_t preadv64(int file, const struct iovec *parts, int count, off_t at) { return preadv(file, parts, count, at); }

/* ---- writes ---- */

/* One half of the bytes where a fault says so, otherwise all of them. */
static size_t part_of(int file, size_t count) {
  if (count < 2 || (faults->short_writes <= 0 && faults->torn_write <= 0) || !is_store(file)) return count;
  return faults->torn_write > 0 || take(&faults->short_writes) ? count / 2 : count;
}

static ssize_t after_write(ssize_t written, int is_part) {
  if (is_part && take(&faults->torn_write)) kill(getpid(), SIGKILL);
  return written;
}

ssize_t write(int file, const void *bytes, size_t count) {
  size_t part = part_of(file, count);
  return after_write(syscall(SYS_write, file, bytes, part), part < count);
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
  size_t part = part_of(file, count);
  return after_write(syscall(SYS_pwrite64, file, bytes, part, at), part < count);
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off_t at) { return pwrite(file, bytes, count, at); }

/* Of several buffers, the part is one half of the first. */
ssize_t writev(int file, const struct iovec *parts, int count) {
  size_t part = count < 1 ? 0 : part_of(file, parts[0].iov_len);
  if (count < 1 || part == parts[0].iov_len) return syscall(SYS_writev, file, parts, count);
  return after_write(syscall(SYS_write, file, parts[0].iov_base, part), 1);
}
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t at) {
  size_t part = count < 1 ? 0 : part_of(file, parts[0].iov_len);
  if (count < 1 || part == parts[0].iov_len) return syscall(SYS_pwritev, file, parts, count, at, 0);
  return after_write(syscall(SYS_pwrite64, file, parts[0].iov_base, part, at), 1);
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off_t at) { return pwritev(file, parts, count, at); }

/* ---- the wall clock ---- */

static int system_clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*of_library)(clockid_t, struct timespec *);
  if (of_library == NULL) of_library = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  return of_library == NULL ? (int)syscall(SYS_clock_gettime, clock, now) : of_library(clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = system_clock_gettime(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += faults->clock_offset_s;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *seconds) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (seconds != NULL) *seconds = now.tv_sec;
  return now.tv_sec;
}
