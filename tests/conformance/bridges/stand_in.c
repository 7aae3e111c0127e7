// A stand-in for cgi2scgi, the translator that came with SCGI's reference implementation in 2006: no line of it is here.
// It was written from what that program was seen to do, mistakes and all, so that adapters/cgi2scgi.toml and the address
// that is compiled in can be tested where the program itself is not. What it does wrong is known to be wrong; results of it
// are results of the stand-in.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

enum { PIECE = 8000, FAILED = 2 };

static int server;
static char waiting[PIECE];  // for the server, which gets a full piece or, at the end, what there is
static size_t waits;

static void write_all(int descriptor, const char *bytes, size_t size) {
	while (size > 0) {
		ssize_t written = write(descriptor, bytes, size);
		if (written < 0) {
			if (descriptor == server) exit(FAILED);
			return;  // an output that takes nothing is not noticed
		}
		bytes += written;
		size -= (size_t)written;
	}
}

static void flush(void) {
	write_all(server, waiting, waits);
	waits = 0;
}

static void put(const char *bytes, size_t size) {
	for (size_t i = 0; i < size; i++) {
		if (waits == PIECE) flush();
		waiting[waits++] = bytes[i];
	}
}

// A whole piece, less only at the end: what came before an error is lost with it.
static size_t gather(int descriptor, char *piece) {
	size_t size = 0;
	while (size < PIECE) {
		ssize_t got = read(descriptor, piece + size, PIECE - size);
		if (got < 0) exit(FAILED);
		if (got == 0) break;
		size += (size_t)got;
	}
	return size;
}

static void reach(void) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4000)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned pause = 1;; pause *= 2) {
		server = socket(AF_INET, SOCK_STREAM, 0);
		if (server < 0) exit(FAILED);
		if (connect(server, (struct sockaddr *)&address, sizeof address) == 0) return;
		close(server);
		if (errno != ECONNREFUSED || pause > 8) exit(FAILED);
		sleep(pause);
	}
}

static void send_header(void) {
	const char *length = getenv("CONTENT_LENGTH");
	char decimal[24];
	size_t total = 0, digits = sizeof decimal, named = 0;
	setenv("SCGI", "1", 1);  // in the place of the first that is there, behind all where none is; a second one stays
	if (!length) length = "0";
	for (char **entry = environ; *entry; entry++) {
		if (!strchr(*entry, '=')) continue;
		named += strncmp(*entry, "CONTENT_LENGTH=", 15) == 0;
		total += strlen(*entry) + 1;  // NUL instead of "=", and NUL
	}
	if (named == 0) total += sizeof "CONTENT_LENGTH" + 2;
	decimal[--digits] = ':';
	do { decimal[--digits] = (char)('0' + total % 10); } while (total /= 10);
	put(decimal + digits, sizeof decimal - digits);
	put("CONTENT_LENGTH", sizeof "CONTENT_LENGTH");
	put(length, strlen(length) + 1);
	for (char **entry = environ; *entry; entry++) {
		const char *sign = strchr(*entry, '=');
		if (!sign || strncmp(*entry, "CONTENT_LENGTH=", 15) == 0) continue;
		put(*entry, (size_t)(sign - *entry));
		put("", 1);
		put(sign + 1, strlen(sign + 1) + 1);
	}
	put(",", 1);
}

int main(void) {
	char piece[PIECE];
	size_t size;
	reach();
	send_header();
	while ((size = gather(STDIN_FILENO, piece)) > 0) put(piece, size);
	flush();
	while ((size = gather(server, piece)) > 0) write_all(STDOUT_FILENO, piece, size);
	return 0;
}
