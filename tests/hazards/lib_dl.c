/* Part of smc_dlopen: the same function at the same offset, a different answer per build. */
int answer(int x) {
  int r = ANSWER;
  for (int i = 0; i < x; i++)
    r += ANSWER;
  return r;
}
