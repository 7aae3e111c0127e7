// This file knows the names of header fields (RFC 9110, section 5.1), and which of them are for one connection only.
#pragma once

#include <string_view>

namespace rouse {

// RFC 9110, 5.6.2.
bool is_token(std::string_view text);

// Whether `name`, which is not empty, is a word of `list`. Commas and blanks part the words; ASCII case does not matter.
// A line feed, which no field has, behind the beginning of a name stands for all that begin so.
bool is_listed(std::string_view name, std::string_view list);

// RFC 9110, 7.6.1: fields that are not passed on. `connection` is the value of the Connection field.
bool is_hop_by_hop(std::string_view name, std::string_view connection);

} // namespace rouse
