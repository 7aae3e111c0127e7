// This file knows what tests of guardian and launch have in common: an app with a run directory, a start script that
// does what a test says, and the two locks.
#pragma once

#include "fingerprint.h"
#include "guardian.h"
#include "process.h"
#include "tree.h"
#include "world.h"

#include <fcntl.h>

namespace launching {

const uint64_t boot = rouse::see("01234567-89ab-cdef-0123-456789abcdef\n", 37); // of the fake
constexpr const char* run = "/home/me/run/n1";

struct App {
    explicit App(std::string lines = "run = /home/me/run\nstart = /home/me/start\n") : text(std::move(lines)) {
        fake::put("/home/me/app.cgi", text, 0755);
        fake::put("/home/me/start", "#!/bin/sh\n", 0755);
        fake::put_folder("/home/me/run", 0700);
        fake::put_folder(run, 0700);
        REQUIRE_FALSE(rouse::parse_settings(text, "/home/me/app.cgi", "n1", *settings));
    }
    std::string socket() const { return std::string(settings->socket.text); }
    std::string text;
    std::unique_ptr<rouse::Settings> settings = std::make_unique<rouse::Settings>();
};

inline fake::File lock_file(const std::string& name) {
    std::string path = std::string(run) + "/" + name;
    return fake::exists(path) ? fake::find(path) : fake::put(path, "", 0600);
}

// Whether the lock of that name is held by somebody who lives.
inline bool is_held(const std::string& name) {
    fake::File file = lock_file(name);
    return !file->locked.expired();
}

inline rouse::Ledger ledger() {
    rouse::Ledger found;
    std::string bytes = fake::content(std::string(run) + "/ledger");
    memcpy(&found, bytes.data(), std::min(bytes.size(), sizeof found));
    if (found.sum != sum_of(found))
        found = {};
    return found;
}

inline void put_ledger(rouse::Ledger record) {
    record.sum = sum_of(record);
    std::string bytes(reinterpret_cast<const char*>(&record), offsetof(rouse::Ledger, answered));
    fake::put(std::string(run) + "/ledger", bytes, 0600);
}

// A ledger of launch `number` of this socket in this boot, that came to `outcome` `age` milliseconds ago.
inline rouse::Ledger record(int64_t number, rouse::Ledger::Outcome outcome, int64_t age = 0) {
    rouse::Ledger found;
    found.number = number;
    found.outcome = outcome;
    found.started = found.changed = fake::kernel->now - age;
    found.boot = boot;
    found.socket = rouse::see("sock", 4);
    return found;
}

inline std::string log() {
    return fake::content(std::string(run) + "/log");
}
inline bool logged(std::string_view words) {
    return log().find(words) != std::string::npos;
}

// A process that holds alive.lock and the mark of a launch, as a server that a launch started.
inline fake::Process& add_holder(pid_t pid, const std::string& launch = "1") {
    fake::Process& holder = fake::add_process(pid);
    fake::File file = lock_file("alive.lock");
    fake::OpenFile open = fake::open_by(holder, 4, std::string(run) + "/alive.lock");
    REQUIRE(fake::lock(open));
    static char bytes[64];
    rouse::Text mark(bytes);
    rouse::add_launch_mark(7, file->number, mark);
    holder.environment = "ROUSE_LAUNCH=" + launch + std::string(mark.view()) + std::string(1, '\0');
    return holder;
}

// What is left of a forked child when it has become the start script: alive.lock and nothing else of ours.
inline void become_script(fake::Process& child) {
    fake::File alive = lock_file("alive.lock");
    fake::OpenFile open;
    for (auto& [number, descriptor] : child.descriptors)
        if (descriptor.open->node == alive)
            open = descriptor.open;
    child.descriptors.clear();
    if (open != nullptr)
        fake::give(child, 4, open);
}

} // namespace launching
