/* Prints docs/protocol.md from the message tables: `make docs`. */
#include <stdio.h>

#include "shared/wire/msg.h"

int main(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1024 * 1024);
    if (pw_msg_doc(&b) < 0)
        return 1;
    return fputs(pw_buf_str(&b), stdout) < 0;
}
