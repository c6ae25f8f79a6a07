// verify: a program that executes another: verification ends there.
// flags: -O1 -static
// hands over
#include <unistd.h>
int main(void) { execl("/bin/sh", "sh", "-c", "echo other; exit 4", (char *)0); return 1; }
