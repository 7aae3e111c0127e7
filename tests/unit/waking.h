// This file knows how tests run a bridge that found the server down, and the guardian that it forks.
#pragma once

#include "launch.h"
#include "launching.h"

namespace launching {

// A bridge that found the server down. `guardian` is what the guardian that it forks does.
class Waking {
public:
    explicit Waking(std::string lines = "run = /home/me/run\nstart = /home/me/start\n", std::string content = "")
        : app(std::move(lines)), body_text(std::move(content)), web_server(fake::as_mod_cgi()) {
        request.body = body_text.empty() ? rouse::CgiRequest::Body::None : rouse::CgiRequest::Body::Length;
        request.length = body_text.size();
        body->begin(request, 0, app.settings->max_spool, "/tmp");
        launch->begin(*app.settings, request, *body, {1000, false, 0}, 1000, 1);
        fake::kernel->on_fork = [this](fake::Process& child) {
            guardians.push_back(&child);
            for (auto& [number, descriptor] : child.descriptors)
                if (descriptor.open->type == fake::Open::Type::Packets)
                    channel = descriptor.open; // the second of the two is the guardian's
            guardian_began = fake::kernel->now;
            std::map<int, fake::Descriptor> kept = {{5, {channel.lock()}}};
            for (auto& [number, descriptor] : child.descriptors)
                if (descriptor.open->node == lock_file("start.lock"))
                    kept[6] = descriptor;
            child.descriptors = kept;
            if (guardian)
                guardian(child);
        };
    }
    Waking(const Waking&) = delete;

    // The guardian says a word and goes.
    void say(fake::Process& child, rouse::GuardianWord::Kind kind, bool with_connection = false,
             unsigned retry_after = 0, const char* sentence = "") {
        rouse::GuardianWord word;
        word.kind = kind;
        word.number = 1;
        word.retry_after = retry_after;
        strncpy(word.sentence, sentence, sizeof word.sentence - 1);
        fake::Message message = {std::string(reinterpret_cast<char*>(&word), sizeof word), {}};
        if (with_connection) {
            int fd = -1;
            peer = fake::connected(fd);
            message.descriptors.push_back(fake::kernel->process().descriptors[fd].open);
            fake::kernel->process().descriptors.erase(fd);
        }
        if (auto open = channel.lock())
            open->messages_out->push_back(message);
        child.end(0);
    }

    App app;
    std::string body_text;
    fake::Peer web_server, peer;
    rouse::CgiRequest request;
    std::unique_ptr<rouse::RequestBody> body = std::make_unique<rouse::RequestBody>();
    std::unique_ptr<rouse::Launch> launch = std::make_unique<rouse::Launch>();
    std::function<void(fake::Process&)> guardian;
    std::vector<fake::Process*> guardians;
    std::weak_ptr<fake::Open> channel;
    int64_t guardian_began = 0;
    fake::Server server;
};

// Somebody else's launch: holds start.lock for so long, then does `at_end`.
inline fake::Process& hold_start_lock(int64_t milliseconds, std::function<void()> at_end = {}) {
    lock_file("start.lock");
    fake::Process& other = fake::add_process(300);
    REQUIRE(fake::lock(fake::open_by(other, 5, "/home/me/run/n1/start.lock")));
    if (milliseconds >= 0)
        fake::in(milliseconds, [&other, at_end] {
            if (at_end)
                at_end();
            other.end(0);
        });
    return other;
}

} // namespace launching
