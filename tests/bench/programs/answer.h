/* What every program answers to a small GET, through whatever it comes. */
#define ANSWER "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nhello, world\n"
