/* floor: a CGI program that says hello. No CGI program does less, and no bridge can: it must also ask a server. */
#include "answer.h"
#include <unistd.h>

int main(void)
{
    return write(1, ANSWER, sizeof ANSWER - 1) < 0;
}
