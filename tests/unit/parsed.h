// This file knows how tests of settings read an app file.
#pragma once

#include "bytes.h"
#include "said.h"
#include "settings.h"

#include <doctest/doctest.h>
#include <memory>

// The app file is /home/me/cgi/app.cgi on the node `n1`, unless a test says otherwise.
struct Parsed {
    explicit Parsed(std::string_view lines, std::string_view app = "/home/me/cgi/app.cgi", std::string_view node = "n1")
        : text(lines), path(app), settings(new rouse::Settings) {
        error = rouse::parse_settings(text.view(), path.view(), node, *settings);
    }
    const rouse::Settings* operator->() const { return settings.get(); }
    // Up to the cure.
    std::string fault() const {
        std::string whole = said(error.fault);
        return whole.substr(0, whole.find(". "));
    }

    Exact text;
    Exact path;
    std::unique_ptr<rouse::Settings> settings;
    rouse::SettingsError error;
};

inline bool ends_with_nul(std::string_view text) {
    return text.data()[text.size()] == '\0';
}
