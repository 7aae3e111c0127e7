// This file knows how tests of relay play both sides: a web server, and a server that does what a test says.
#pragma once

#include "relay.h"
#include "world.h"

#include <functional>
#include <memory>

namespace relaying {

using Outcome = rouse::Relay::Outcome;

inline std::string numbered(size_t size) {
    std::string content;
    for (size_t number = 0; content.size() < size; number++)
        content += std::to_string(number) + " ";
    return content.substr(0, size);
}

// One request through the relay: a web server that feeds the body and takes the response whenever the program waits,
// and a server that does what `serve` says, each time something came or the program waits.
class Exchange {
public:
    explicit Exchange(std::string body = "", bool one_socket = false) : body_(std::move(body)) {
        web_server = one_socket ? fake::as_mod_cgid() : fake::as_mod_cgi();
        server = fake::connected(fd);
        fake::kernel->idle.push_back([this] { return move(); });
        rouse::CgiRequest request;
        request.body = body_.empty() ? rouse::CgiRequest::Body::None : rouse::CgiRequest::Body::Length;
        request.length = body_.size();
        request_body = std::make_unique<rouse::RequestBody>();
        request_body->begin(request, 0, 1 << 20, "/tmp");
        relay = std::make_unique<rouse::Relay>();
    }

    Outcome run(int timeout = 45'000, bool head_only = false) {
        relay->begin(1, timeout, head_only);
        outcome = relay->run(fd, rouse::RequestHead(head), *request_body, [] {});
        if (takes_output)
            output += web_server.take();
        received += server.from_program->bytes;
        return outcome;
    }

    // What a usual server does: reads `until` bytes of the request, sends the answer in pieces, closes.
    std::function<bool()> answers(std::string answer, size_t until, size_t piece = SIZE_MAX) {
        return [this, answer, until, piece, sent = size_t{0}]() mutable {
            if (received.size() < until || server.to_program->ended)
                return false;
            if (sent == answer.size()) {
                server.end();
                return true;
            }
            if (server.to_program->bytes.size() >= fake::kernel->capacity)
                return false;
            std::string_view some = std::string_view(answer).substr(sent, std::min(piece, fake::kernel->capacity));
            server.send(some);
            sent += some.size();
            return true;
        };
    }

    size_t whole() const { return head.size() + body_.size(); }

    std::string head = "24:CONTENT_LENGTH...,";
    fake::Peer web_server, server;
    int fd = -1;
    std::function<bool()> serve;
    std::string received; // by the server
    std::string output;   // by the web server
    bool takes_output = true, reads_request = true, feeds_body = true;
    size_t feed_piece = 5000;
    std::unique_ptr<rouse::RequestBody> request_body;
    std::unique_ptr<rouse::Relay> relay;
    Outcome outcome = Outcome::Complete;

private:
    bool move() {
        bool moved = false;
        if (takes_output) {
            std::string some = web_server.take();
            output += some;
            moved |= !some.empty();
        }
        if (feeds_body && fed_ < body_.size() && web_server.to_program->bytes.size() < fake::kernel->capacity) {
            std::string_view some = std::string_view(body_).substr(fed_, feed_piece);
            web_server.send(some);
            fed_ += some.size();
            moved = true;
        }
        if (reads_request) {
            std::string some = server.take();
            received += some;
            moved |= !some.empty();
        }
        return (serve && serve()) || moved;
    }

    std::string body_;
    size_t fed_ = 0;
};

const std::string ok = "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n";

inline std::string sized(size_t length, const std::string& content) {
    return "Status: 200 OK\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" + content;
}

} // namespace relaying
