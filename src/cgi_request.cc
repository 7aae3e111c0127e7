#include "cgi_request.h"

#include <string.h>

namespace rouse {
namespace {

// What the web server means for us, or what would mislead the server (F2): HTTP_PROXY is how a request header
// becomes the proxy of a careless HTTP client. SCRIPT_NAME only goes when there is another. From CONTENT_LENGTH on they
// are remembered, each in a member of CgiRequest, from HOME on they go through.
constexpr char names[] = "SCRIPT_NAME PWD OLDPWD SHLVL _ HTTP_PROXY SCGI CONTENT_LENGTH HTTP_TRANSFER_ENCODING PATH "
                         "HOME USER LOGNAME SHELL LANG TZ REQUEST_METHOD HTTP_ACCEPT";
constexpr int first_dropped = 1;
constexpr int first_remembered = 7;
constexpr int first_kept = 10;
static_assert(offsetof(CgiRequest, home) - offsetof(CgiRequest, content_length) ==
              (first_kept - first_remembered) * sizeof(std::string_view));
static_assert(offsetof(CgiRequest, accept) - offsetof(CgiRequest, home) == 7 * sizeof(std::string_view));

constexpr size_t hash_seed = 5381; // Bernstein's

constexpr size_t hashed(size_t hash, char one) {
    return hash * 33 + static_cast<unsigned char>(one);
}

// A bit of 64 for a hash, from where the names and the variables that web servers set share the fewest.
constexpr uint64_t bit_of(size_t hash) {
    return uint64_t{1} << (hash >> 23) % 64;
}

// The bits of all names. Most variables are none of these, and without theirs they are spared the search, which would be
// half of all instructions of a warm request.
consteval uint64_t bits_of_names() {
    uint64_t bits = 0;
    size_t hash = hash_seed;
    for (const char* at = names;; at++) {
        if (*at != ' ' && *at != '\0') {
            hash = hashed(hash, *at);
            continue;
        }
        bits |= bit_of(hash);
        hash = hash_seed;
        if (*at == '\0')
            return bits;
    }
}

// 1 + the index among the variables, by the hash of the name; 0: empty. Linux allows 6 MiB of environment, pointers
// included, so there are at most 572,000 variables; a table of the full size is 4 MiB of .bss, of which a usual
// request touches 1 KiB. It is scratch: cleared by each use, for that use.
constexpr size_t max_slots = size_t{1} << 20;
uint32_t table[max_slots];

void read_length(CgiRequest& request) {
    if (request.content_length.empty()) { // RFC 3875, 4.1.2: absent and empty mean the same
        if (!request.transfer_encoding.empty())
            request.body = CgiRequest::Body::UntilEnd;
        return;
    }
    uint64_t length = 0;
    if (!parse_decimal(request.content_length, length) || length > INT64_MAX) {
        request.body = CgiRequest::Body::BadLength;
    } else if (length > 0) {
        request.body = CgiRequest::Body::Length;
        request.length = length;
    }
}

} // namespace

CgiRequest read_cgi_request(char** environment, const char* script_name) {
    CgiRequest request;
    request.variables = environment;
    size_t total = 0;
    while (environment[total] != nullptr && total < max_slots - 1) // or the search below would not end
        total++;
    size_t mask = 255;
    while (mask < max_slots - 1 && mask / 2 < total)
        mask = mask * 2 + 1;
    memset(table, 0, (mask + 1) * sizeof table[0]);

    for (size_t at = 0; at < total; at++) {
        char* variable = environment[at];
        size_t hash = hash_seed;
        char* equals = variable;
        for (; *equals != '=' && *equals != '\0'; equals++)
            hash = hashed(hash, *equals);
        if (equals == variable || *equals == '\0')
            continue;
        *equals = '\0';

        std::string_view name(variable, static_cast<size_t>(equals - variable));
        std::string_view value(equals + 1);
        int index = (bits_of_names() & bit_of(hash)) != 0 ? index_of(name, names) : -1;
        if (index >= first_remembered) {
            // The members lie one behind the other, as the assertions above say.
            std::string_view& place = (&request.content_length)[index - first_remembered];
            if (place.data() == nullptr) // the first of several counts, and one that is there but empty counts as well
                place = value;
        }
        if (index >= (script_name == nullptr ? first_dropped : 0) && index < first_kept)
            continue;
        if (begins_with(name, "LD_"sv))
            continue;

        size_t slot = hash & mask;
        while (table[slot] != 0 && !is_same(environment[table[slot] - 1], variable))
            slot = (slot + 1) & mask;
        if (table[slot] != 0)
            continue;
        environment[request.count++] = variable;
        table[slot] = static_cast<uint32_t>(request.count);
        request.size += name.size() + value.size() + 2;
    }
    if (script_name != nullptr) { // where one was dropped, or in the null pointer's place
        static char storage[sizeof "SCRIPT_NAME" + CgiRequest::max_script_name + 2];
        Text text(storage);
        text.add("SCRIPT_NAME", sizeof "SCRIPT_NAME").add(script_name).add('\0');
        environment[request.count++] = storage;
        request.size += text.size();
    }

    if (request.method.empty())
        request.method = "GET"sv;
    read_length(request);
    return request;
}

} // namespace rouse
