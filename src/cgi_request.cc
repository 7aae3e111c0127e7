#include "cgi_request.h"

#include "buffer.h"

#include <string.h>

namespace rouse {
namespace {

// The names seen so far, by their hash. Linux allows 6 MiB of environment, pointers included, so there are at most
// 572,000 variables; a table of the full size is 4 MiB of .bss, of which a usual request touches 1 KiB. It is
// scratch: cleared by each use, for that use.
class Names {
public:
    explicit Names(size_t expected) {
        size_t slots = 256;
        while (slots < max_slots && slots / 2 < expected)
            slots *= 2;
        mask_ = slots - 1;
        memset(table_, 0, slots * sizeof table_[0]);
    }

    // Whether `name` is new among `variables`, where it is about to become number `index`.
    bool add(const char* name, uint32_t hash, char** variables, size_t index) {
        size_t slot = hash & mask_;
        for (; table_[slot] != 0; slot = (slot + 1) & mask_)
            if (strcmp(variables[table_[slot] - 1], name) == 0)
                return false;
        if (used_ >= mask_)
            return false; // no kernel passes so many; one slot stays empty, or the search above would not end
        used_++;
        table_[slot] = static_cast<uint32_t>(index + 1);
        return true;
    }

private:
    static constexpr size_t max_slots = size_t{1} << 20;
    static uint32_t table_[max_slots]; // 1 + the index in `variables`; 0: empty
    size_t mask_;
    size_t used_ = 0;
};

uint32_t Names::table_[Names::max_slots];

// What the web server means for us, or what would mislead the server (F2): HTTP_PROXY is how a request header
// becomes the proxy of a careless HTTP client, the rest is about our process and not about the request.
bool is_dropped(std::string_view name) {
    static constexpr std::string_view dropped[] = {"PWD", "OLDPWD", "SHLVL", "_", "HTTP_PROXY", "SCGI"};
    for (std::string_view one : dropped)
        if (name == one)
            return true;
    return name.starts_with("LD_");
}

struct Noted {
    std::string_view name;
    std::string_view CgiRequest::*value;
};

constexpr Noted noted[] = {
    {"CONTENT_LENGTH", &CgiRequest::content_length},
    {"HTTP_TRANSFER_ENCODING", &CgiRequest::transfer_encoding},
    {"PATH", &CgiRequest::path}, // up to here they do not go through
    {"REQUEST_METHOD", &CgiRequest::method},
    {"HTTP_ACCEPT", &CgiRequest::accept},
    {"HOME", &CgiRequest::home},
    {"USER", &CgiRequest::user},
    {"LOGNAME", &CgiRequest::logname},
    {"SHELL", &CgiRequest::shell},
    {"LANG", &CgiRequest::lang},
    {"TZ", &CgiRequest::tz},
};
constexpr size_t kept_back = 3;

// Remembers what rouse itself needs, and answers whether the variable goes through.
bool note(std::string_view name, std::string_view value, CgiRequest& request) {
    for (const Noted& one : noted) {
        if (one.name != name)
            continue;
        std::string_view& place = request.*one.value;
        if (place.data() == nullptr) // the first of several counts, and one that is there but empty counts as well
            place = value;
        return &one >= noted + kept_back;
    }
    return true;
}

void read_length(CgiRequest& request) {
    if (request.content_length.empty()) { // RFC 3875, 4.1.2: absent and empty mean the same
        if (!request.transfer_encoding.empty())
            request.body = CgiRequest::Body::UntilEnd;
        return;
    }
    uint64_t length = 0;
    if (!parse_decimal(request.content_length, length) || length > INT64_MAX)
        request.body = CgiRequest::Body::BadLength;
    else if (length > 0)
        request.body = CgiRequest::Body::Length;
    request.length = request.body == CgiRequest::Body::Length ? length : 0;
}

constexpr std::string_view script_name_key = "SCRIPT_NAME";

// The variable that replaces SCRIPT_NAME, laid out as all others.
char* replacement(const char* script_name, size_t& size) {
    static char storage[script_name_key.size() + 1 + CgiRequest::max_script_name + 1];
    Text text(storage, sizeof storage);
    text.add(script_name_key).add('\0').add(part(script_name, 0, CgiRequest::max_script_name));
    text.c_str();
    size = text.size() + 1;
    return storage;
}

} // namespace

CgiRequest read_cgi_request(char** environment, const char* script_name) {
    CgiRequest request;
    request.variables = environment;
    size_t total = 0;
    while (environment[total] != nullptr)
        total++;
    Names names(total);

    for (size_t at = 0; at < total; at++) {
        char* variable = environment[at];
        uint32_t hash = 2166136261; // FNV-1a
        char* equals = variable;
        for (; *equals != '=' && *equals != '\0'; equals++)
            hash = (hash ^ static_cast<unsigned char>(*equals)) * 16777619;
        if (equals == variable || *equals == '\0')
            continue;
        *equals = '\0';

        std::string_view name(variable, static_cast<size_t>(equals - variable));
        if (is_dropped(name))
            continue;
        std::string_view value(equals + 1);
        if (!note(name, value, request))
            continue;
        if (!names.add(variable, hash, environment, request.count))
            continue;

        size_t size = name.size() + 1 + value.size() + 1;
        if (script_name != nullptr && name == script_name_key) {
            variable = replacement(script_name, size);
            script_name = nullptr; // done
        }
        environment[request.count++] = variable;
        request.size += size;
    }
    if (script_name != nullptr) { // there was none, and so at least the null pointer's place is free
        size_t size = 0;
        environment[request.count++] = replacement(script_name, size);
        request.size += size;
    }

    if (request.method.empty())
        request.method = "GET";
    read_length(request);
    return request;
}

} // namespace rouse
