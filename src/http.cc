#include "http.h"

#include "fields.h"

#include <string.h>

namespace rouse {
namespace {

// A blank or a line's end would end the target or the host, and what follows it would be somebody else's.
bool has_blank(std::string_view text) {
    return has_control(text) || text.find(' ') != text.npos || text.find('\t') != text.npos;
}

class Writing {
public:
    Writing(const CgiRequest& request, Forwarded forwarded, Text& out)
        : request_(request), trusts_(forwarded == Forwarded::Trusted), out_(out) {}

    bool write(uint64_t length) {
        add_request_line();
        add_host();
        add_visitors_fields();
        add_forwarded("HTTP_X_FORWARDED_FOR", value_of("REMOTE_ADDR"), ", ");
        std::string_view https = value_of("HTTPS");
        bool secure = (!https.empty() && !is_listed(https, "off")) || is_listed("https", value_of("REQUEST_SCHEME"));
        add_forwarded("HTTP_X_FORWARDED_PROTO", secure ? "https" : "http", {});
        add_forwarded("HTTP_X_FORWARDED_HOST", host_, {});
        add_prefix();
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
    std::string_view value_of(const char* name) const {
        for (size_t at = 0; at < request_.count; at++)
            if (strcmp(request_.variables[at], name) == 0)
                return request_.variables[at] + strlen(name) + 1;
        return {};
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
    void add_request_line() {
        host_ = value_of("HTTP_HOST");
        judge(is_token(request_.method));
        out_.add(request_.method).add(' ');
        size_t begin = out_.size();
        std::string_view target = value_of("REQUEST_URI");
        std::string_view query;
        if (target.empty()) {
            add_encoded(value_of("SCRIPT_NAME"));
            add_encoded(value_of("PATH_INFO"));
            query = value_of("QUERY_STRING");
        } else if (target[0] != '/') {
            // RFC 9112, 3.2.2: a target in absolute form names the host, and Host does not count.
            size_t colon = target.find("://");
            judge(colon != target.npos && is_listed(part(target, 0, colon), "http https"));
            target = part(target, colon + 3);
            size_t size = 0;
            while (size < target.size() && target[size] != '/' && target[size] != '?')
                size++;
            host_ = part(target, 0, size);
            target = part(target, size);
        }
        if (out_.size() == begin && !target.starts_with('/'))
            out_.add('/'); // RFC 9110, 4.2.3: an empty path is the root
        if (!query.empty())
            out_.add('?').add(query);
        out_.add(target);
        target = part(out_.view(), begin);
        judge(target.starts_with('/') && !has_blank(target));
        out_.add(" HTTP/1.0\r\n");
    }

    // RFC 9112, 3.2: an HTTP/1.0 client may leave it out, but many servers ask for it.
    void add_host() {
        out_.add("HOST: ");
        size_t begin = out_.size();
        std::string_view port;
        if (host_.empty()) {
            host_ = value_of("SERVER_NAME");
            port = value_of("SERVER_PORT");
        }
        out_.add(host_.empty() ? "localhost" : host_);
        if (!port.empty() && !is_listed(port, "80 443"))
            out_.add(':').add(port);
        host_ = part(out_.view(), begin);
        judge(!has_blank(host_) && host_.find('@') == host_.npos);
        out_.add("\r\n");
    }

    // What is for this connection only, what the web server has settled (Expect), and what is written by us. Who reaches
    // the server, and how, is no client's word.
    bool is_dropped(std::string_view name) const {
        return is_hop_by_hop(name, connection_) ||
               is_listed(name, "host authorization content-length content-type expect "
                               "x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-prefix") ||
               (!trusts_ && (is_listed(part(name, 0, 12), "x-forwarded-") || is_listed(name, "forwarded x-real-ip")));
    }

    void add_visitors_fields() {
        connection_ = value_of("HTTP_CONNECTION");
        for (size_t at = 0; at < request_.count; at++) {
            std::string_view variable = request_.variables[at];
            if (!variable.starts_with("HTTP_"))
                continue;
            size_t begin = out_.size();
            std::string_view name = add_name(part(variable, 5));
            std::string_view value = variable.data() + variable.size() + 1;
            judge(is_token(name) && !has_control(value));
            if (is_dropped(name))
                out_.cut(begin);
            else
                out_.add(value).add("\r\n");
        }
    }

    // The name of a variable as that of a field, with its colon behind it.
    std::string_view add_name(std::string_view variable) {
        size_t begin = out_.size();
        for (char one : variable)
            out_.add(one == '_' ? '-' : one);
        std::string_view name = part(out_.view(), begin);
        out_.add(": ");
        return name;
    }

    void add_field(std::string_view variable, std::string_view value) {
        judge(!has_control(value));
        if (value.empty())
            return;
        add_name(variable);
        out_.add(value).add("\r\n");
    }

    // What came of a field that only somebody in front of the web server may set.
    std::string_view trusted(const char* variable) const { return trusts_ ? value_of(variable) : std::string_view(); }

    // Behind what came, with `between`; without that what came counts, because most servers compare Proto with one word.
    void add_forwarded(const char* variable, std::string_view own, std::string_view between) {
        std::string_view came = trusted(variable);
        judge(!has_control(own));
        if (came.empty() || own.empty() || between.empty())
            return add_field(variable + 5, came.empty() ? own : came);
        add_field(variable + 5, came);
        out_.cut(out_.size() - 2);
        out_.add(between).add(own).add("\r\n");
    }

    // Where the application's root is for the visitor: the script's name behind what somebody in front has taken away.
    void add_prefix() {
        size_t begin = out_.size();
        add_name("X_FORWARDED_PREFIX");
        size_t name_end = out_.size();
        out_.add(trusted("HTTP_X_FORWARDED_PREFIX"));
        add_encoded(value_of("SCRIPT_NAME"));
        if (out_.size() == name_end)
            out_.cut(begin);
        else
            out_.add("\r\n");
    }

    void judge(bool holds) { sane_ &= holds; }

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
        return {};
    return {storage.view(), nullptr, 0, 0, {}};
}

} // namespace rouse
