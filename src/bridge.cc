#include "bridge.h"

#include "body_spool.h"
#include "cgi_request.h"
#include "connection.h"
#include "http.h"
#include "io.h"
#include "launch.h"
#include "log.h"
#include "page.h"
#include "relay.h"
#include "scgi.h"
#include "settings.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

constexpr size_t max_page = 65536; // of the owner's; more is ours
constexpr int input = 0, output = 1;
constexpr int most_repeats = 2;     // of a request that may have been seen (W1)
constexpr int most_resendings = 5;  // of one that cannot have been: a server that dies that fast is no server
constexpr int pauses[] = {20, 100}; // milliseconds: a dying server may still accept

// What the visitor is told. A retry_after of 0 is no Retry-After; `refused` and `not_started` have a better one.
struct Answer {
    Status status;
    unsigned retry_after; // seconds
    Phrase what;
};
constexpr Answer short_body = {Status::BadRequest, 0, "The request ended before its Content-Length."_phrase};
constexpr Answer bad_length = {Status::BadRequest, 0, "CONTENT_LENGTH is no number."_phrase};
constexpr Answer bad_head = {Status::BadRequest, 0,
                             "The request's head cannot be sent in HTTP, or is over 256 KiB."_phrase};
constexpr Answer large_body = {Status::ContentTooLarge, 0, "The request is too large to be held."_phrase};
constexpr Answer wrong = {Status::SettingsWrong, 0, "The application cannot be reached."_phrase};
constexpr Answer foreign = {Status::BadGateway, 0, "Somebody else answers in the application's place."_phrase};
constexpr Answer no_answer = {Status::BadGateway, 0, "The application did not answer."_phrase};
constexpr Answer bad_answer = {Status::BadGateway, 0, "The application's answer could not be used."_phrase};
constexpr Answer silent = {Status::GatewayTimeout, 0, "The application did not answer in time."_phrase};
constexpr Answer down = {Status::Unavailable, 5, "The application is down."_phrase};
constexpr Answer starting = {Status::Unavailable, 2, "The application is starting, or busy."_phrase};
constexpr Answer not_started = {Status::Unavailable, 1, "The application could not be started."_phrase};
constexpr Answer stopped = {Status::Unavailable, 60, "The application was stopped by its owner."_phrase};
constexpr Answer shortage = {Status::Unavailable, 5, "The host is short of resources."_phrase};

class Bridge {
public:
    Ending run(const AppFile& app, char** environment, bool can_answer);

private:
    Ending converse();
    Ending page(const Answer& answer, const Error* error = nullptr, Phrase fault = {});
    Ending show(const Answer& answer, std::string_view what, std::string_view fault);
    Ending page_for(Spooling spooling);
    Ending page_for(Launch::End end);
    Ending wrong_settings(const SettingsError& error);
    Ending after(Relay::Outcome outcome);
    Ending not_reached(const Connection& connection);
    bool may_be_sent_again(Relay::Outcome outcome);
    bool reach(Connection& connection, Ending& ending);

    bool can_answer_ = false;
    int repeats_ = 0;
    int resendings_ = 0;
    CgiRequest request_;
    const AppFile* app_ = nullptr;
    Relay relay_;
    RequestBody body_;
    Launch launch_;
    Settings settings_; // its end is large, and mostly never used
};

// Large, and made of zeros: it costs nothing in the file, and only the pages that are used in memory.
[[gnu::section(".bss.2")]] constinit Bridge bridge;

// The incident's id, the log line, the page; then what the web server still has to write is read, because it may not
// be able to read before (mod_cgi), and unread input would destroy the page on its way (mod_cgid).
Ending Bridge::show(const Answer& answer, std::string_view what, std::string_view fault) {
    uint64_t chance = 0;
    sys::random(&chance, 6);
    static char incident_bytes[16];
    Text incident(incident_bytes);
    Page page;
    page.status = answer.status;
    page.what = what;
    page.retry_after = answer.retry_after;
    page.incident = incident.add_hex(chance, 12).view();
    page.head_only = request_.is_head();
    page.html = answer.status == Status::Unavailable && request_.method == "GET"sv && accepts_html(request_.accept);
    LogLine(Event::Answered)
        .add("status", static_cast<uint64_t>(answer.status))
        .add("incident", page.incident)
        .quote("error", fault)
        .write_to(settings_.log);
    static char tail[4096];
    if (settings_.show_errors)
        page.details = last_log_lines(settings_.log, tail, sizeof tail);
    static char own_bytes[max_page];
    std::string_view own;
    struct stat status;
    if (answer.status >= Status::BadGateway && !settings_.page.empty() && page.details.empty() &&
        sys::stat(AT_FDCWD, settings_.page.data(), status) == 0 && !others_can_write(status) &&
        read_small_file(AT_FDCWD, settings_.page.data(), own_bytes, sizeof own_bytes, own))
        page.own = own;
    static char text_bytes[max_page + 1024];
    Text text(text_bytes);
    render_page(page, text);
    if (!can_answer_ || write_all(output, text.view()) < 0)
        return Ending::Nothing;
    body_.drain(request_.body == CgiRequest::Body::BadLength ? 0 : Relay::drain_silence);
    return Ending::Answered;
}

// The log has the error whole; the page has no path in it, but the cure.
Ending Bridge::page(const Answer& answer, const Error* error, Phrase fault) {
    static char sentence_bytes[512], what_bytes[512];
    Text sentence(sentence_bytes), what(what_bytes);
    what.add(answer.what);
    if (error != nullptr) {
        say(*error, error->subject, sentence);
        if (Phrase cure = error->words.cure(); *cure.packed != '\0')
            what.add(' ').add(cure);
    }
    if (fault)
        sentence.add(fault);
    return show(answer, what.view(), sentence.size() == 0 ? what.view() : sentence.view());
}

// The owner may have nothing but FTP and this page: what is wrong, where, and the cure; never a value.
Ending Bridge::wrong_settings(const SettingsError& error) {
    static char what_bytes[1024];
    Text what(what_bytes);
    if (app_->error) {
        say(app_->error, app_->name().data(), what);
    } else {
        what.add("The settings in "_phrase).add(app_->name()).add(" are wrong"_phrase);
        if (error.line > 0)
            what.add(", line ").add_number(error.line);
        if (!error.key.empty())
            what.add(", ").add(error.key);
        what.add(": ").add(error.fault).add('.');
    }
    return show(wrong, what.view(), what.view());
}

Ending Bridge::page_for(Spooling spooling) {
    if (spooling == Spooling::Failed)
        return page(shortage, &body_.error());
    return page(spooling == Spooling::TooLarge ? large_body : short_body);
}

Ending Bridge::page_for(Launch::End end) {
    switch (end) {
    case Launch::End::Failed: {
        Answer answer = not_started;
        if (launch_.retry_after > 0)
            answer.retry_after = launch_.retry_after;
        return page(answer);
    }
    case Launch::End::Stopped:
        return page(stopped);
    case Launch::End::Overdue:
        return page(starting);
    case Launch::End::Shortage:
        return page(shortage, &launch_.error);
    case Launch::End::Foreign:
        return page(foreign, &launch_.error);
    case Launch::End::ShortBody:
        return page(short_body);
    case Launch::End::LargeBody:
        return page(large_body);
    case Launch::End::Gone:
        return Ending::Nothing;
    case Launch::End::Connected:
    case Launch::End::Wrong:
        break;
    }
    if (launch_.sentence[0] != '\0')
        return show(wrong, launch_.sentence, launch_.sentence);
    return page(wrong, &launch_.error);
}

Ending Bridge::not_reached(const Connection& connection) {
    Error in_the_way;
    if (connection.reach == Reach::Down) // and there is no start script
        return nothing_in_the_way(settings_.socket, sys::effective_uid(), in_the_way) ? page(down, &connection.error)
                                                                                      : page(wrong, &in_the_way);
    const Answer& answer = connection.reach == Reach::Shortage  ? shortage
                           : connection.reach == Reach::Foreign ? foreign
                                                                : wrong;
    return page(answer, &connection.error);
}

bool Bridge::may_be_sent_again(Relay::Outcome outcome) {
    if (!body_.can_be_sent_again())
        return false;
    if (outcome == Relay::Outcome::Unsent)
        return ++resendings_ <= most_resendings;
    return outcome == Relay::Outcome::NoAnswer && request_.is_safe() && request_.body == CgiRequest::Body::None &&
           ++repeats_ <= most_repeats;
}

Ending Bridge::after(Relay::Outcome outcome) {
    using Outcome = Relay::Outcome;
    if (outcome == Outcome::Complete)
        return Ending::Answered;
    if (relay_.output_begun()) {
        Phrase fault = outcome == Outcome::Gone        ? "the web server closed the connection"_phrase
                       : outcome == Outcome::ShortBody ? short_body.what
                                                       : relay_.fault();
        static char fault_bytes[128];
        LogLine(Event::Cut).quote("error", Text(fault_bytes).add(fault).view()).write_to(settings_.log);
        return Ending::Cut;
    }
    if (outcome == Outcome::Gone)
        return Ending::Nothing;
    if (outcome == Outcome::ShortBody)
        return page(short_body);
    if (outcome == Outcome::Silent) {
        launch_.silent();
        return page(silent);
    }
    bool none = outcome == Outcome::Unsent || outcome == Outcome::NoAnswer;
    return page(none ? no_answer : bad_answer, nullptr, relay_.fault());
}

// A connection to the server, woken if it is down; false: `ending` says what was answered instead.
bool Bridge::reach(Connection& connection, Ending& ending) {
    if (connection.reach == Reach::Connected)
        return true;
    Launch::End end;
    if (connection.reach == Reach::Down && settings_.start_count > 0) {
        end = launch_.wake();
    } else if (connection.reach == Reach::Busy) {
        end = launch_.wait_for_room();
    } else {
        ending = not_reached(connection);
        return false;
    }
    if (launch_.folder_is_refused() && begins_with(settings_.log, settings_.node_run))
        settings_.log = {}; // who can write there could lead the log anywhere: standard error, then
    if (end != Launch::End::Connected) {
        ending = page_for(end);
        return false;
    }
    connection = std::move(launch_.connection);
    return true;
}

Ending Bridge::converse() {
    PeerRule rule = {sys::effective_uid(), settings_.has_peer_uid, settings_.peer_uid};
    launch_.begin(settings_, request_, body_, rule, app_->owner, output);
    relay_.begin(output, settings_.response_timeout, request_.is_head());
    if (settings_.start_count > 0)
        relay_.report([](void* it) { static_cast<Launch*>(it)->answered(); },
                      [](void* it) { static_cast<Launch*>(it)->suspect(); }, &launch_);
    [[gnu::section(".bss.1")]] static char scgi_bytes[max_scgi_head];
    static char http_bytes[max_http_head];
    Text storage(http_bytes), small_storage(scgi_bytes);
    RequestHead head = !settings_.speaks_http
                           ? frame_scgi(request_, body_.length(), small_storage)
                           : frame_http(request_, body_.length(),
                                        settings_.trust_forwarded ? Forwarded::Trusted : Forwarded::Ours, storage);
    if (head.size() == 0)
        return page(bad_head);
    for (;;) {
        Connection connection;
        connection.reach = Reach::Down; // to a server that is to be replaced nothing is sent
        if (!launch_.is_touched())
            connection = connect_now(settings_.socket, rule);
        Ending ending = Ending::Nothing;
        if (!reach(connection, ending))
            return ending;
        Relay::Outcome outcome = relay_.run(connection.socket.number(), head, body_);
        if (outcome == Relay::Outcome::Complete)
            connection.socket.release(); // the exit is next, and closes it
        if (relay_.output_begun() || !may_be_sent_again(outcome))
            return after(outcome);
        connection.socket.reset();
        body_.rewind();
        sys::nanosleep(pauses[repeats_ + resendings_ > 1]);
    }
}

Ending Bridge::run(const AppFile& app, char** environment, bool can_answer) {
    can_answer_ = can_answer;
    app_ = &app;
    [[gnu::section(".bss.1")]] static char node[256];
    SettingsError error;
    if (!app_->error) {
        sys::node_name(node, sizeof node); // a name that does not fit is no name, and refused there
        error = parse_settings(app_->text, app_->path, node, settings_);
    }
    request_ = read_cgi_request(environment, settings_.has_script_name ? settings_.script_name.data() : nullptr);
    body_.begin(request_, input, settings_.max_spool, settings_.node_run.data());
    if (app_->error || error)
        return wrong_settings(error);
    if (!can_answer_)
        return page(no_answer, nullptr, "standard output is closed: there is nowhere to answer to"_phrase);
    if (request_.body == CgiRequest::Body::BadLength)
        return page(bad_length);
    if (!body_.length_known())
        if (Spooling spooling = body_.spool_all(); spooling != Spooling::Whole)
            return page_for(spooling);
    return converse();
}

} // namespace

Ending serve(const AppFile& app, char** environment, bool can_answer) {
    return bridge.run(app, environment, can_answer);
}

} // namespace rouse
