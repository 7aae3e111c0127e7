#include "http.h"

#include "fields.h"

#include <string.h>

namespace rouse {
namespace {

// It would end the target; what follows it would be somebody else's.
[[gnu::noinline]] bool has_blank(std::string_view text) {
    for (char one : text)
        if (one == ' ' || one == '\t')
            return true;
    return false;
}

class Writing {
public:
    Writing(const CgiRequest& request, Forwarded forwarded, Text& out)
        : request_(request), trusts_(forwarded == Forwarded::Trusted), out_(out) {}

    bool write(uint64_t length) {
        host_ = value_of("HTTP_HOST");
        if (host_.empty()) // RFC 9112, 3.2: an HTTP/1.0 client may leave it out, but many servers ask for it
            host_ = value_of("SERVER_NAME");
        if (host_.empty())
            host_ = "localhost"sv;
        sane_ &= is_token(request_.method);
        out_.add(request_.method).add(' ');
        add_target();
        out_.add(" HTTP/1.0\r\n");
        sane_ &= !has_blank(host_);
        add_field("HOST", host_);
        add_visitors_fields();
        add_forwarded("HTTP_X_FORWARDED_FOR", value_of("REMOTE_ADDR"), Join::List);
        bool secure = is_listed(value_of("HTTPS"), "on 1 true"sv) || is_listed(value_of("REQUEST_SCHEME"), "https"sv);
        add_forwarded("HTTP_X_FORWARDED_PROTO", front("https"sv, secure ? 5 : 4), Join::None);
        add_forwarded("HTTP_X_FORWARDED_HOST", host_, Join::None);
        add_forwarded("HTTP_X_FORWARDED_PREFIX", value_of("SCRIPT_NAME"), Join::Path);
        std::string_view authorization = value_of("HTTP_AUTHORIZATION");
        if (authorization.empty()) // mod_rewrite's way to pass it on, as it is called after an internal redirect
            authorization = value_of("REDIRECT_HTTP_AUTHORIZATION");
        add_field("AUTHORIZATION", authorization);
        add_field("CONTENT_TYPE", value_of("CONTENT_TYPE"));
        if (length > 0 || !request_.is_safe()) // RFC 9110, 8.6: not where no content is expected
            out_.add("CONTENT-LENGTH: ").add_number(length).add("\r\n");
        out_.add("CONNECTION: close\r\n\r\n");
        return sane_ && !out_.overflowed();
    }

private:
    enum class Join { None, List, Path };

    // Everything that a stranger may have chosen goes this way, or is encoded: what ended a line would begin another.
    [[gnu::noinline]] void put(std::string_view text) {
        sane_ &= !has_control(text);
        out_.add(text);
    }

    std::string_view value_of(const char* name) const {
        for (size_t at = 0; at < request_.count; at++)
            if (is_same(request_.variables[at], name))
                return text_of(request_.variables[at] + strlen(name) + 1);
        return ""sv;
    }

    // RFC 3986, 3.3: what a path is written with, a bit for each; the rest is encoded. SCRIPT_NAME and PATH_INFO come
    // decoded (RFC 3875, 4.1.5 and 4.1.13).
    void add_encoded(std::string_view path) {
        static constexpr uint32_t bits[8] = {0, 0x2fffffd2, 0x87ffffff, 0x47fffffe};
        for (char one : path) {
            auto byte = static_cast<unsigned char>(one);
            if ((bits[byte / 32] >> byte % 32 & 1) != 0)
                out_.add(one);
            else
                out_.add('%').add_hex(byte, 2);
        }
    }

    // RFC 9112, 3.2.1: the target as the client sent it, or what the web server made of it put together again.
    void add_target() {
        size_t begin = out_.size();
        const char* target = value_of("REQUEST_URI").data();
        const char* query = "";
        if (*target == '\0') {
            add_encoded(value_of("SCRIPT_NAME"));
            add_encoded(value_of("PATH_INFO"));
            query = value_of("QUERY_STRING").data();
        } else if (*target != '/') {
            // RFC 9112, 3.2.2: a target in absolute form names the host, and Host does not count.
            const char* host = target;
            while (*host != '\0' && *host++ != '/')
                ;
            bool is_absolute =
                is_listed({target, static_cast<size_t>(host - target)}, "http:/ https:/"sv) && *host == '/';
            sane_ &= is_absolute;
            host += is_absolute;
            for (target = host; *target != '\0' && *target != '/' && *target != '?'; target++)
                sane_ &= *target != '@';
            sane_ &= target != host; // RFC 9110, 4.2.1: what names no host is no URI
            host_ = {host, static_cast<size_t>(target - host)};
        }
        if (out_.size() == begin && *target != '/')
            out_.add('/'); // RFC 9110, 4.2.3: an empty path is the root
        if (*query != '\0') {
            out_.add('?');
            target = query;
        }
        put(text_of(target));
        std::string_view written = behind(out_.view(), begin);
        sane_ &= begins_with(written, '/') && !has_blank(written);
    }

    // What is for this connection only, what the web server has settled (Expect), and what is written by us. Who reaches
    // the server, and how, is no client's word.
    bool is_dropped(std::string_view name) const {
        return is_hop_by_hop(name, connection_) ||
               is_listed(name, "host authorization content-length content-type expect"sv) ||
               is_listed(name, trusts_ ? "x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-prefix"sv
                                       : "x-forwarded-\n forwarded x-real-ip"sv);
    }

    void add_visitors_fields() {
        connection_ = value_of("HTTP_CONNECTION");
        for (size_t at = 0; at < request_.count; at++) {
            const char* variable = request_.variables[at];
            if (!begins_with(variable, "HTTP_"))
                continue;
            size_t begin = out_.size();
            std::string_view name = add_name(variable + 5);
            sane_ &= is_token(name);
            put(text_of(variable + strlen(variable) + 1));
            out_.add("\r\n");
            if (is_dropped(name))
                out_.cut(begin);
        }
    }

    // The name of a variable as that of a field, with its colon behind it.
    std::string_view add_name(const char* variable) {
        size_t begin = out_.size();
        for (; *variable != '\0'; variable++)
            out_.add(*variable == '_' ? '-' : *variable);
        std::string_view name = behind(out_.view(), begin);
        out_.add(": ");
        return name;
    }

    void add_field(const char* variable, std::string_view value) {
        if (value.empty())
            return;
        add_name(variable);
        put(value);
        out_.add("\r\n");
    }

    // What came counts only when somebody is trusted who may have set it. Without Join it counts alone then, because most
    // servers compare Proto with one word; a path is put behind the one that was taken away in front.
    void add_forwarded(const char* variable, std::string_view own, Join join) {
        size_t begin = out_.size();
        add_name(variable + 5);
        size_t name_end = out_.size();
        if (trusts_)
            put(value_of(variable));
        bool came = out_.size() != name_end;
        if (join == Join::Path) {
            add_encoded(own);
        } else if (!came || join == Join::List) {
            if (came && !own.empty())
                out_.add(", ");
            put(own);
        }
        out_.add("\r\n");
        if (out_.size() == name_end + 2)
            out_.cut(begin);
    }

    const CgiRequest& request_;
    bool trusts_;
    Text& out_;
    bool sane_ = true;
    std::string_view host_;
    std::string_view connection_;
};

} // namespace

RequestHead frame_http(const CgiRequest& request, uint64_t length, Forwarded forwarded, Text& storage) {
    storage.clear();
    if (!Writing(request, forwarded, storage).write(length))
        storage.clear();
    return RequestHead(storage.view());
}

} // namespace rouse
