/* Entry point: everything else is src/jobs. */
#include <stdio.h>

int main(void)
{
    fputs("robin-dist: no commands yet\n", stderr);
    return 2;
}
