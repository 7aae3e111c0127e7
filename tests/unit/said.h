// What a phrase says, unpacked.
#pragma once

#include "buffer.h"

#include <string>

inline std::string said(rouse::Phrase phrase) {
    char bytes[1024];
    rouse::Text text(bytes);
    return std::string(phrase ? text.add(phrase).view() : "");
}
