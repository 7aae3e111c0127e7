// This file knows the site that the owner names: its app file, its settings, and whose it is.
#pragma once

#include "app_file.h"
#include "connection.h"
#include "ledger.h"
#include "settings.h"

namespace rouse {

struct Site {
    AppFile app;
    Settings settings;
    SettingsError error;
    PeerRule rule;

    bool is_usable() const { return !app.error && !error; }
};

// `name` is the app file's path as the owner typed it. What is wrong with the file or its settings stands in `site`.
void read_site(const char* name, Site& site);

// Why a site is not usable, as one sentence with the cure.
void say_what_is_wrong(const Site& site, Text& out);

// Whether the server of this site is run by another user: then we would see little of it, and a server that we
// started would be in that user's way. Says so, with the cure.
bool is_of_another_user(const Site& site, Text& out);

// Opens the node's folder and makes nothing. ENOENT: nothing was ever launched.
Result<Fd> open_existing_folder(const Settings& settings);

// The refusal of a ledger of another socket, as a request that finds the server down gets it; else no error.
Error judge_owner(const Ledger& ledger, const Settings& settings);

// "uid 1000", with the name from /etc/passwd when it has one.
void add_user(uid_t uid, Text& out);

} // namespace rouse
