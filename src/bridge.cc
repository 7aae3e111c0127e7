#include "bridge.h"

#include "body_spool.h"
#include "cgi_request.h"
#include "connection.h"
#include "http.h"
#include "io.h"
#include "launch.h"
#include "leaving.h"
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

// What the visitor is told. A retry_after of 0 is no Retry-After; a launch may have a better one.
struct Answer {
    Status status;
    unsigned retry_after; // seconds
    Phrase what;
};
// How a launch ends, in the order of Launch::End, and what else there is to say.
constexpr Answer answers[] = {
    {},
    {Status::Unavailable, 1, "The application could not be started."_phrase},
    {Status::Unavailable, 60, "The application was stopped by its owner."_phrase},
    {Status::Unavailable, 2, "The application is starting, or busy."_phrase},
    {Status::Unavailable, 5, "The host is short of resources."_phrase},
    {Status::SettingsWrong, 0, "The application cannot be reached."_phrase},
    {Status::BadGateway, 0, "Somebody else answers in the application's place."_phrase},
    {Status::BadRequest, 0, "The request ended before its Content-Length."_phrase},
    {Status::ContentTooLarge, 0, "The request is too large to be held."_phrase},
};
constexpr const Answer& answer_to(Launch::End end) {
    return answers[static_cast<size_t>(end)];
}
constexpr const Answer &shortage = answer_to(Launch::End::Shortage), &wrong = answer_to(Launch::End::Wrong),
                       &foreign = answer_to(Launch::End::Foreign), &short_body = answer_to(Launch::End::ShortBody),
                       &large_body = answer_to(Launch::End::LargeBody);
static_assert(sizeof answers / sizeof answers[0] == static_cast<size_t>(Launch::End::Gone) &&
              wrong.status == Status::SettingsWrong && large_body.status == Status::ContentTooLarge);
constexpr Answer bad_length = {Status::BadRequest, 0, "CONTENT_LENGTH is no number."_phrase};
constexpr Answer bad_head = {Status::BadRequest, 0,
                             "The request's head cannot be sent in HTTP, or is over 256 KiB."_phrase};
constexpr Answer no_answer = {Status::BadGateway, 0, "The application did not answer."_phrase};
constexpr Answer bad_answer = {Status::BadGateway, 0, "The application's answer could not be used."_phrase};
constexpr Answer silent = {Status::GatewayTimeout, 0, "The application did not answer in time."_phrase};
constexpr Answer down = {Status::Unavailable, 5, "The application is down."_phrase};

class Bridge {
public:
    Ending run(const AppFile& app, char** environment, bool can_answer);

private:
    Ending converse();
    Ending page(const Answer& answer, const Error* error = nullptr, Phrase fault = {});
    Ending show(const Answer& answer, std::string_view what, std::string_view fault = {});
    Ending page_for(Spooling spooling);
    Ending page_for(Launch::End end);
    Ending wrong_settings(const SettingsError& error);
    Ending after(Relay::Outcome outcome);
    Ending not_reached(const Connection& connection);
    bool may_be_sent_again(Relay::Outcome outcome);

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
    if (fault.empty())
        fault = what;
    uint64_t chance = 0;
    sys::random(&chance, 6);
    static char incident_bytes[16];
    Text incident(incident_bytes);
    Page page;
    page.status = answer.status;
    page.what = what;
    page.retry_after = launch_.retry_after > 0 ? launch_.retry_after : answer.retry_after;
    page.incident = incident.add_hex(chance, 12).view();
    page.head_only = request_.is_head();
    page.html = answer.status == Status::Unavailable && request_.method == "GET"sv && accepts_html(request_.accept);
    LogLine line(Event::Answered);
    line.text()
        .fill<" status=% incident=% error=">(static_cast<uint64_t>(answer.status), page.incident)
        .add_quoted(fault);
    line.write_to(settings_.log);
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
        say_cure(*error, what);
    }
    if (fault)
        sentence.add(fault);
    return show(answer, what.view(), sentence.view());
}

// The owner may have nothing but FTP and this page: what is wrong, where, and the cure; never a value.
Ending Bridge::wrong_settings(const SettingsError& error) {
    static char what_bytes[1024];
    Text what(what_bytes);
    if (app_->error) {
        say(app_->error, app_->name().data(), what);
    } else {
        what.fill<"The settings in % are wrong">(app_->name().data());
        if (error.line > 0)
            what.add(", line ").add_number(error.line);
        if (!error.key.empty())
            what.add(", ").add(error.key);
        what.add(": ").add(error.fault).add('.');
    }
    return show(wrong, what.view());
}

Ending Bridge::page_for(Spooling spooling) {
    if (spooling == Spooling::Failed)
        return page(shortage, &body_.error());
    return page(spooling == Spooling::TooLarge ? large_body : short_body);
}

Ending Bridge::page_for(Launch::End end) {
    using End = Launch::End;
    if (end == End::Gone)
        return Ending::Nothing;
    if (launch_.sentence[0] != '\0' && end == End::Wrong)
        return show(wrong, text_of(launch_.sentence));
    bool has_error = end == End::Shortage || end == End::Wrong || end == End::Foreign;
    return page(answer_to(end), has_error ? &launch_.error : nullptr);
}

Ending Bridge::not_reached(const Connection& connection) {
    Error in_the_way;
    bool is_down = connection.reach == Reach::Down && // and there is no start script
                   nothing_in_the_way(settings_.socket, sys::effective_uid(), in_the_way);
    return page(is_down                               ? down
                : connection.reach == Reach::Shortage ? shortage
                : connection.reach == Reach::Foreign  ? foreign
                                                      : wrong,
                in_the_way ? &in_the_way : &connection.error);
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
        LogLine line(Event::Cut);
        line.text().fill<" error=\"%\"">(fault); // one of ours: nothing in it is to be escaped
        line.write_to(settings_.log);
        return Ending::Cut;
    }
    if (outcome == Outcome::Gone)
        return Ending::Nothing;
    if (outcome == Outcome::Silent)
        launch_.silent();
    return page(outcome == Outcome::ShortBody                                ? short_body
                : outcome == Outcome::Silent                                 ? silent
                : outcome == Outcome::Unsent || outcome == Outcome::NoAnswer ? no_answer
                                                                             : bad_answer,
                nullptr, relay_.fault());
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
    Connection& connection = launch_.connection;
    for (;;) {
        connection.reach = Reach::Down; // to a server that is to be replaced nothing is sent
        if (!launch_.is_touched())
            connect_until(settings_.socket, rule, Deadline(), connection);
        if (connection.reach != Reach::Connected) { // it is woken if it is down
            Launch::End end;
            if (connection.reach == Reach::Down && settings_.start_count > 0)
                end = launch_.wake();
            else if (connection.reach == Reach::Busy)
                end = launch_.wait_for_room();
            else
                return not_reached(connection);
            if (launch_.folder_is_refused() && begins_with(settings_.log, settings_.node_run))
                settings_.log = {}; // who can write there could lead the log anywhere: standard error, then
            if (end != Launch::End::Connected)
                return page_for(end);
        }
        Relay::Outcome outcome = relay_.run(connection.socket.number(), head, body_, prepare_to_leave);
        if (relay_.output_begun() || !may_be_sent_again(outcome))
            return after(outcome); // the exit is next, and closes the connection
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
        error = parse_settings(app_->text, app_->path, text_of(node), settings_);
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
