#include "ctl/served.h"

#include "buffer.h"

namespace rouse {

namespace {

constexpr char usual_names[] = "public_html htdocs httpdocs www html wwwroot webroot";

// Case does not matter, and blanks count as one.
bool contains(std::string_view text, std::string_view lower) {
    auto folded = [](char one) { return one >= 'A' && one <= 'Z' ? static_cast<char>(one | 0x20) : one; };
    for (size_t begin = 0; begin < text.size(); ++begin) {
        size_t at = begin, matched = 0;
        while (matched < lower.size() && at < text.size() && folded(text[at]) == lower[matched]) {
            ++at, ++matched;
            while (lower[matched - 1] == ' ' && at < text.size() && text[at] == ' ')
                ++at;
        }
        if (matched == lower.size())
            return true;
    }
    return false;
}

} // namespace

std::string_view served_root(std::string_view folder) {
    for (std::string_view above = folder; !above.empty();) {
        size_t slash = above.rfind('/');
        if (index_of(part(above, slash + 1), usual_names) >= 0)
            return above;
        above = part(above, 0, slash == std::string_view::npos ? 0 : slash);
    }
    return folder;
}

bool is_inside(std::string_view path, std::string_view folder) {
    return path == folder ||
           (path.starts_with(folder) && (folder.ends_with('/') || part(path, folder.size(), 1) == "/"));
}

bool denies_all(std::string_view htaccess) {
    return contains(htaccess, "require all denied") || contains(htaccess, "deny from all");
}

} // namespace rouse
