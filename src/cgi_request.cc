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

constexpr size_t hashed(size_t hash, char one) {
    return hash * 31 + static_cast<unsigned char>(one);
}

// A bit of 64 for a hash, from where the names and the variables that web servers set share the fewest.
constexpr uint64_t bit_of(size_t hash) {
    return uint64_t{1} << (hash >> 20) % 64;
}

// The bits of all names. Most variables are none of these, and without theirs they are spared the search, which would be
// half of all instructions of a warm request.
consteval uint64_t bits_of_names() {
    uint64_t bits = 0;
    size_t hash = 0;
    for (const char* at = names;; at++) {
        if (*at != ' ' && *at != '\0') {
            hash = hashed(hash, *at);
            continue;
        }
        bits |= bit_of(hash);
        hash = 0;
        if (*at == '\0')
            return bits;
    }
}

// 1 + the index among the variables, by the hash of the name; 0: empty. Linux allows 6 MiB of environment, pointers
// included, so there are at most 572,000 variables; a table for as many is 4 MiB of .bss, which a usual request has no
// use for. Both are scratch: cleared by each use, for that use.
constexpr size_t small_slots = 128;
constexpr size_t max_slots = size_t{1} << 20;
[[gnu::section(".bss.1")]] uint32_t small_table[small_slots];
uint32_t large_table[max_slots];

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
    size_t slots = small_slots;
    while (slots < max_slots && slots / 2 < total)
        slots *= 2;
    uint32_t* table = slots == small_slots ? small_table : large_table;
    memset(table, 0, slots * sizeof table[0]);

    std::string_view* last = request.parts;
    char* end = environment[0]; // where the next one that goes through has its place
    for (size_t at = 0; at < total; at++) {
        char* variable = environment[at];
        size_t hash = 0;
        char* equals = variable;
        for (; *equals != '=' && *equals != '\0'; equals++)
            hash = hashed(hash, *equals);
        if (equals == variable || *equals == '\0')
            continue;
        // A value ends where the next string begins: most bytes of an environment are never looked at.
        char* behind = at + 1 < total ? environment[at + 1] : equals + strlen(equals) + 1;
        *equals = '\0';

        size_t size = static_cast<size_t>(behind - variable);
        std::string_view name(variable, static_cast<size_t>(equals - variable));
        int index = (bits_of_names() & bit_of(hash)) != 0 ? index_of(name, names) : -1;
        bool stays = index >= (script_name == nullptr ? first_dropped : 0) && index < first_kept;
        if (!stays && !begins_with(name, "LD_"sv)) {
            size_t slot = hash & (slots - 1);
            while (table[slot] != 0 && !is_same(environment[table[slot] - 1], variable))
                slot = (slot + 1) & (slots - 1);
            if (table[slot] != 0)
                continue;
            if (end != variable) // something in front of it was dropped
                variable = static_cast<char*>(memmove(end, variable, size));
            environment[request.count++] = variable;
            table[slot] = static_cast<uint32_t>(request.count);
            request.size += size;
            *last = {last->empty() ? variable : last->data(), last->size() + size};
            end = variable + size;
        }
        if (index >= first_remembered) {
            // The members lie one behind the other, as the assertions above say.
            std::string_view& place = (&request.content_length)[index - first_remembered];
            // The first of several counts, and one that is there but empty counts as well.
            if (place.data() == nullptr) {
                place = {variable + name.size() + 1, size - name.size() - 2};
                if (stays) { // and must not be overwritten
                    last += !last->empty();
                    end = behind;
                }
            }
        }
    }
    if (script_name != nullptr) { // where one was dropped, or in the null pointer's place
        static char storage[sizeof "SCRIPT_NAME" + CgiRequest::max_script_name + 2];
        Text text(storage);
        text.add("SCRIPT_NAME", sizeof "SCRIPT_NAME").add(script_name).add('\0');
        environment[request.count++] = storage;
        request.size += text.size();
        last[!last->empty()] = text.view();
    }

    if (request.method.empty())
        request.method = "GET"sv;
    read_length(request);
    return request;
}

} // namespace rouse
