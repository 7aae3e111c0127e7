// This file knows how tests run a guardian: what a bridge gives it, and what the script does that it starts.
#pragma once

#include "launching.h"

namespace launching {

// A guardian as a bridge forks it: it holds start.lock, the node's folder, and its end of the socketpair.
class Guarding {
public:
    explicit Guarding(std::string lines = "run = /home/me/run\nstart = /home/me/start\n") : app(std::move(lines)) {
        folder = rouse::sys::open(AT_FDCWD, run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        start_lock = rouse::sys::open(AT_FDCWD, "/home/me/run/n1/start.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (start_lock >= 0)
            fake::lock(fake::kernel->process().descriptors[start_lock].open);
        int ends[2] = {-1, -1};
        rouse::sys::socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC, ends);
        channel = ends[1];
        bridge = &fake::add_process(90); // holds the other end
        if (ends[0] >= 0) {
            fake::give(*bridge, 3, fake::kernel->process().descriptors[ends[0]].open);
            messages = bridge->descriptors[3].open->messages_in;
            rouse::sys::close(ends[0]);
        }
        fake::kernel->on_fork = [this](fake::Process& child) {
            scripts.push_back(&child);
            if (refuse != 0) {
                fake::OpenFile trouble;
                for (auto& [number, descriptor] : child.descriptors)
                    if (descriptor.open->type == fake::Open::Type::Pipe && descriptor.open->out != nullptr &&
                        number > 2)
                        trouble = descriptor.open;
                rouse::ExecTrouble why = {false, refuse};
                REQUIRE(trouble != nullptr);
                trouble->out->bytes.assign(reinterpret_cast<char*>(&why), sizeof why);
                trouble.reset();
                child.end(127 << 8);
                return;
            }
            become_script(child);
            if (script)
                script(child);
        };
    }
    Guarding(const Guarding&) = delete;

    bool is_set_up() const { return folder >= 0 && start_lock >= 0 && channel >= 0; }

    // How the launches of this run directory are marked, behind the device.
    static std::string mark() {
        static char bytes[32];
        rouse::Text text(bytes);
        return std::string(text.add_hex(lock_file("alive.lock")->number).view());
    }

    // To the guardian's end: its exit status.
    int guard() {
        rouse::Moment moment = {boot, fake::kernel->now, 99};
        try {
            rouse::GuardianOrder order = {&*app.settings, &request, {1000, false, 0}, moment, reason,
                                          replaces,       folder,   start_lock,       channel};
            rouse::guard_launch(order);
        } catch (const fake::Exited& exited) {
            return exited.status;
        }
    }

    // What the bridge was told; null: nothing.
    const rouse::GuardianWord* word() const {
        return messages == nullptr || messages->empty()
                   ? nullptr
                   : reinterpret_cast<const rouse::GuardianWord*>(messages->front().bytes.data());
    }
    bool handed_over() const { return !messages->front().descriptors.empty(); }

    // A script that listens after so many milliseconds, in the foreground.
    std::function<void(fake::Process&)> listens_after(int64_t milliseconds, size_t backlog = 16) {
        return [this, milliseconds, backlog](fake::Process& child) {
            fake::in(milliseconds, [this, &child, backlog] {
                if (!child.alive)
                    return;
                server = fake::listen(app.socket(), backlog);
                fake::give(child, 9, server.listener);
                server.listener.reset();
            });
        };
    }

    App app;
    rouse::CgiRequest request;
    int folder, start_lock, channel;
    fake::Process* bridge = nullptr;
    std::shared_ptr<std::vector<fake::Message>> messages;
    std::vector<fake::Process*> scripts;
    std::function<void(fake::Process&)> script;
    int refuse = 0; // errno of execve
    const char* reason = nullptr;
    bool replaces = false;
    fake::Server server;
};

} // namespace launching
