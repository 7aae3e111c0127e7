// This file knows how text is written in JSON (RFC 8259).
#pragma once

#include "buffer.h"

namespace rouse {

// Between double quotes. What is no UTF-8 stands as the character of that number: JSON has no other bytes.
void add_json(std::string_view text, Text& out);

} // namespace rouse
