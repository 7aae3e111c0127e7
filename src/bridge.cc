#include "bridge.h"

#include "app_file.h"
#include "body_spool.h"
#include "cgi_request.h"
#include "connection.h"
#include "io.h"
#include "launch.h"
#include "log.h"
#include "page.h"
#include "relay.h"
#include "scgi.h"
#include "settings.h"

#include <errno.h>

namespace rouse {

namespace {

constexpr int input = 0, output = 1;
constexpr int most_repeats = 2;              // of a request that may have been seen (W1)
constexpr int most_resendings = 5;           // of one that cannot have been: a server that dies that fast is no server
constexpr int pauses[] = {20, 100};          // milliseconds: a dying server may still accept
constexpr unsigned come_again = 5;           // seconds, for Retry-After where nothing better is known
constexpr unsigned come_again_starting = 2;

class Bridge {
public:
    Bridge(char** environment, bool can_answer) : environment_(environment), can_answer_(can_answer) {}
    Ending run();

private:
    struct Answer {
        Status status;
        const char* what;         // for the visitor
        unsigned retry_after = 0; // seconds
    };

    Ending wrong_settings(const SettingsError& error);
    Ending wrong_settings(const Error& error);
    Ending converse();
    Ending page(const Answer& answer, const Error& error);
    Ending page(const Answer& answer, std::string_view fault = {});
    Ending page_for(const Connection& connection);
    Ending page_for(Launch::End end, const Launch& launch);
    Ending page_for(Spooling spooling);
    Ending show(Page& page, LogLine& line);
    Ending after(Relay::Outcome outcome, const Relay& relay);
    bool may_be_sent_again(Relay::Outcome outcome);
    bool reach(Connection& connection, Launch& launch, Ending& ending);

    char** environment_;
    bool can_answer_;
    AppFile app_;
    Settings settings_;
    CgiRequest request_;
    RequestBody body_;
    int repeats_ = 0;
    int resendings_ = 0;
};

// The incident's id, the log line, the page; then what the web server still has to write is read, because it may not
// be able to read before (mod_cgi), and unread input would destroy the page on its way (mod_cgid).
Ending Bridge::show(Page& page, LogLine& line) {
    uint64_t chance = 0;
    sys::random(&chance, 6);
    static char incident_bytes[16];
    Text incident(incident_bytes);
    incident.add_hex(chance, 12);
    page.incident = incident.view();
    page.head_only = request_.is_head();
    page.html = page.status == Status::Unavailable && request_.method == "GET" && accepts_html(request_.accept);
    line.add("incident", incident.view()).write_to(settings_.log);
    char tail[4096];
    if (settings_.show_errors)
        page.details = last_log_lines(settings_.log, tail, sizeof tail);
    static char text_bytes[16384];
    Text text(text_bytes);
    render_page(page, text);
    bool written = can_answer_ && write_all(output, text.view()) == 0;
    bool length_is_known = request_.body != CgiRequest::Body::BadLength;
    if (written)
        body_.drain(length_is_known ? Relay::drain_silence : 0);
    return written ? Ending::Answered : Ending::Nothing;
}

Ending Bridge::page(const Answer& answer, std::string_view fault) {
    Page page;
    page.status = answer.status;
    page.what = answer.what;
    page.retry_after = answer.retry_after;
    LogLine line(Event::Answered);
    line.add("status", static_cast<uint64_t>(answer.status));
    line.quote("error", fault.empty() ? std::string_view(answer.what) : fault);
    return show(page, line);
}

// The log has the sentence whole; the page has no path in it, but the cure.
Ending Bridge::page(const Answer& answer, const Error& error) {
    static char sentence_bytes[512];
    Text sentence(sentence_bytes);
    static char what_bytes[512];
    Text what(what_bytes);
    say(error, error.subject, sentence);
    what.add(answer.what).add(' ').add(error.cure);
    Page page;
    page.status = answer.status;
    page.what = what.view();
    page.retry_after = answer.retry_after;
    LogLine line(Event::Answered);
    line.add("status", static_cast<uint64_t>(answer.status)).quote("error", sentence.view());
    return show(page, line);
}

// The owner may have nothing but FTP and this page: what is wrong, where, and the cure; never a value.
Ending Bridge::wrong_settings(const SettingsError& error) {
    static char what_bytes[1024];
    Text what(what_bytes);
    what.add("The settings in ").add(app_.name()).add(" are wrong");
    if (error.line > 0)
        what.add(", line ").add_number(error.line);
    if (!error.key.empty())
        what.add(", ").add(error.key);
    what.add(": ").add(error.fault).add(". ").add(error.cure);
    Page page;
    page.status = Status::SettingsWrong;
    page.what = what.view();
    LogLine line(Event::Answered);
    line.add("status", static_cast<uint64_t>(page.status)).add("app", app_.path).quote("error", what.view());
    return show(page, line);
}

Ending Bridge::wrong_settings(const Error& error) {
    static char what_bytes[1024];
    Text what(what_bytes);
    say(error, app_.name(), what);
    Page page;
    page.status = Status::SettingsWrong;
    page.what = what.view();
    LogLine line(Event::Answered);
    line.add("status", static_cast<uint64_t>(page.status)).add("app", app_.path).quote("error", what.view());
    return show(page, line);
}

Ending Bridge::page_for(const Connection& connection) {
    switch (connection.reach) {
    case Reach::Shortage:
        return page({Status::Unavailable, "The server is short of resources.", come_again}, connection.error);
    case Reach::Foreign:
        return page({Status::BadGateway, "The application's socket is not its own."}, connection.error);
    case Reach::Connected:
    case Reach::Down:
    case Reach::Busy:
    case Reach::Wrong:
        break;
    }
    return page({Status::SettingsWrong, "The application cannot be reached."}, connection.error);
}

Ending Bridge::page_for(Spooling spooling) {
    switch (spooling) {
    case Spooling::TooLarge:
        return page({Status::ContentTooLarge, "The request is too large to be held while the application starts."});
    case Spooling::Failed:
        return page({Status::Unavailable, "The request could not be held.", come_again}, body_.error());
    case Spooling::More:
    case Spooling::Whole:
    case Spooling::Short:
        break;
    }
    return page({Status::BadRequest, "The request ended before its Content-Length."});
}

Ending Bridge::page_for(Launch::End end, const Launch& launch) {
    switch (end) {
    case Launch::End::Failed:
    case Launch::End::BackOff: {
        unsigned retry_after = launch.retry_after > 0 ? launch.retry_after : 1;
        const char* what = end == Launch::End::Failed ? "The application could not be started."
                                                      : "The application could not be started; it is tried again soon.";
        return page({Status::Unavailable, what, retry_after});
    }
    case Launch::End::Stopped:
        return page({Status::Unavailable, "The application was stopped by its owner.", 60});
    case Launch::End::Overdue:
        return page({Status::Unavailable, "The application is starting, or busy.", come_again_starting});
    case Launch::End::Shortage:
        return page({Status::Unavailable, "The server is short of resources.", come_again}, launch.error);
    case Launch::End::Foreign:
        return page({Status::BadGateway, "The application's socket is not its own."}, launch.error);
    case Launch::End::ShortBody:
        return page_for(Spooling::Short);
    case Launch::End::LargeBody:
        return page_for(Spooling::TooLarge);
    case Launch::End::Gone:
        return Ending::Nothing;
    case Launch::End::Connected:
    case Launch::End::Wrong:
        break;
    }
    if (launch.sentence[0] != '\0')
        return page({Status::SettingsWrong, launch.sentence});
    return page({Status::SettingsWrong, "The application cannot be started."}, launch.error);
}

bool Bridge::may_be_sent_again(Relay::Outcome outcome) {
    if (!body_.can_be_sent_again())
        return false;
    if (outcome == Relay::Outcome::Unsent)
        return ++resendings_ <= most_resendings;
    return outcome == Relay::Outcome::NoAnswer && request_.is_safe() &&
           request_.body == CgiRequest::Body::None && ++repeats_ <= most_repeats;
}

Ending Bridge::after(Relay::Outcome outcome, const Relay& relay) {
    using Outcome = Relay::Outcome;
    bool begun = relay.output_begun();
    if (begun && outcome != Outcome::Complete) {
        const char* fault = outcome == Outcome::Gone        ? "the web server closed the connection"
                            : outcome == Outcome::ShortBody ? "the request ended before its Content-Length"
                                                            : relay.fault();
        LogLine(Event::Cut).quote("error", fault).write_to(settings_.log);
        return Ending::Cut;
    }
    switch (outcome) {
    case Outcome::Complete:
        return Ending::Answered;
    case Outcome::Gone:
        return Ending::Nothing;
    case Outcome::ShortBody:
        return page_for(Spooling::Short);
    case Outcome::Silent:
        return page({Status::GatewayTimeout, "The application did not answer in time."});
    case Outcome::Unsent:
    case Outcome::NoAnswer:
        return page({Status::BadGateway, "The application did not answer."}, relay.fault());
    case Outcome::BadAnswer:
    case Outcome::Cut:
        break;
    }
    return page({Status::BadGateway, "The application's answer could not be used."}, relay.fault());
}

// A connection to the server, woken if it is down; false: `ending` says what was answered instead.
bool Bridge::reach(Connection& connection, Launch& launch, Ending& ending) {
    if (connection.reach == Reach::Connected)
        return true;
    Launch::End end;
    if (connection.reach == Reach::Down) {
        if (settings_.start_count == 0) {
            Error in_the_way;
            if (!nothing_in_the_way(settings_.socket, sys::effective_uid(), in_the_way))
                ending = page({Status::SettingsWrong, "The application cannot be reached."}, in_the_way);
            else
                ending = page({Status::Unavailable, "The application is down.", come_again}, connection.error);
            return false;
        }
        end = launch.wake();
    } else if (connection.reach == Reach::Busy) {
        end = launch.wait_for_room();
    } else {
        ending = page_for(connection);
        return false;
    }
    if (end != Launch::End::Connected) {
        ending = page_for(end, launch);
        return false;
    }
    connection = std::move(launch.connection);
    return true;
}

Ending Bridge::converse() {
    PeerRule rule = {sys::effective_uid(), settings_.has_peer_uid, settings_.peer_uid};
    Launch launch(settings_, request_, rule, app_.owner, body_, output);
    Relay relay(output, settings_.response_timeout, request_.is_head());
    static char storage_bytes[96];
    Text storage(storage_bytes);
    for (;;) {
        Connection connection = connect_now(settings_.socket, rule);
        bool warm = connection.reach == Reach::Connected;
        Ending ending = Ending::Nothing;
        if (!reach(connection, launch, ending))
            return ending;
        if (!warm)
            relay.when_answered([](const void* it) { static_cast<const Launch*>(it)->answered(); }, &launch);
        storage.clear();
        RequestHead head = frame_scgi(request_, body_.length(), storage);
        Relay::Outcome outcome = relay.run(connection.socket.number(), head, body_);
        if (relay.output_begun() || !may_be_sent_again(outcome))
            return after(outcome, relay);
        connection.socket.reset();
        body_.rewind();
        sys::nanosleep(pauses[repeats_ + resendings_ > 1]);
    }
}

Ending Bridge::run() {
    read_app_file(app_);
    char node[256] = "";
    SettingsError wrong;
    if (!app_.error) {
        sys::node_name(node, sizeof node); // a name that does not fit is no name, and refused there
        wrong = parse_settings(app_.text, app_.path, node, settings_);
    }
    const char* script_name = settings_.has_script_name ? settings_.script_name.data() : nullptr;
    request_ = read_cgi_request(environment_, script_name);
    const char* folder = settings_.node_run.empty() ? nullptr : settings_.node_run.data();
    body_.begin(request_, input, settings_.max_spool, folder);
    if (app_.error)
        return wrong_settings(app_.error);
    if (wrong)
        return wrong_settings(wrong);
    if (!can_answer_)
        return page({Status::BadGateway, "Standard output is closed: there is nowhere to answer to."});
    if (request_.body == CgiRequest::Body::BadLength)
        return page({Status::BadRequest, "CONTENT_LENGTH is no number."});
    if (!body_.length_known())
        if (Spooling spooling = body_.spool_all(); spooling != Spooling::Whole)
            return page_for(spooling);
    return converse();
}

} // namespace

Ending serve(char** environment, bool can_answer) {
    Bridge bridge(environment, can_answer);
    return bridge.run();
}

} // namespace rouse
