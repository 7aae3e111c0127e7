// This file knows which folders a web server probably serves: nobody tells a program on the command line.
#pragma once

#include "buffer.h"

#include <string_view>

namespace rouse {

// The folder at the root of what is served around the app file's folder: the nearest one above with a usual name
// (public_html, htdocs, www ...), else the app file's folder itself. Part of `folder`.
std::string_view served_root(std::string_view folder);

// The path without ".", ".." and doubled slashes, as far as text tells: a link in it is another matter.
void add_plain(std::string_view path, Text& out);

// Whether `path` is `folder` or lies in it.
bool is_inside(std::string_view path, std::string_view folder);

// Whether the text of an .htaccess denies everything, for Apache 2.4 or 2.2.
bool denies_all(std::string_view htaccess);

} // namespace rouse
