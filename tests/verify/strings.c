// verify: string instructions and the C library's vector code.
// flags: -O2 -static
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int by(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
int main(void) {
  char text[600], copy[600]; char *words[40]; long sum = 0;
  for (int i = 0; i < 599; i++) text[i] = 'a' + i * 7 % 26;
  text[599] = 0;
  void *d = copy; const void *s = text; unsigned long n = 600;
  asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
  d = copy; s = text; n = 600;
  asm volatile("repe cmpsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory", "cc");
  sum += n; d = copy; n = 600;
  asm volatile("repne scasb" : "+D"(d), "+c"(n) : "a"('z') : "memory", "cc");
  sum += n; d = copy + 100; n = 20;
  asm volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(0x4141414141414141) : "memory");
  for (int i = 0; i < 40; i++) { words[i] = text + i * 14; text[i * 14 + 13] = 0; }
  qsort(words, 40, sizeof *words, by);
  for (int i = 0; i < 40; i++) sum = sum * 17 + words[i][0] + strlen(words[i]) + (strchr(words[i], 'q') != 0);
  printf("%ld %d %.10s\n", sum, memcmp(text, copy, 500) > 0, words[3]);
}
