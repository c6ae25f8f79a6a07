// hazard: AArch64: a system call changes x0 and nothing else; numbers that do not exist; structures and flags with numbers of their own.
// machines: aarch64
#include "hazard.h"
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/utsname.h>

static void registers(void) {
  uint64_t before[31], after[31], flags;
  for (int k = 0; k < 31; k++)
    before[k] = 0x1111111111111111ull * (k % 15) + k;
  asm volatile("stp x29, x30, [sp, #-32]!\n str x19, [sp, #16]\n mov x29, %[b]\n mov x30, %[a]\n"
               "ldp x1, x2, [x29, #8]\n ldp x3, x4, [x29, #24]\n ldp x5, x6, [x29, #40]\n ldp x9, x10, [x29, #72]\n"
               "ldp x11, x12, [x29, #88]\n ldp x13, x14, [x29, #104]\n ldp x15, x16, [x29, #120]\n ldr x17, [x29, #136]\n"
               "movi v9.16b, #0x5a\n mov x7, #7\n mov x8, #172\n mov x0, #-1\n cmp xzr, x7\n"
               "svc #0\n"
               "mrs x19, nzcv\n"
               "stp x0, x1, [x30]\n stp x2, x3, [x30, #16]\n stp x4, x5, [x30, #32]\n stp x6, x7, [x30, #48]\n stp x8, x9, [x30, #64]\n"
               "stp x10, x11, [x30, #80]\n stp x12, x13, [x30, #96]\n stp x14, x15, [x30, #112]\n stp x16, x17, [x30, #128]\n"
               "str d9, [x30, #144]\n mov %[f], x19\n ldr x19, [sp, #16]\n ldp x29, x30, [sp], #32"
               : [f] "=&r"(flags)
               : [b] "r"(before), [a] "r"(after)
               : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                 "x17", "x30", "v9", "cc", "memory");
  EQUAL(after[0], getpid());
  for (int k = 1; k < 18; k++)
    EQUAL(after[k], k == 7 ? 7 : k == 8 ? 172 : before[k]);
  EQUAL(after[18], 0x5a5a5a5a5a5a5a5aull);
  EQUAL(flags >> 28, 8); /* 0 - 7 */
}

static void numbers(void) {
  for (long n = 244; n < 260; n++) {
    errno = 0;
    CHECK(syscall(n) == -1 && errno == ENOSYS);
  }
  CHECK(syscall(423) == -1 && errno == ENOSYS);
  CHECK(syscall(100000) == -1 && errno == ENOSYS);
  struct utsname u;
  CHECK(uname(&u) == 0);
  CHECK(strcmp(u.machine, "aarch64") == 0 && strcmp(u.sysname, "Linux") == 0);
  CHECK(syscall(SYS_uname, (void *)8) == -1 && errno == EFAULT);
}

static void files(void) {
  struct stat s, t;
  int fd = open("file", O_CREAT | O_RDWR | O_NOFOLLOW, 0640);
  CHECK(fd >= 0 && write(fd, "hello", 5) == 5);
  EQUAL(fcntl(fd, F_GETFL) & ~0400000, O_RDWR | O_NOFOLLOW);
  CHECK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK) == 0);
  EQUAL(fcntl(fd, F_GETFL) & ~(0400000 | O_NOFOLLOW), O_RDWR | O_APPEND | O_NONBLOCK);
  CHECK(fstat(fd, &s) == 0 && stat("file", &t) == 0);
  EQUAL(s.st_size, 5);
  EQUAL(s.st_mode, S_IFREG | 0640);
  EQUAL(s.st_nlink, 1);
  EQUAL(s.st_blksize, 4096);
  EQUAL(s.st_uid, getuid());
  EQUAL(s.st_ino, t.st_ino);
  EQUAL(s.st_dev, t.st_dev);
  CHECK(s.st_mtime > 1600000000 && s.st_mtime == t.st_mtime && s.st_mtim.tv_nsec == t.st_mtim.tv_nsec);
  struct statx x;
  CHECK(statx(AT_FDCWD, "file", 0, STATX_ALL, &x) == 0);
  EQUAL(x.stx_ino, s.st_ino);
  EQUAL(x.stx_mtime.tv_sec, s.st_mtime);
  CHECK(syscall(SYS_fstat, fd, (void *)16) == -1 && errno == EFAULT);
  CHECK(syscall(SYS_newfstatat, fd, "", &t, AT_EMPTY_PATH) == 0 && t.st_ino == s.st_ino);
  CHECK(symlink("file", "link") == 0);
  CHECK(open("link", O_RDONLY | O_NOFOLLOW) == -1 && errno == ELOOP);
  CHECK(lstat("link", &t) == 0 && S_ISLNK(t.st_mode));
  CHECK(open("file", O_RDONLY | O_DIRECTORY) == -1 && errno == ENOTDIR);
  int dir = open(".", O_RDONLY | O_DIRECTORY);
  CHECK(dir >= 0);
  int temporary = open(".", O_TMPFILE | O_RDWR, 0600);
  CHECK(temporary >= 0 && fstat(temporary, &t) == 0 && t.st_nlink == 0);
  struct {
    uint64_t flags, mode, resolve;
  } how = {O_RDONLY | O_DIRECTORY, 0, 0};
  CHECK(syscall(437, AT_FDCWD, "file", &how, sizeof how) == -1 && (errno == ENOTDIR || errno == ENOSYS)); /* qemu has none */
  int p[2];
  CHECK(pipe2(p, O_DIRECT | O_CLOEXEC) == 0);
  CHECK(write(p[1], "ab", 2) == 2 && write(p[1], "cd", 2) == 2);
  char b[8];
  EQUAL(read(p[0], b, sizeof b), 2); /* one packet */
}

static void events(void) {
  int p[2], e = epoll_create1(0);
  CHECK(pipe(p) == 0 && e >= 0);
  struct epoll_event in = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef0ull}, out[3];
  CHECK(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &in) == 0);
  struct epoll_event in2 = {.events = EPOLLOUT, .data.u64 = 42};
  CHECK(epoll_ctl(e, EPOLL_CTL_ADD, p[1], &in2) == 0);
  memset(out, 0xee, sizeof out);
  EQUAL(epoll_wait(e, out, 3, 0), 1);
  EQUAL(out[0].data.u64, 42);
  EQUAL(out[0].events, EPOLLOUT);
  CHECK(write(p[1], "x", 1) == 1);
  EQUAL(epoll_wait(e, out, 3, 0), 2);
  EQUAL(out[0].data.u64 + out[1].data.u64, 42 + 0x123456789abcdef0ull);
  EQUAL(((unsigned char *)&out[2])[0], 0xee);
  CHECK(epoll_wait(e, out, 0, 0) == -1 && errno == EINVAL);
  CHECK(epoll_wait(e, (void *)8, 3, 0) == -1 && errno == EFAULT);
  CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], NULL) == -1 && errno == EFAULT);
  CHECK(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL) == 0);
}

static void semaphores(void) {
  union {
    int val;
    struct semid_ds *buf;
  } arg;
  struct semid_ds ds;
  int id = semget(IPC_PRIVATE, 3, 0600);
  CHECK(id >= 0);
  arg.buf = &ds;
  CHECK(semctl(id, 0, IPC_STAT, arg) == 0);
  EQUAL(ds.sem_nsems, 3);
  EQUAL(ds.sem_perm.mode & 0777, 0600);
  CHECK(ds.sem_ctime > 1600000000);
  ds.sem_perm.mode = 0640;
  CHECK(semctl(id, 0, IPC_SET, arg) == 0 && semctl(id, 0, IPC_STAT, arg) == 0);
  EQUAL(ds.sem_perm.mode & 0777, 0640);
  arg.val = 5;
  CHECK(semctl(id, 1, SETVAL, arg) == 0);
  EQUAL(semctl(id, 1, GETVAL), 5);
  CHECK(semctl(id, 0, IPC_RMID) == 0);
}

int main(void) {
  for (int k = 0; k < 3; k++)
    registers();
  numbers();
  files();
  events();
  semaphores();
  return done();
}
