#include "ctl/served.h"

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

void add_plain(std::string_view path, Text& out) {
    size_t skip = 0; // parts that a ".." behind them takes away
    static char backwards[4352];
    size_t begin = sizeof backwards; // backwards[begin, end) is what is kept, the last part first found
    while (!path.empty()) {
        size_t slash = path.rfind('/');
        std::string_view name = part(path, slash + 1); // npos + 1 is 0
        path = part(path, 0, slash == std::string_view::npos ? 0 : slash);
        if (name.empty() || name == ".")
            continue;
        if (name == "..") {
            ++skip;
        } else if (skip > 0) {
            --skip;
        } else if (begin > name.size()) {
            begin -= name.size();
            memcpy(backwards + begin, name.data(), name.size());
            backwards[--begin] = '/';
        }
    }
    out.add(begin == sizeof backwards ? std::string_view("/")
                                      : std::string_view(backwards + begin, sizeof backwards - begin));
}

bool is_inside(std::string_view path, std::string_view folder) {
    return path == folder ||
           (path.starts_with(folder) && (folder.ends_with('/') || part(path, folder.size(), 1) == "/"));
}

bool denies_all(std::string_view htaccess) {
    while (!htaccess.empty()) {
        std::string_view line = part(htaccess, 0, htaccess.find('\n'));
        htaccess = part(htaccess, line.size() + 1);
        bool is_comment = trim(line).starts_with('#');
        if (!is_comment && (contains(line, "require all denied") || contains(line, "deny from all")))
            return true;
    }
    return false;
}

} // namespace rouse
